// What S/MIME may cost us. docs/smime.md, "Limits".

/** Of a message that we seal, and of a CMS message that we try to open. */
export const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024
/** Of what a compressed message becomes, and by how much: text with a long quotation has ten times, a bomb a thousand. */
export const COMPRESSION_LIMITS = { bytes: 2 * LARGEST_MESSAGE_BYTES, ratio: 100 }
/** Signed, compressed, and both, in either order. */
export const MOST_WRAPPINGS = 3
/** Certificates of one address, in one piece. */
export const LARGEST_CERTIFICATES_BYTES = 256 * 1024
