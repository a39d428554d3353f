// The IP address of the client behind a request: the connection's own, or the one that the edge sends in
// X-Real-IP. Invariant: that header is believed only together with the edge's secret, wherever the connection
// comes from: on one machine the edge and every other client have the same address.

import { timingSafeEqual } from "node:crypto";

/** With an empty secret no edge is believed. `peer` is the connection's own address. */
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
