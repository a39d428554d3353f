// The metrics of the real roles: after traffic, each /metrics passes promtool's own lint, has every metric of
// its role, and no label with anything of a customer's. One ingest process, a relay, both senders and three
// operators, on their own database and topics.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import type { MetricRole } from "../../src/platform/metric-rows.ts";
import { linesMax, ROWS } from "../../src/platform/metrics-table.ts";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { read } from "../support/pages.ts";
import { lintMetrics } from "../support/promtool.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const PHONE = "+989121234567";
const REFERENCE = "order-4711";
const SENT = 40;

type Named = { role: MetricRole; healthUrl: string };
let downstream: Downstream;
let events: TestClickhouse;
let ingest: IngestProcess;
let customer: TestCustomer;
let relay: Role;
let sender: Role;
let express: Role;
let dlr: Role;
let webhook: Role;
let texts: { role: MetricRole; text: string }[] = [];
const ids: string[] = [];

const scrape = async ({ healthUrl }: { healthUrl: string }): Promise<string> =>
  (await fetch(`${healthUrl}/metrics`)).text();

/** The values of one metric, by label text. */
function valuesOf(text: string, name: string): Map<string, number> {
  const found = text.matchAll(new RegExp(`^${name}\\{([^}]*)\\} (\\S+)$`, "gm"));
  return new Map([...found].map(([, labels = "", value]) => [labels, Number(value)]));
}
const sum = (text: string, name: string, labels = ""): number =>
  [...valuesOf(text, name)].filter(([key]) => key.includes(labels)).reduce((n, [, value]) => n + value, 0);

beforeAll(async () => {
  downstream = await createDownstream();
  events = await createTestClickhouse(downstream.config, { kafka: true });
  const { clickhouseDatabase } = events.config;
  ingest = await startIngest(events.config);
  customer = await makeCustomer(downstream.config, 1_000_000);
  relay = await downstream.start("relay", { clickhouseDatabase });
  sender = await downstream.start("sender-normal");
  express = await downstream.start("sender-express");
  dlr = await downstream.start("dlr");
  webhook = await downstream.start("webhook");
  await downstream.startOperator("A");
  await downstream.startOperator("B");
  await downstream.startOperator("C");
  await traffic();
  const roles: Named[] = [
    { role: "ingest", healthUrl: ingest.healthUrl },
    { role: "relay", healthUrl: relay.healthUrl },
    { role: "sender", healthUrl: sender.healthUrl },
    { role: "sender", healthUrl: express.healthUrl },
    { role: "dlr", healthUrl: dlr.healthUrl },
    { role: "webhook", healthUrl: webhook.healthUrl },
  ];
  texts = await Promise.all(roles.map(async (role) => ({ role: role.role, text: await scrape(role) })));
}, 120_000);

afterAll(async () => {
  await ingest?.end("SIGKILL");
  await relay?.end("SIGKILL");
  await events?.drop();
  await downstream?.end();
});

async function traffic(): Promise<void> {
  const body = { phone: PHONE, text: "Hello", reference: REFERENCE };
  const sends = `${ingest.url}/v1/sms/send`;
  for (let n = 0; n < SENT; n++) {
    const answer = await post(sends, customer.apiKey, { ...body, type: n % 2 === 0 ? "normal" : "express" });
    expect(answer.status).toBe(202);
    ids.push(((await answer.json()) as { id: string }).id);
  }
  await post(sends, customer.apiKey, { ...body, phone: "nobody", type: "normal" });
  await post(sends, "no-such-key", body);
  await fetch(`${ingest.url}/v1/messages/${ids[0]}`, { headers: { "x-api-key": customer.apiKey } });
  await fetch(`${ingest.url}/v1/no/such/route/${PHONE}`);
  await fetch(`${ingest.url}/v1/sms/send`, { method: "PUT", headers: { "x-api-key": customer.apiKey } });
  await until(
    async () => (await sender.count("sluice_sender_sent_total")) >= SENT / 2,
    "normal messages are sent",
    30_000,
    sender.log,
  );
  await until(
    async () => (await express.count("sluice_sender_sent_total")) >= SENT / 2,
    "express messages are sent",
    30_000,
    express.log,
  );
  // Until the relay has sampled the backlog after everything was read.
  await until(
    async () => {
      const text = await scrape(relay);
      return (
        valuesOf(text, "sluice_clickhouse_newest_event_age_seconds").size === 2 &&
        sum(text, "sluice_consumer_lag_records") === 0
      );
    },
    "the relay has sampled",
    30_000,
    relay.log,
  );
}

test("promtool finds no fault with any role's metrics", () => {
  for (const { role, text } of texts) expect(`${role}: ${lintMetrics(text)}`).toBe(`${role}: `);
});

test("the roles expose exactly the metrics that the table gives them", () => {
  for (const { role, text } of texts) {
    const told = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name));
    const hasRoutes = role !== "relay" && role !== "webhook";
    const expected = Object.entries(ROWS)
      .filter(
        ([, { role: of }]) =>
          of === role ||
          of === "all" ||
          (of === "http" && role === "ingest") ||
          (of === "routes" && hasRoutes),
      )
      .map(([name]) => name);
    expect([...told].sort()).toEqual(expected.sort());
  }
});

test("no label holds a customer, a phone, a message, a key or anything else from a request", () => {
  const forbidden = [
    PHONE,
    PHONE.slice(1),
    REFERENCE,
    customer.apiKey,
    customer.keyId,
    ...ids,
    "no-such",
    "BREW",
  ];
  for (const { text } of texts) {
    for (const [, labels = ""] of text.matchAll(/^\w+\{([^}]*)\}/gm)) {
      for (const word of forbidden) expect(labels).not.toContain(word);
      for (const [, value = ""] of labels.matchAll(/="([^"]*)"/g)) {
        expect(value).not.toBe(String(customer.customerId + 1_000_000_000));
        expect(value).not.toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
        expect(value).not.toBe(hostname());
      }
    }
  }
});

test("the lines of a metric stay within their bound", () => {
  for (const { text } of texts) {
    for (const [name, row] of Object.entries(ROWS)) {
      const lines = text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name}_`));
      if (row.kind === "histogram") expect(lines.length).toBeLessThanOrEqual(linesMax(row));
      else expect(valuesOf(text, name).size).toBeLessThanOrEqual(linesMax(row));
    }
  }
});

describe("the figures match the traffic", () => {
  const text = (role: MetricRole, at = 0) => texts.filter((each) => each.role === role)[at]?.text ?? "";

  test("requests and durations, by route, method and code; errors are among the requests", () => {
    const all = valuesOf(text("ingest"), "sluice_http_requests_total");
    const of = (labels: string) => sum(text("ingest"), "sluice_http_requests_total", labels);
    const send = 'route="/v1/sms/send",method="POST",code=';
    expect(of(`${send}"202"`)).toBe(SENT);
    expect(of(`${send}"422"`)).toBe(1);
    expect(of(`${send}"401"`)).toBe(1);
    expect(of('route="other",method="GET",code="404"')).toBe(1);
    expect(of('route="/v1/sms/send",method="PUT",code="405"')).toBe(1);
    const total = [...all.values()].reduce((n, value) => n + value, 0);
    expect(total).toBeGreaterThanOrEqual(SENT + 5);
    expect(sum(text("ingest"), "sluice_http_request_duration_seconds_count")).toBe(total);
    expect(sum(text("ingest"), "sluice_http_request_duration_seconds_sum", `${send}"202"`)).toBeGreaterThan(
      0,
    );
  });

  test("commits and their rows, grants, the pools, readiness", () => {
    const ingested = text("ingest");
    expect(sum(ingested, "sluice_ingest_accepted_total")).toBe(SENT);
    const rode = sum(ingested, "sluice_ingest_stored_with_grant_total");
    expect(rode).toBeGreaterThan(0);
    expect(sum(ingested, "sluice_ingest_commit_rows_sum")).toBe(SENT - rode);
    expect(sum(ingested, "sluice_lease_grants_total")).toBeGreaterThan(0);
    expect(
      sum(ingested, "sluice_lease_operation_duration_seconds_count", 'operation="grant"'),
    ).toBeGreaterThan(0);
    expect(sum(ingested, "sluice_mysql_pool_wait_seconds_count", 'pool="commit"')).toBeGreaterThan(0);
    for (const { text: one } of texts) {
      expect(sum(one, "sluice_ready")).toBe(1);
      expect(sum(one, "sluice_ready_check", 'check="mysql"')).toBe(1);
      expect(sum(one, "sluice_mysql_pool_used")).toBeLessThanOrEqual(
        sum(one, "sluice_mysql_pool_connections"),
      );
      expect(sum(one, "sluice_event_loop_lag_seconds_count")).toBeGreaterThan(5);
    }
  });

  test("no role opens more connections to MySQL than deploy/systemd says", () => {
    const page = read("deploy/systemd/README.md");
    const [, table = ""] = /\| process \| opens at most \|\n(.*?)\n\n/s.exec(page) ?? [];
    for (const { role, text: one } of texts) {
      const name = role === "sender" ? "sender-normal" : role;
      const most = Number(new RegExp(`^\\| ${name}\\b[^|]*\\| (\\d+)`, "m").exec(table)?.[1]);
      const opens = sum(one, "sluice_mysql_pool_connections");
      expect(`${role}: ${opens}, ${opens <= most}`).toBe(`${role}: ${opens}, true`);
    }
  });

  test("the backlog, by lane, topic and partition", () => {
    const relayed = text("relay");
    expect([...valuesOf(relayed, "sluice_outbox_rows").keys()]).toHaveLength(6);
    expect(sum(relayed, "sluice_outbox_oldest_seconds")).toBeLessThan(5);
    expect(valuesOf(relayed, "sluice_consumer_lag_records").size).toBe(6 + 6 + 1 + 1);
    expect([...valuesOf(relayed, "sluice_consumer_lag_seconds").values()]).toEqual([0, 0, 0, 0]);
    expect(sum(relayed, "sluice_clickhouse_newest_event_age_seconds")).toBeLessThan(120);
    expect(sum(relayed, "sluice_clickhouse_bad_records")).toBe(0);
    expect(sum(relayed, "sluice_relay_records_total", 'lane="normal"')).toBe(SENT / 2);
    expect(sum(relayed, "sluice_partitions_ahead")).toBe(2); // as in the test's database
    expect(sum(relayed, "sluice_messages_unknown")).toBe(0);
  });

  test("operators' answers and their durations", () => {
    for (const at of [0, 1]) {
      const sent = text("sender", at);
      const accepted = sum(sent, "sluice_operator_submits_total", 'answer="accepted"');
      expect(accepted).toBe(SENT / 2);
      expect(sum(sent, "sluice_operator_submit_duration_seconds_count")).toBe(
        sum(sent, "sluice_operator_submits_total"),
      );
      expect(sum(sent, "sluice_operator_submits_in_flight")).toBe(0);
      expect(sum(sent, "sluice_operator_breaker_open")).toBe(0);
    }
  });
});
