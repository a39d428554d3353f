// The table of settings: key, environment name, default, bounds, a line of doc.
// Owns reading and checking; every role reads it before it opens any socket, and --help and the docs are
// printed from it. Bounds that can't be set are in src/core/limits.ts.

import {
  CUSTOMER_QUEUE_DEFAULT,
  EXPRESS_PROMISE_MIN_MS,
  EXPRESS_PROMISE_MOST_MS,
  LEASE_TTL_MIN_MS,
  POLL_INTERVAL_MAX_MS,
  POLL_INTERVAL_MIN_MS,
  SENDER_QUEUE_MAX,
  SWEEP_AFTER_MS,
} from "../core/limits.ts";

type NumberSetting = { env: string; kind: "number"; fallback: number; min: number; max: number; doc: string };
type TextSetting = {
  env: string;
  kind: "text";
  fallback: string;
  doc: string;
  /** What it may look like, and that in words. */
  form?: { pattern: RegExp; words: string };
};
type Setting = NumberSetting | TextSetting;

// Names or IPv4 addresses, as Kafka's clients take them; none only where the default is none.
const ADDRESSES = {
  pattern: /^[\w.-]+(:\d{1,5})?(,[\w.-]+(:\d{1,5})?)*$/,
  words: "hosts, each with :port if it has one of its own, separated by commas without spaces",
};

const port = (env: string, fallback: number, doc: string): NumberSetting => ({
  env,
  kind: "number",
  fallback,
  min: 1,
  max: 65_535,
  doc,
});
const count = (env: string, fallback: number, min: number, max: number, doc: string): NumberSetting => ({
  env,
  kind: "number",
  fallback,
  min,
  max,
  doc,
});
const text = (env: string, fallback: string, doc: string): TextSetting => ({
  env,
  kind: "text",
  fallback,
  doc,
});
const addresses = (env: string, fallback: string, doc: string): TextSetting => ({
  ...text(env, fallback, doc),
  form: ADDRESSES,
});

export const settings = {
  apiHost: text("SLUICE_API_HOST", "127.0.0.1", "address the API listens on"),
  apiPort: port("SLUICE_API_PORT", 8080, "port of the API"),
  // Longer than clients and proxies in front keep an idle connection, so that they close it rather than we.
  // 255 is the longest that Bun supports.
  apiIdleS: count("SLUICE_API_IDLE_S", 75, 1, 255, "seconds after which the API closes an idle connection"),
  adminHost: text(
    "SLUICE_ADMIN_HOST",
    "127.0.0.1",
    "address the admin API listens on; it has no TLS, so another one only behind something that has",
  ),
  adminPort: port("SLUICE_ADMIN_PORT", 8_090, "port of the admin API"),
  doors: text(
    "SLUICE_DOORS",
    "",
    "doors open for clients of others, with commas: twilio, kannel, jasmin, sms, send-sms, messages",
  ),
  doorsPriorityExpress: count(
    "SLUICE_DOORS_PRIORITY_EXPRESS",
    0,
    0,
    1,
    "1: priority 3 of Kannel's and Jasmin's doors is express, at its price; 0: a priority changes nothing",
  ),
  publicUrl: text(
    "SLUICE_PUBLIC_URL",
    "",
    "the API's address as operators call it, such as https://sms.example; some sign it",
  ),
  edgeHost: text("SLUICE_EDGE_HOST", "127.0.0.1", "address the edge (nginx) listens on"),
  edgePort: port("SLUICE_EDGE_PORT", 8_088, "HTTP port of the edge"),
  edgeTlsPort: port("SLUICE_EDGE_TLS_PORT", 8_443, "HTTPS port of the edge, HTTP/1.1 and HTTP/2"),
  edgeSecret: text(
    "SLUICE_EDGE_SECRET",
    "",
    "secret shared by edge and ingest, which may have two with a comma; empty: `up --edge` generates one",
  ),
  healthHost: text(
    "SLUICE_HEALTH_HOST",
    "127.0.0.1",
    "address of the health ports, which answer anybody; another one only where a firewall is in front",
  ),
  healthPort: port(
    "SLUICE_HEALTH_PORT",
    19_300,
    "this process's own port for /health, /ready and /metrics; `up` counts those of its roles from it",
  ),
  processNumber: count(
    "SLUICE_PROCESS_NUMBER",
    1,
    1,
    10,
    "number of this process among those of its role on this machine: each has a health port of its own",
  ),
  mysqlHost: text("SLUICE_MYSQL_HOST", "127.0.0.1", "MySQL address"),
  mysqlPort: port("SLUICE_MYSQL_PORT", 13_306, "MySQL port"),
  mysqlUser: text("SLUICE_MYSQL_USER", "root", "MySQL user"),
  mysqlPassword: text("SLUICE_MYSQL_PASSWORD", "", "MySQL password"),
  mysqlDatabase: text("SLUICE_MYSQL_DATABASE", "sluice", "MySQL database"),
  kafkaHost: addresses(
    "SLUICE_KAFKA_HOST",
    "127.0.0.1",
    "Kafka address, or those of several brokers with commas; each may have its own :port",
  ),
  kafkaPort: port("SLUICE_KAFKA_PORT", 19_092, "Kafka port, where the address has none"),
  kafkaControllerPort: port("SLUICE_KAFKA_CONTROLLER_PORT", 19_093, "Kafka controller port (local stack)"),
  kafkaReplicas: count(
    "SLUICE_KAFKA_REPLICAS",
    1,
    1,
    15,
    "copies of each topic that is created, on as many brokers",
  ),
  topicPrefix: text("SLUICE_TOPIC_PREFIX", "", "prefix of every topic and consumer group name"),
  clickhouseHost: text("SLUICE_CLICKHOUSE_HOST", "127.0.0.1", "ClickHouse address"),
  clickhousePort: port("SLUICE_CLICKHOUSE_PORT", 18_123, "ClickHouse HTTP port"),
  clickhouseUser: text("SLUICE_CLICKHOUSE_USER", "default", "ClickHouse user"),
  clickhousePassword: text("SLUICE_CLICKHOUSE_PASSWORD", "", "ClickHouse password"),
  clickhouseDatabase: text("SLUICE_CLICKHOUSE_DATABASE", "sluice", "ClickHouse database"),
  clickhouseKafka: addresses(
    "SLUICE_CLICKHOUSE_KAFKA",
    "",
    "for migrate: Kafka as ClickHouse reaches it, like SLUICE_KAFKA_HOST; empty: the same as that",
  ),
  operatorPort: port("SLUICE_OPERATOR_PORT", 19_201, "first port of the simulated operators A, B and C"),
  routesFile: text("SLUICE_ROUTES", "routes.yaml", "the file of operators and routes"),
  stateFolder: text("SLUICE_STATE", ".sluice", "folder for the local stack's data, logs and process records"),
  logLevel: text("SLUICE_LOG_LEVEL", "info", "pino level: trace, debug, info, warn, error, silent"),
  otlpUrl: text("SLUICE_OTLP_URL", "", "OTLP-HTTP traces endpoint; empty: no export"),
  otlpSampleEvery: count("SLUICE_OTLP_SAMPLE_EVERY", 100, 1, 1_000_000, "export one in this many new traces"),
  commitConnections: count("SLUICE_COMMIT_CONNECTIONS", 3, 1, 16, "connections of the group commit"),
  reconcileCycleMs: count(
    "SLUICE_RECONCILE_CYCLE_MS",
    3_600_000,
    1_000,
    7 * 86_400_000,
    "how long one cycle of the background check over all customers takes",
  ),
  leaseTtlMs: count(
    "SLUICE_LEASE_TTL_MS",
    20_000,
    LEASE_TTL_MIN_MS,
    120_000,
    "after this long without a renewal, a process's leases are taken back",
  ),
  sweepAfterMs: count(
    "SLUICE_SWEEP_AFTER_MS",
    SWEEP_AFTER_MS,
    5_000,
    3_600_000,
    "after this long, a queued message that is proven to be in neither outbox nor Kafka is requeued",
  ),
  pollIntervalMs: count(
    "SLUICE_POLL_INTERVAL_MS",
    POLL_INTERVAL_MAX_MS,
    POLL_INTERVAL_MIN_MS,
    3_600_000,
    "a sender that does not read for this long loses its partitions",
  ),
  webhookAllowPrivate: count(
    "SLUICE_WEBHOOK_ALLOW_PRIVATE",
    0,
    0,
    1,
    "1, for development only: webhooks may go to http:// and to addresses that aren't public",
  ),
  expressPromiseMs: count(
    "SLUICE_EXPRESS_PROMISE_MS",
    5_000,
    EXPRESS_PROMISE_MIN_MS,
    EXPRESS_PROMISE_MOST_MS,
    "express: time from acceptance to guaranteed_by while the lane is as fast as usual",
  ),
  expressPromiseMaxMs: count(
    "SLUICE_EXPRESS_PROMISE_MAX_MS",
    30_000,
    EXPRESS_PROMISE_MIN_MS,
    EXPRESS_PROMISE_MOST_MS,
    "express: the most that is promised while the lane is slow; beyond it the answer is 503 lane_saturated",
  ),
  otpSecret: text(
    "SLUICE_OTP_SECRET",
    "",
    "secret of one-time codes, shared by ingest and senders; empty: `up` generates one, else none are sent",
  ),
  otpResendS: count("SLUICE_OTP_RESEND_S", 30, 0, 600, "seconds from one code to a phone until the next"),
  otpPhoneHourly: count("SLUICE_OTP_PHONE_HOURLY", 5, 0, 1_000, "codes to a phone in an hour; 0: no limit"),
  otpCustomerHourly: count(
    "SLUICE_OTP_CUSTOMER_HOURLY",
    10_000,
    0,
    1_000_000_000,
    "codes of a customer in an hour; 0: no limit",
  ),
  otpRangeHourly: count(
    "SLUICE_OTP_RANGE_HOURLY",
    60,
    0,
    1_000_000,
    "codes of a customer in an hour to phones that differ only in their last 4 digits; 0: no limit",
  ),
  otpVerifiedPercent: count(
    "SLUICE_OTP_VERIFIED_PERCENT",
    10,
    0,
    100,
    "percentage of a customer's codes to one network that must be verified in an hour; 0: none",
  ),
  otpVerifiedSample: count(
    "SLUICE_OTP_VERIFIED_SAMPLE",
    50,
    1,
    1_000_000,
    "codes to one network in an hour before that percentage counts",
  ),
  customerQueueMax: count(
    "SLUICE_CUSTOMER_QUEUE_MAX",
    CUSTOMER_QUEUE_DEFAULT,
    1,
    SENDER_QUEUE_MAX,
    "records of one customer that wait in a sender's memory; what it has beyond that is held in MySQL",
  ),
  customerPartsPerS: count(
    "SLUICE_CUSTOMER_PARTS_PER_S",
    0,
    0,
    1_000_000,
    "message parts a second that one sender submits at most for one customer; 0: no limit",
  ),
} as const satisfies Record<string, Setting>;

export type Config = {
  -readonly [K in keyof typeof settings]: (typeof settings)[K] extends NumberSetting ? number : string;
};

/** Reads the environment. @throws Error that names every bad value and what is allowed */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const out: Record<string, number | string> = {};
  const bad: string[] = [];
  for (const [key, setting] of Object.entries(settings) as [string, Setting][]) {
    const given = env[setting.env];
    if (setting.kind === "text") {
      const value = given ?? setting.fallback;
      const { form } = setting;
      if (form !== undefined && value !== setting.fallback && !form.pattern.test(value))
        bad.push(`${setting.env}=${value}: must be ${form.words}`);
      out[key] = value;
      continue;
    }
    const value = given === undefined || given === "" ? setting.fallback : Number(given);
    if (!Number.isInteger(value) || value < setting.min || value > setting.max)
      bad.push(`${setting.env}=${given}: must be a whole number from ${setting.min} to ${setting.max}`);
    out[key] = value;
  }
  if (bad.length > 0) throw new Error(`bad settings:\n  ${bad.join("\n  ")}`);
  return out as Config;
}

/**
 * The same for a process of a role: unless its health port is set, it follows from the role and from the
 * number of the process, so that processes started by hand don't take each other's.
 */
export function loadRoleConfig(env: Record<string, string | undefined>, healthOffset: number): Config {
  const config = loadConfig(env);
  if (env[settings.healthPort.env]) return config;
  return { ...config, healthPort: healthPortOf(config.healthPort, healthOffset, config.processNumber) };
}

/** `number` counts from 1. */
export const healthPortOf = (first: number, healthOffset: number, number: number): number =>
  first + healthOffset + number - 1;

/** The table as --help shows it; `own` are defaults that differ from the table's. */
export function describeSettings(own: Partial<Config> = {}): string {
  return (Object.entries(settings) as [keyof Config, Setting][])
    .map(([key, s]) => {
      const bounds = s.kind === "number" ? ` (${s.min} to ${s.max})` : "";
      return `  ${s.env.padEnd(30)} ${s.doc}${bounds}, default ${JSON.stringify(own[key] ?? s.fallback)}`;
    })
    .join("\n");
}
