// Which URLs Sluice calls, and which addresses: only what is public, so that nobody reaches through a
// callback what only this machine or its network can. Checked when a URL is given and again before each call,
// the addresses of a name after it was resolved (src/webhook/call.ts).
// Invariant: however a URL's host is written, it is judged as the URL standard reads it, which is how it is
// called.
// Source: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890).

import { BlockList, isIP } from "node:net";
import { CALLBACK_ORIGIN_CHARS_MAX, CALLBACK_URL_CHARS_MAX } from "./webhook-limits.ts";

/** `allowPrivate`: plain HTTP, any port, and addresses that aren't public, for development. */
export type UrlRules = { allowPrivate: boolean };

// Blanks and tabs inside would be removed, and other alphabets converted: what is stored is what is called.
const PLAIN = /^[\x21-\x7e]+$/;
/** Names that never leave a machine or its network (RFC 6761, RFC 6762, ICANN's `internal`). */
const LOCAL_NAME = /(^|\.)(localhost|local|internal|home\.arpa|lan|intranet|corp|home)$/;
/** HTTPS, or what needs no privilege: other services below 1024 aren't ours to talk to. */
const HTTPS_PORT = 443;
const PORT_MIN = 1_024;

/**
 * Why this URL is not called, or null. The reason completes a sentence that begins with the field's name.
 * `charsMax`: more for one that is called with what was put into it.
 */
export function callbackUrlProblem(
  given: string,
  { allowPrivate }: UrlRules,
  charsMax = CALLBACK_URL_CHARS_MAX,
): string | null {
  if (given.length > charsMax) return `must have at most ${charsMax} characters`;
  const url = PLAIN.test(given) && URL.canParse(given) ? new URL(given) : null;
  if (url === null) return "must be an absolute URL in ASCII, such as https://example.com/sms";
  if (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:"))
    return "must begin with https://";
  if (url.username !== "" || url.password !== "") return "must not contain a user name or password";
  if (url.href.includes("#")) return "must not contain a fragment";
  if (url.origin.length > CALLBACK_ORIGIN_CHARS_MAX) return "has too long a host name";
  if (allowPrivate) return null;
  const port = url.port === "" ? HTTPS_PORT : Number(url.port);
  if (port !== HTTPS_PORT && port < PORT_MIN) return `must have port ${HTTPS_PORT}, or one from ${PORT_MIN}`;
  const host = hostOf(url);
  if (isIP(host) !== 0) return isPublicAddress(host) ? null : "must not lead to an address that isn't public";
  if (!host.includes(".") || LOCAL_NAME.test(host)) return "must have a host name of the public DNS";
  return null;
}

/** The host to resolve or connect to: without the brackets of an IPv6 address and without last dots. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$|\.+$/g, "").toLowerCase();

/** What shares failures and a place in the queue: the URL's origin; '' for a customer's own URL (null). */
export const endpointOf = (url: string | null): string => (url === null ? "" : new URL(url).origin);

/** Whether an IP address is that of a host on the public Internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !V4.check(address, "ipv4");
    case 6:
      return GLOBAL_V6.check(address, "ipv6") && !V6.check(address, "ipv6");
    default:
      return false;
  }
}

const listOf = (family: "ipv4" | "ipv6", blocks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const block of blocks) {
    const [network = "", bits = ""] = block.split("/");
    list.addSubnet(network, Number(bits), family);
  }
  return list;
};

const V4 = listOf("ipv4", [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // Azure's own services, at a public address
  "169.254.0.0/16", // link-local, and clouds' metadata
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
]);

// All of IPv6 that is routed. Outside of it are ::1, unique local (fc00::/7) and link-local addresses, and
// IPv4 addresses mapped (::ffff:0:0/96) or translated (64:ff9b::/96, 64:ff9b:1::/48).
const GLOBAL_V6 = listOf("ipv6", ["2000::/3"]);
const V6 = listOf("ipv6", [
  "2001::/23", // protocol assignments, with Teredo (2001::/32)
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: an IPv4 address in disguise
  "3fff::/20", // documentation
]);
