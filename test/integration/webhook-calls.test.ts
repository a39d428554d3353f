// Calls to customers' URLs as the webhook role makes them, in Node: hostile URLs, of which none may lead to a
// connection, and peers that misbehave. What follows from an answer: webhook.test.ts.

import { expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { callbackUrlProblem, isPublicAddress } from "../../src/core/callback-url.ts";
import { WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_TIMEOUT_MS } from "../../src/core/webhook-limits.ts";
import { findTools } from "../../src/stack/tools.ts";
import type { CallAnswer } from "../../src/webhook/call.ts";
import { startDns } from "../support/dns-server.ts";
import { HOSTILE_LITERALS, HOSTILE_NAMES } from "../support/hostile-urls.ts";
import { startPeer, startReceiver } from "../support/webhook-receiver.ts";

const tool = join(import.meta.dirname, "../support/webhook-tool.ts");

type Told = { answers: (CallAnswer & { url: string })[]; resolved: string[]; addresses: string[] };
type Options = {
  /** The answers to the look-ups of each name, one after the other. */
  names?: Record<string, string[][]>;
  /** The name server to ask instead, as host:port. */
  dns?: string;
  allowPrivate?: boolean;
  /** A file with a certificate that is trusted, as are those of the public authorities. */
  trusted?: string;
};
function callAll(
  urls: readonly string[],
  { names = {}, dns, allowPrivate = false, trusted }: Options = {},
): Promise<Told> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...(trusted === undefined ? {} : { NODE_EXTRA_CA_CERTS: trusted }) };
    const child = spawn("node", [tool], { stdio: ["pipe", "pipe", "inherit"], env });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("exit", (code) => {
      if (code === 0) resolve(JSON.parse(out) as Told);
      else reject(new Error(`webhook-tool ended with ${code}: ${out}`));
    });
    child.stdin.end(`${JSON.stringify({ urls, names, dns: dns ?? null, allowPrivate })}\n`);
  });
}

test("60 hostile URLs and more are refused when they are given", () => {
  expect(HOSTILE_LITERALS.length).toBeGreaterThanOrEqual(60);
  const taken = HOSTILE_LITERALS.filter((url) => callbackUrlProblem(url, { allowPrivate: false }) === null);
  expect(taken).toEqual([]);
});

test("the same URLs, and names that lead to the same places, are called without a single connection", async () => {
  const names = Object.fromEntries(
    Object.entries(HOSTILE_NAMES).map(([name, addresses]) => [name, [[...addresses]]]),
  );
  const urls = [...HOSTILE_LITERALS, ...Object.keys(names).map((name) => `https://${name}/hook`)];
  const { answers, resolved, addresses } = await callAll(urls, { names });
  expect(addresses).toEqual([]);
  expect(answers.filter(({ kind }) => kind === "answered")).toEqual([]);
  expect(answers.slice(0, HOSTILE_LITERALS.length).map(({ kind }) => kind)).toEqual(
    HOSTILE_LITERALS.map(() => "not-allowed"),
  );
  // Each name is asked for once: what was checked is what would have been connected to.
  expect(resolved).toEqual(Object.keys(names));
});

test("a name that leads elsewhere at its second look-up is looked up once for a call, which goes to what was checked", async () => {
  const url = "https://re-bind.example.com/";
  const names = { "re-bind.example.com": [["93.184.216.34"], ["127.0.0.1"]] };
  const { answers, resolved, addresses } = await callAll([url, url], { names });
  // The first goes to the public address, where the tool lets nothing through; the second nowhere.
  expect(answers).toMatchObject([{ kind: "failed" }, { kind: "not-allowed" }]);
  expect(resolved).toEqual(["re-bind.example.com", "re-bind.example.com"]);
  expect(addresses).toEqual(["93.184.216.34"]);
});

test("by a real name server, both kinds of a name's addresses are checked, and a re-bound name leads nowhere", async () => {
  const server = await startDns({
    "re-bind.example.com": [["93.184.216.34"], ["127.0.0.1"]],
    "inside.example.com": [["10.0.0.1"]],
    "both.example.com": [["93.184.216.34", "::1"]],
    "mapped.example.com": [["::ffff:7f00:1"]],
    "translated.example.com": [["64:ff9b::a00:1"]],
    "tunnel.example.com": [["2002:7f00:1::"]],
  });
  const hosts = ["re-bind", "re-bind", "inside", "both", "mapped", "translated", "tunnel", "nothing"];
  const urls = hosts.map((host) => `https://${host}.example.com/`);
  const { answers, addresses } = await callAll(urls, { dns: server.address });
  // The first goes to the public address, where the tool lets nothing through; the last has none.
  const refused = hosts.slice(1, -1).map(() => ({ kind: "not-allowed" }));
  expect(answers).toMatchObject([{ kind: "failed" }, ...refused, { kind: "failed" }]);
  expect(addresses).toEqual(["93.184.216.34"]);
  // Once for each call, of either kind.
  expect(server.asked.toSorted()).toEqual(
    hosts.flatMap((host) => [`${host}.example.com A`, `${host}.example.com AAAA`]).toSorted(),
  );
  await server.stop();
});

test("where private addresses are allowed, the connection goes to the address that was looked up", async () => {
  const receiver = await startReceiver();
  const url = new URL(receiver.url);
  url.hostname = "hook.example.com";
  const names = { "hook.example.com": [["127.0.0.1"]] };
  const { answers, addresses } = await callAll([url.href], { names, allowPrivate: true });
  expect(answers).toMatchObject([{ kind: "answered", code: 204 }]);
  expect(addresses).toEqual(["127.0.0.1"]);
  expect(receiver.calls[0]?.headers.host).toBe(url.host);
  await receiver.stop();
});

test("over HTTPS the certificate must be for the URL's name, although the connection goes to an address", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-webhook-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=hook".split(
    " ",
  );
  const more = ["-addext", "subjectAltName=DNS:hook.example.com", "-keyout", key, "-out", cert];
  execFileSync(findTools(process.env).openssl, [...kind, ...more], { stdio: "ignore" });
  let requests = 0;
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    socket.on("error", () => undefined); // whoever distrusts us hangs up
    socket.once("data", () => {
      requests++;
      socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  const hosts = ["hook.example.com", "other.example.com", "127.0.0.1"];
  const urls = hosts.map((host) => `https://${host}:${port}/`);
  const names = { "hook.example.com": [["127.0.0.1"]], "other.example.com": [["127.0.0.1"]] };
  const { answers, addresses } = await callAll(urls, { names, allowPrivate: true, trusted: cert });
  const reason = "its certificate is for another name";
  expect(answers).toMatchObject([
    { kind: "answered", code: 204 },
    { kind: "failed", reason },
    { kind: "failed", reason },
  ]);
  expect(addresses).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
  const distrusting = await callAll(urls.slice(0, 1), { names, allowPrivate: true });
  expect(distrusting.answers).toMatchObject([{ kind: "failed", reason: "its certificate is self-signed" }]);
  expect(requests).toBe(1);
  await new Promise((closed) => server.close(closed));
  rmSync(folder, { recursive: true });
});

test("a redirect to loopback is not followed", async () => {
  const inside = await startPeer((socket) => socket.destroy());
  const codes = [301, 302, 303, 307, 308];
  const left = [...codes];
  const outside = await startPeer((socket) => {
    const head = `HTTP/1.1 ${left.shift() ?? 500} Elsewhere\r\nLocation: ${inside.url}\r\n`;
    socket.end(`${head}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  const urls = codes.map(() => outside.url);
  const { answers, addresses } = await callAll(urls, { allowPrivate: true });
  expect(answers).toMatchObject(codes.map((code) => ({ kind: "answered", code })));
  expect([addresses.length, outside.connections(), inside.connections()]).toEqual([5, 5, 0]);
  await Promise.all([inside.stop(), outside.stop()]);
});

test("an answer that comes byte by byte, or never, or not at all, holds a call for 5 s at most", async () => {
  const dripping = await startPeer((socket) => {
    const bytes = Buffer.from("HTTP/1.1 200 OK\r\n");
    let at = 0;
    const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 1_000);
    socket.on("close", () => clearInterval(timer));
  });
  const silent = await startPeer(() => undefined);
  const closing = await startPeer((socket) => socket.destroy());
  const broken = await startPeer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  const startedMs = performance.now();
  const peers = [dripping, silent, closing, broken];
  const each = await Promise.all(peers.map(({ url }) => callAll([url], { allowPrivate: true })));
  expect(performance.now() - startedMs).toBeLessThan(WEBHOOK_TIMEOUT_MS + 8_000); // with Node's start
  expect(each.map(({ answers }) => answers[0])).toMatchObject([
    { kind: "failed", timedOut: true },
    { kind: "failed", timedOut: true },
    { kind: "failed", timedOut: false },
    { kind: "failed", timedOut: false },
  ]);
  await Promise.all(peers.map((peer) => peer.stop()));
});

test("of an answer of 100 MB little is read, and a body that drips after its 200 acknowledges", async () => {
  let sent = 0;
  const huge = await startPeer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    const chunk = Buffer.alloc(64 * 1024);
    const more = () => {
      while (!socket.destroyed && sent < 104_857_600) {
        sent += chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", more);
      }
    };
    more();
  });
  const dripping = await startPeer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    const timer = setInterval(() => socket.write("x"), 500);
    socket.on("close", () => clearInterval(timer));
  });
  const { answers } = await callAll([huge.url, dripping.url], { allowPrivate: true });
  expect(answers).toMatchObject([
    { kind: "answered", code: 200 },
    { kind: "answered", code: 200 },
  ]);
  expect(sent).toBeLessThan(20_000_000); // what the sockets' buffers take
  expect(WEBHOOK_ANSWER_BYTES_MAX).toBeLessThan(1_000_000);
  await Promise.all([huge.stop(), dripping.stop()]);
});

test("a status counts, whatever follows it; an upgrade is an answer that nobody waits for", async () => {
  const cut = await startPeer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
    setTimeout(() => socket.destroy(), 200);
  });
  const upgrading = await startPeer((socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
  );
  const startedMs = performance.now();
  const { answers } = await callAll([cut.url, upgrading.url], { allowPrivate: true });
  expect(answers[0]).toMatchObject({ kind: "answered", code: 200 });
  expect(answers[1]).toMatchObject({ kind: "failed", timedOut: false });
  expect(performance.now() - startedMs).toBeLessThan(WEBHOOK_TIMEOUT_MS);
  await Promise.all([cut.stop(), upgrading.stop()]);
});

test("public addresses are public", () => {
  for (const address of ["93.184.216.34", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
    expect([address, isPublicAddress(address)]).toEqual([address, true]);
  for (const url of ["https://example.com", "https://example.com:8443/a?b#".slice(0, -1), "https://1.1.1.1/"])
    expect([url, callbackUrlProblem(url, { allowPrivate: false })]).toEqual([url, null]);
});
