// Curve25519 and AES key wrap (RFC 3394) for the library, at once. It asks WebCrypto, which hands each operation to one more
// thread and back: several times what the operation itself takes, and we are in a thread of our own here already.
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  KeyObject,
  sign,
  verify,
  type JsonWebKey,
  type webcrypto,
} from 'node:crypto'

/** A key that WebCrypto has not made, nor can use. */
class DirectKey {
  readonly held: KeyObject | Uint8Array

  constructor(held: KeyObject | Uint8Array) {
    this.held = held
  }
}

type Method = (...args: readonly unknown[]) => unknown

const WRAP_IV = Buffer.alloc(8, 0xa6) // RFC 3394 section 2.2.3.1

/** As those of WebCrypto. undefined: it is for WebCrypto. */
const METHODS: Readonly<Record<string, Method>> = {
  importKey(format, data, algorithm) {
    const name = nameOf(algorithm)
    if (format === 'jwk' && isCurve25519(name)) return new DirectKey(keyOf(data as JsonWebKey))
    const isWrap = format === 'raw' && (name === 'AES-KW' || name === 'HMAC')
    return isWrap && data instanceof Uint8Array ? new DirectKey(data) : undefined
  },
  generateKey(algorithm) {
    const name = nameOf(algorithm)
    if (!isCurve25519(name)) return undefined
    const made = name === 'X25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('ed25519')
    return {
      publicKey: new DirectKey(made.publicKey),
      privateKey: new DirectKey(made.privateKey),
    }
  },
  exportKey(_format, key) {
    if (!(key instanceof DirectKey)) return undefined
    return key.held instanceof KeyObject ? key.held.export({ format: 'jwk' }) : key.held
  },
  sign(_algorithm, key, data) {
    return isOfKey(key) ? sign(null, data as Uint8Array, key.held) : undefined
  },
  verify(_algorithm, key, signature, data) {
    if (!isOfKey(key)) return undefined
    return verify(null, data as Uint8Array, key.held, signature as Uint8Array)
  },
  deriveBits(algorithm, privateKey) {
    const publicKey = nameOf(algorithm) === 'X25519' && publicKeyIn(algorithm)
    if (!isOfKey(privateKey) || !isOfKey(publicKey)) return undefined
    return diffieHellman({ privateKey: privateKey.held, publicKey: publicKey.held })
  },
  wrapKey(_format, key, wrappingKey) {
    if (!isOfBytes(key) || !isOfBytes(wrappingKey)) return undefined
    const cipher = createCipheriv(wrapName(wrappingKey.held), wrappingKey.held, WRAP_IV)
    return Buffer.concat([cipher.update(key.held), cipher.final()])
  },
  unwrapKey(_format, wrapped, wrappingKey) {
    if (!isOfBytes(wrappingKey)) return undefined
    try {
      const decipher = createDecipheriv(wrapName(wrappingKey.held), wrappingKey.held, WRAP_IV)
      const bytes = [decipher.update(wrapped as Uint8Array), decipher.final()]
      return new DirectKey(Buffer.concat(bytes))
    } catch {
      throw new DOMException('it is not what this key has wrapped', 'OperationError')
    }
  },
}

/** In this thread, for good. */
export function useDirectCrypto(subtle: webcrypto.SubtleCrypto): void {
  const native = Object.getPrototypeOf(subtle) as Readonly<Record<string, Method>>
  for (const [name, direct] of Object.entries(METHODS)) {
    Object.defineProperty(subtle, name, {
      configurable: true,
      value: async (...args: readonly unknown[]) =>
        direct(...args) ?? Reflect.apply(native[name]!, subtle, args),
    })
  }
}

function keyOf(jwk: JsonWebKey): KeyObject {
  const form = { key: jwk, format: 'jwk' } as const
  return jwk.d === undefined ? createPublicKey(form) : createPrivateKey(form)
}

function wrapName({ length }: Uint8Array): string {
  return `id-aes${length * 8}-wrap`
}

function nameOf(algorithm: unknown): unknown {
  return typeof algorithm === 'object' && algorithm && 'name' in algorithm
    ? algorithm.name
    : algorithm
}

function publicKeyIn(algorithm: unknown): unknown {
  return typeof algorithm === 'object' && algorithm && 'public' in algorithm && algorithm.public
}

function isCurve25519(name: unknown): boolean {
  return name === 'X25519' || name === 'Ed25519'
}

function isOfKey(key: unknown): key is { readonly held: KeyObject } {
  return key instanceof DirectKey && key.held instanceof KeyObject
}

function isOfBytes(key: unknown): key is { readonly held: Uint8Array } {
  return key instanceof DirectKey && key.held instanceof Uint8Array
}
