// What must hold for a Haraka that runs hisho, as values and pure functions: for its self-test at start, and for `hisho init`
// and `hisho doctor`, which look at a directory.

/** Its inside was tried with these; another one may fail open where this one does not. */
export const KNOWN_HARAKA = /^3\.3\.\d+/

/** 998 characters and CRLF, RFC 5322 section 2.1.1: Haraka breaks longer lines while it receives, before any plugin. */
export const LEAST_DATA_LINE_LENGTH = 1000

// All of them work in data_post at priority 0, where the order of lines in config/plugins decides.
export const BEFORE_DECRYPT: readonly string[] = [
  'dkim',
  'dkim_verify',
  'spf',
  'arc',
  'dmarc',
  'dmarc-perl',
]
export const AFTER_DECRYPT: readonly string[] = [
  'attachment',
  'avg',
  'clamd',
  'data.uribl',
  'dcc',
  'esets',
  'messagesniffer',
  'rspamd',
  'spamassassin',
  'uribl',
]

/** What is wrong with the order of lines in config/plugins, in words. */
export function orderProblems(pluginList: readonly string[]): string[] {
  const list = pluginList.map((line) => line.replace(/^haraka-plugin-/, ''))
  const at = list.indexOf('hisho/decrypt')
  const verify = list.indexOf('hisho/verify')
  if (verify !== -1 && (at === -1 || verify < at))
    return ['hisho/verify must stand after hisho/decrypt: it judges the restored message']
  if (at === -1) return []
  return [
    ...list
      .slice(at + 1)
      .filter((name) => BEFORE_DECRYPT.includes(name))
      .map((name) => `${name} must stand before hisho/decrypt: it judges the message as it came`),
    ...list
      .slice(0, at)
      .filter((name) => AFTER_DECRYPT.includes(name))
      .map(
        (name) =>
          `${name} must stand after hisho/decrypt: before it there is only ciphertext to look at`,
      ),
  ]
}
