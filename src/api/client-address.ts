// The IP address of the client behind a request: the connection's own, or the one that the edge sends in
// X-Real-IP. Invariant: that header is believed only together with the edge's secret, wherever the connection
// comes from: on one machine the edge and every other client have the same address.

import { timingSafeEqual } from "node:crypto";

/**
 * `secrets`: one, or several with commas, while edges have the old one and the new one; if there is none, no
 * edge is believed. `peer` is the connection's own address.
 */
export function createClientAddress(
  secrets: string,
): (headers: Headers, peer: () => string | undefined) => string {
  const known = secrets
    .split(",")
    .filter((secret) => secret !== "")
    .map((secret) => Buffer.from(secret));
  const isEdge = (headers: Headers): boolean => {
    const given = Buffer.from(headers.get("x-sluice-edge") ?? "");
    return known.some((secret) => given.length === secret.length && timingSafeEqual(given, secret));
  };
  return (headers, peer) => (isEdge(headers) ? headers.get("x-real-ip") : null) ?? peer() ?? "unknown";
}
