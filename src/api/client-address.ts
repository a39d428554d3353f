// Whose request it is, as an IP address: the connection's own, or what the edge says in X-Real-IP. Invariant:
// that header is believed only beside the edge's secret, which nobody else has, wherever the connection comes
// from; on one machine the edge and every other client have the same address.

import { timingSafeEqual } from "node:crypto";

/** An empty secret: no edge is believed. `peer` is the connection's address. */
export function createClientAddress(
  secret: string,
): (headers: Headers, peer: () => string | undefined) => string {
  const wanted = Buffer.from(secret);
  const isEdge = (headers: Headers): boolean => {
    const given = Buffer.from(headers.get("x-sluice-edge") ?? "");
    return wanted.length > 0 && given.length === wanted.length && timingSafeEqual(given, wanted);
  };
  return (headers, peer) => (isEdge(headers) ? headers.get("x-real-ip") : null) ?? peer() ?? "unknown";
}
