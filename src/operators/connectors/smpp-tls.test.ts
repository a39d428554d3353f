// SMPP over TLS: the operator's certificate is always verified.

import { afterEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { laneRecord, LEFT_MS, smppOperator } from "../../../test/support/smpp-operator.ts";
import { obliging, startPeer } from "../../../test/support/smpp-peer.ts";
import { findTools } from "../../stack/tools.ts";
import type { Answer } from "./connector.ts";
import { createSmppConnector } from "./smpp.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Of an authority of its own, for this address or another one. */
function certificate(address: string): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), "smpp-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=smsc".split(
    " ",
  );
  const more = ["-addext", `subjectAltName=IP:${address}`, "-keyout", key, "-out", cert];
  execFileSync(findTools(process.env).openssl, [...kind, ...more], { stdio: "ignore" });
  const pair = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  rmSync(folder, { recursive: true });
  return pair;
}

async function submitTo(pair: { key: string; cert: string }, ca?: string): Promise<[Answer, number]> {
  const peer = await startPeer(obliging, pair);
  const connector = createSmppConnector(
    smppOperator({ port: peer.port, tls: true, ...(ca === undefined ? {} : { ca }) }),
    () => undefined,
    {
      onDeliver: () => Promise.resolve(true),
      onBinds: () => undefined,
      now: Date.now,
      onUnexpected: () => undefined,
      onNote: () => undefined,
    },
  );
  ends.push(
    () => connector.close(),
    () => peer.stop(),
  );
  const answer = await new Promise<Answer>((resolve) => connector.submit(laneRecord("hi"), resolve, LEFT_MS));
  return [answer, peer.links.flatMap(({ got }) => got).length];
}

test("a certificate of the authority in the settings is trusted", async () => {
  const pair = certificate("127.0.0.1");
  expect((await submitTo(pair, pair.cert))[0]).toMatchObject({ kind: "accepted" });
});

test("one of another authority, or for another address, isn't: nothing is sent, the password neither", async () => {
  const pair = certificate("127.0.0.1");
  const elsewhere = certificate("127.0.0.2");
  for (const [own, ca] of [
    [pair, undefined],
    [pair, elsewhere.cert],
    [elsewhere, elsewhere.cert],
  ] as const) {
    const [answer, pdus] = await submitTo(own, ca);
    expect([answer.kind, pdus]).toEqual(["not-connected", 0]);
  }
});
