// The certificates that the other side of a connection sent.
import type { TLSSocket } from 'node:tls'

/** `own`: the server's own certificate, which costs a tenth. */
export type PeerChainExtent = 'own' | 'all'

/** More than any server needs. */
const MAX_CERTIFICATES = 20

/**
 * DER, the server's own first; then all the others, in any order. To be asked once for each connection: Node takes the chain
 * apart as it hands it out, and `getPeerCertificate(true)` says less afterwards.
 */
export function peerChain(socket: TLSSocket, extent: PeerChainExtent): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  const add = (raw: Buffer): void => {
    if (!chain.some((known) => Buffer.compare(known, raw) === 0)) chain.push(Uint8Array.from(raw))
  }
  if (extent === 'own') {
    const own = socket.getPeerX509Certificate()
    return own ? [Uint8Array.from(own.raw)] : []
  }
  // This one puts the chain in order, and adds an anchor that Node knows. It forgets those that come after the one that was
  // sent last, in its order; therefore it is not enough.
  let sorted = socket.getPeerCertificate(true)
  for (let left = MAX_CERTIFICATES; left > 0 && sorted?.raw; left -= 1) {
    add(sorted.raw)
    if (sorted.issuerCertificate === sorted) break
    sorted = sorted.issuerCertificate
  }
  // As they were sent, whether or not they belong there.
  let sent = socket.getPeerX509Certificate()
  for (let left = MAX_CERTIFICATES; left > 0 && sent; left -= 1) {
    add(sent.raw)
    sent = sent.issuerCertificate
  }
  return chain
}
