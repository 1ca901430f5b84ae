// What a character looks like to a reader, as far as it matters here: letters of other scripts that pass for Latin ones,
// and what does not show at all. After Unicode TR 39 (confusables), for the letters of a short tag.

const LOOKS_LIKE = new Map(
  Object.entries({
    a: 'аɑαａ',
    b: 'ьɓƅВΒ',
    c: 'сϲᴄⅽ',
    d: 'ԁɗⅾ',
    e: 'еєҽε℮',
    f: 'ғƒ',
    g: 'ɡցɢ',
    h: 'һհНΗ',
    j: 'јϳ',
    k: 'кκᴋ',
    l: 'i1|ıіɩιӏⅼ∣ǀ',
    m: 'мⅿᴍΜ',
    n: 'пոɴηΝ',
    o: '0оοօσ٥०',
    p: 'рρϸ',
    q: 'ԛզ',
    r: 'гᴦɾ',
    s: 'ѕꜱ',
    t: 'тτᴛ',
    u: 'υսцʋᴜ',
    v: 'ѵνᴠ',
    w: 'ԝшωᴡ',
    x: 'хχ×',
    y: 'уүγʏΥ',
    z: 'ᴢʐζ',
    '[': '【〔〖〘〚⟦⁅❲⦋⦍⦏「『⌈⌊',
    ']': '】〕〗〙〛⟧⁆❳⦌⦎⦐」』⌉⌋',
    '-': '‐‑‒–—−',
  }).flatMap(([latin, others]) => Array.from(others, (other) => [other, latin])),
)

// Format and control characters, marks, white space, and fillers that print as nothing.
const UNSEEN = /[\p{Cf}\p{Cc}\p{M}\p{Z}\u115f\u1160\u2800\u3164\uffa0]/gu

/** Texts that look the same have the same skeleton. Empty: nothing is seen. */
export function skeletonOf(text: string): string {
  const plain = text.normalize('NFKC').normalize('NFD').replaceAll(UNSEEN, '')
  return Array.from(plain, looksLike).join('')
}

/** Capitals first: the Greek for a long e looks like another letter than its small form. */
function looksLike(char: string): string {
  const small = char.toLowerCase()
  return LOOKS_LIKE.get(char) ?? LOOKS_LIKE.get(small) ?? small
}
