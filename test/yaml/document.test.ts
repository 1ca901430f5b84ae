import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { formatYaml, parseYaml } from '../../lib/yaml/document.ts'

const parse = (text: string) => parseYaml(text, 'some.yaml', 'table/malformed')

function refused(text: string, pattern: RegExp): void {
  assert.throws(
    () => parse(text),
    (error: unknown) => {
      assert.ok(error instanceof PermError)
      assert.equal(error.code, 'table/malformed')
      assert.match(error.message, pattern)
      return true
    },
  )
}

describe('a YAML file', () => {
  it('an error in its syntax names file, line and column', () => {
    refused('a: 1\nb: [1\nc: 2\n', /^some\.yaml:3:1: /)
    refused('a: "x\n', /^some\.yaml:\d+:\d+: /)
    refused('a: 1\n\tb: 2\n', /^some\.yaml:2:/)
  })

  it('a key given twice is refused', () =>
    refused('a: 1\nb: 2\na: 3\n', /^some\.yaml:3:1: .*unique/))

  it('an error of its reader names the place of the value, or of what is nearest above', () => {
    const yaml = parse('domains:\n  b.example:\n    encrypt: often\n')
    const at = (path: readonly string[]) => yaml.errorAt(path, 'no').message
    assert.equal(
      at(['domains', 'b.example', 'encrypt']),
      'some.yaml:3:14: domains.b.example.encrypt: no',
    )
    assert.equal(
      at(['domains', 'b.example', 'other']),
      'some.yaml:3:5: domains.b.example.other: no',
    )
    assert.equal(at([]), 'some.yaml:1:1: no')
  })

  it('a bomb of aliases is refused', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'])
      bomb.push(`${to}: &${to} [${`*${from},`.repeat(9)}]`)
    refused(bomb.join('\n'), /alias/)
  })

  it('an alias to nothing is refused', () => refused('a: *nowhere\n', /alias/i))

  it('nesting without end is refused', () => refused('['.repeat(100_000), /some\.yaml:/))

  it('no custom tag makes anything but data', () => {
    const { data } = parse('a: !!js/function "x"\nb: <<\n')
    assert.deepEqual(data, { a: 'x', b: '<<' })
  })

  it('an empty file is null', () => assert.equal(parse('# only a comment\n').data, null))

  it('__proto__ is a key like others', () => {
    const { data } = parse('__proto__: { polluted: true }\n')
    assert.deepEqual(Object.keys(data as object), ['__proto__'])
    assert.equal(Reflect.get({}, 'polluted'), undefined)
  })

  it('nothing of a secret file stands in an error', () => {
    for (const text of [
      'a: 1\nTOPSECRET\n',
      'a: "TOPSECRET" TOPSECRET',
      'a: [1, "TOPSECRET\n',
      'TOPSECRET: 1\nTOPSECRET: 2',
      'a: *TOPSECRET',
      '%TOPSECRET\n---\n}TOPSECRET',
    ])
      assert.throws(
        () => parseYaml(text, 'vault', 'vault/malformed', 'secret'),
        (error: unknown) => {
          assert.ok(error instanceof PermError)
          assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /TOPSECRET/)
          return true
        },
      )
  })

  it('no text throws anything but a PermError', () => {
    const rough = fc
      .array(
        fc.constantFrom(
          'a',
          ':',
          ' ',
          '\n',
          '-',
          '[',
          ']',
          '{',
          '}',
          '&a',
          '*a',
          '"',
          '!',
          '|',
          '>',
          '?',
          '\t',
          '#',
        ),
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(rough, fc.string({ unit: 'binary' })), (text) => {
        try {
          parse(text)
        } catch (error) {
          assert.ok(error instanceof PermError, String(error))
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('an edit of a YAML file', () => {
  const TEXT =
    '# ours\nlocal: [ a.example ] # mail for us\n\n# theirs\ndomains:\n  # a bank\n  b.example: { encrypt: required }\n  "*":\n    encrypt: never # for now\n'

  it('keeps comments and order', () => {
    const edited = parse(TEXT).withValue(['domains', '*', 'encrypt'], 'required')
    assert.equal(edited, TEXT.replace('encrypt: never', 'encrypt: required'))
  })

  it('adds what was not there', () => {
    const edited = parse(TEXT).withValue(['domains', 'c.example'], { encrypt: 'never' })
    assert.equal(edited, `${TEXT}  c.example:\n    encrypt: never\n`)
  })

  it('removes what was there', () => {
    const edited = parse(TEXT).withValue(['domains', 'b.example'], undefined)
    assert.doesNotMatch(edited, /b\.example/)
    assert.match(edited, /# for now/)
  })

  it('removing what is not there changes nothing', () => {
    assert.equal(parse(TEXT).withValue(['domains', 'x.example'], undefined), TEXT)
  })

  it('fills a mapping that is empty', () => {
    for (const text of [
      '',
      'domains:\n',
      'domains: {}\n',
      '# nothing yet\ndomains:\n  b.example:\n',
    ]) {
      const edited = parse(text).withValue(['domains', 'b.example', 'encrypt'], 'required')
      assert.deepEqual(parse(edited).data, { domains: { 'b.example': { encrypt: 'required' } } })
    }
  })

  it('what is formatted is read back', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(null))),
        (data) => {
          assert.deepEqual(parse(formatYaml(data)).data, { ...data })
        },
      ),
    )
  })
})
