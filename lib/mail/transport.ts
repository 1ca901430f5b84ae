// The words of the domain table for the way to a domain's servers.

/** `policy`: what the domain publishes (MTA-STS, DANE) decides; the others stand in its place. */
export const TRANSPORTS = ['policy', 'off', 'opportunistic', 'encrypt', 'verify', 'dane'] as const
export type Transport = (typeof TRANSPORTS)[number]

/** The least that mail to a domain gets: authenticated TLS to the next server, encrypted content, or one of them. */
export const FLOORS = ['none', 'transport', 'content', 'either'] as const
export type Floor = (typeof FLOORS)[number]
