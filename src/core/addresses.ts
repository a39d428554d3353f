// Lists of IP addresses and CIDR blocks, and which addresses are in them. Invariant: an IPv4 address counts
// as itself however it is written, also where a socket of both versions shows it as IPv6 (::ffff:10.1.2.3);
// what is no address is in no list.

import { BlockList, isIP } from "node:net";

type Block = { network: string; bits: number; family: "ipv4" | "ipv6" };

/** @throws Error naming an entry that is neither an address nor a CIDR block */
export function addressList(entries: readonly string[]): (address: string) => boolean {
  // One list would have every IPv4 address in ::/0.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const entry of entries) {
    const block = blockOf(entry);
    if (block === null) throw new Error(`${entry} is neither an address nor a CIDR block`);
    lists[block.family].addSubnet(block.network, block.bits, block.family);
  }
  return (address) => {
    const plain = plainAddress(address);
    const version = isIP(plain);
    if (version === 0) return false;
    const family = version === 4 ? "ipv4" : "ipv6";
    return lists[family].check(plain, family);
  };
}

/** Whether it is an address or a CIDR block. Bits behind the prefix don't matter: 10.1.2.3/8 is 10/8. */
export const isAddressBlock = (entry: string): boolean => blockOf(entry) !== null;

function blockOf(entry: string): Block | null {
  const [address = "", length, ...rest] = entry.split("/");
  const version = isIP(address);
  if (version === 0 || address.includes("%") || rest.length > 0) return null;
  const bitsMax = version === 4 ? 32 : 128;
  const bits = length === undefined ? bitsMax : /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : -1;
  if (bits < 0 || bits > bitsMax) return null;
  const plain = plainAddress(address);
  if (version === 6 && isIP(plain) === 4 && bits >= MAPPED_BITS)
    return { network: plain, bits: bits - MAPPED_BITS, family: "ipv4" };
  return { network: address, bits, family: version === 4 ? "ipv4" : "ipv6" };
}

/** Of ::ffff:0:0/96, the addresses of IPv4 as IPv6 writes them (RFC 4291, 2.5.5.2). */
const MAPPED_BITS = 96;
const MAPPED = /^\[::ffff:([\da-f]{1,4}):([\da-f]{1,4})\]$/;

/** ::ffff:10.1.2.3 is 10.1.2.3; a zone (%eth0) is no part of an address. */
export function plainAddress(address: string): string {
  const [plain = ""] = address.split("%", 1);
  if (isIP(plain) !== 6) return plain;
  // URL writes every IPv6 address in one way (WHATWG URL, "IPv6 serializer").
  const [, high, low] = MAPPED.exec(new URL(`http://[${plain}]/`).hostname) ?? [];
  if (high === undefined || low === undefined) return plain;
  const [left, right] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [left >> 8, left & 0xff, right >> 8, right & 0xff].join(".");
}
