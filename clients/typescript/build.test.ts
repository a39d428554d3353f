// The package as customers get it: it compiles with the types of browsers alone, and what comes out runs in
// Node without anything else.

import { expect, test } from "bun:test";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");

const PROGRAM = (dist: string, url: string) => `
  import { createSluice } from ${JSON.stringify(pathToFileURL(join(dist, "sluice.js")).href)};
  import { verifyWebhook } from ${JSON.stringify(pathToFileURL(join(dist, "webhook.js")).href)};
  const sluice = createSluice({ baseUrl: ${JSON.stringify(url)}, apiKey: "k" });
  const { id } = await sluice.send({ phone: "+989121234567", text: "Hello", type: "normal" });
  const refused = await verifyWebhook("{}", {}, "whsec_AAAA").catch(({ name }) => name);
  console.log(id, refused);
`;

test("it builds, and what is built sends and verifies in Node", async () => {
  const dist = mkdtempSync(join(tmpdir(), "sluice-test-client-"));
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => Response.json({ id: "m-1" }, { status: 202 }),
  });
  try {
    const tsc = join(root, "node_modules/.bin/tsc");
    execFileSync(tsc, ["-p", import.meta.dirname, "--outDir", dist], { encoding: "utf8" });
    expect(readdirSync(dist).toSorted()).toEqual(
      ["problem", "sluice", "transport", "types", "webhook"].flatMap((name) => [
        `${name}.d.ts`,
        `${name}.js`,
      ]),
    );
    const program = PROGRAM(dist, server.url.origin);
    const { stdout } = await promisify(execFile)("node", ["--input-type=module", "-e", program]);
    expect(stdout.trim()).toBe("m-1 WebhookRefused");
  } finally {
    await server.stop(true);
    rmSync(dist, { recursive: true });
  }
}, 60_000);
