// Certificates and the like as text: RFC 7468.

export function formatPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** All with that label; what stands around them is passed over, as other programs do. */
export function readPem(label: string, text: string): readonly Uint8Array[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`, 'g')
  return [...text.matchAll(pattern)].map(([, body = '']) =>
    Uint8Array.from(Buffer.from(body, 'base64')),
  )
}
