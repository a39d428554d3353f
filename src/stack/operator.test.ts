// The simulated operator by HTTP, over real connections: what it is told while it runs, connections that are
// cut with submits under way, and its reports.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../test/support/smpp-peer.ts";
import { createBehaviour, PROFILES } from "./operator-behaviour.ts";
import { startOperator } from "./operator.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function start() {
  const folder = mkdtempSync(join(tmpdir(), "operator-"));
  const reports: { message_id: string; our_id: string; status: string }[] = [];
  const sink = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const body = (await request.json()) as { reports: typeof reports };
      reports.push(...body.reports);
      return new Response("ok");
    },
  });
  const operator = await startOperator({
    name: "A",
    behaviour: createBehaviour(PROFILES.fast, 1),
    host: "127.0.0.1",
    port: 0,
    folder,
    reportsUrl: sink.url.href,
    echoesId: true,
  });
  ends.push(
    () => operator.stop(),
    () => sink.stop(true),
    () => rmSync(folder, { recursive: true }),
  );
  const origin = `http://127.0.0.1:${operator.port}`;
  // A connection of its own for each, so that none is tried again by the client.
  const call = (path: string, body?: string) =>
    fetch(origin + path, { keepalive: false, ...(body === undefined ? {} : { method: "POST", body }) });
  const submit = (id: string) =>
    call(
      "/submit",
      JSON.stringify({
        id,
        phone: "+989121234567",
        text: "hi",
        encoding: "gsm7",
        parts: 1,
        valid_until: new Date(Date.now() + 60_000).toISOString(),
      }),
    );
  const count = async () => ((await (await call("/count")).json()) as { count: number }).count;
  return { call, submit, count, reports };
}

/** The first answer of an operator that may not be listening again yet. */
async function untilTaken(submit: () => Promise<Response>): Promise<number> {
  for (;;) {
    const status = await submit().then(
      (answer) => answer.status,
      () => null,
    );
    if (status !== null) return status;
    await Bun.sleep(20);
  }
}

test("it is told how to behave while it runs, and says so; wrong words are refused by name", async () => {
  const { call, submit } = await start();
  expect((await submit("m1")).status).toBe(200);
  const changed = await call("/behaviour", "refuse=1");
  expect(await changed.json()).toMatchObject({ refuse: "1", slow: "0ms", seed: "1" });
  expect([429, 503]).toContain((await submit("m2")).status);
  const refused = await call("/behaviour", "refuse=2 hang=1");
  expect([refused.status, await refused.json()]).toEqual([
    422,
    { faults: ["refuse=2: must be a share from 0 to 1"] },
  ]);
  expect(await (await call("/behaviour")).json()).toMatchObject({ refuse: "1", hang: "0" });
});

test("cut in the middle of a window, what is under way gets no answer though it was taken, and the next is taken", async () => {
  const { call, submit, count } = await start();
  await call("/behaviour", "slow=2s");
  const answers = Array.from({ length: 20 }, (_, i) =>
    submit(`m${i}`).then(
      () => "answered",
      () => "lost",
    ),
  );
  while ((await count()) < 20) await Bun.sleep(5);
  expect(await (await call("/behaviour", "drop-links=now slow=0ms")).json()).toMatchObject({ slow: "0ms" });
  expect(new Set(await Promise.all(answers))).toEqual(new Set(["lost"]));
  expect(await untilTaken(() => submit("again"))).toBe(200);
  expect(await count()).toBe(21);
});

test("submits that hang are ended by a cut as well, and don't keep it from going on", async () => {
  const { call, submit, count } = await start();
  await call("/behaviour", "hang=1");
  const hanging = submit("m1").then(
    () => "answered",
    () => "lost",
  );
  while ((await count()) < 1) await Bun.sleep(5);
  await call("/behaviour", "drop-links=now hang=0");
  expect(await hanging).toBe("lost");
  expect(await untilTaken(() => submit("m2"))).toBe(200);
});

test("reports come as it was told: twice, with an intermediate one after the final one, or not at all", async () => {
  const { call, submit, reports } = await start();
  await call("/behaviour", "reports=undelivered+duplicate+reordered report-after=0ms");
  await submit("m1");
  await until(() => reports.length === 3);
  expect(reports.map(({ our_id }) => our_id)).toEqual(["m1", "m1", "m1"]);
  expect(reports.map(({ status }) => status).toSorted()).toEqual(["ENROUTE", "UNDELIV", "UNDELIV"]);
  expect(reports[0]?.status).toBe("UNDELIV");
  await call("/behaviour", "reports=lost");
  await submit("m2");
  await call("/behaviour", "reports=on");
  await submit("m3");
  await until(() => reports.length === 4);
  expect(reports[3]).toMatchObject({ our_id: "m3", status: "DELIVRD" });
}, 15_000);
