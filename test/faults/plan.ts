// The plan of a run: which faults, on what, when, for how long. Pure: the same seed and options give the same
// plan, so that a run can be repeated. Leaves carrying faults out to kinds/, and timing to run.ts.
// Invariants: a plan that has room for all kinds contains every kind; a long fault runs beside later ones,
// which never touch what it holds.

import { LEASE_TTL_MIN_MS } from "../../src/core/limits.ts";
import { processNames } from "../../src/stack/role-table.ts";
import { randomFrom } from "../support/seed.ts";

export const KINDS = {
  kill: "kill -9 of a role or an engine, which is restarted immediately",
  "kill-all": "kill -9 of everything at once",
  restart: "a role is stopped (SIGTERM) and started again",
  pause: "a process is paused (SIGSTOP) and resumed; an ingest process until its leases have expired",
  "cut-commit": "a connection to MySQL is cut before MySQL receives COMMIT, or before its OK arrives",
  reset: "all connections between two processes are reset, and new ones are refused for a moment",
  latency: "a connection between two processes is slow for some seconds",
  "operator-hangs": "an operator takes messages and doesn't answer",
  links: "an operator's links, HTTP connections or SMPP binds, are cut in the middle of a window",
  routes: "a sender reads a routes file in which an operator takes nothing, then the one of before",
  rebalance: "a second sender of a lane joins, and one of the two is killed in the middle of full batches",
  rewind: "a lane's consumer offsets are rewound while its sender is away",
  "disk-full": "MySQL's disk fills up and is freed again; mysqld may be killed meanwhile or afterwards",
  "kafka-outage": "Kafka is down for a long time",
  "sender-sleeps": "a sender is paused until its claims and group session expire, while another works",
  "poll-limit": "a sender is paused beyond its poll limit, while another works",
} as const;
export type Kind = keyof typeof KINDS;
export const isKind = (name: string): name is Kind => Object.hasOwn(KINDS, name);

export type Fault = {
  index: number;
  /** Time since the previous fault was over or, for a long one, had begun. */
  afterMs: number;
  kind: Kind;
  /** A process, a line (connection between processes) or a lane, depending on the kind. */
  target: string;
  /** Its duration. */
  ms: number;
  /**
   * Depends on the kind: before | after, first | second, kill | restart | leave, a number of records or of
   * ms.
   */
  choice: string;
};

export type PlanOptions = {
  seed: number;
  faults: number;
  /** Mean time from one fault to the next. */
  everyMs: number;
  /** quick: without faults that take minutes. */
  profile: "full" | "quick";
  /** Only these kinds; null: all. */
  only: readonly Kind[] | null;
  /** Kinds that can't be carried out here. */
  without: readonly Kind[];
};

/** With two ingest processes, as run.ts starts them. */
const KILLED = ["ingest", "relay", "sender-normal", "sender-express", "dlr", "webhook", "admin"] as const;
const PROCESSES = KILLED.flatMap((role) => processNames(role, 2));
const OPERATORS = processNames("operator");
const ENGINES = ["mysql", "kafka", "clickhouse"] as const;
/** The connections between a kind of process and an engine, with one proxy each. */
export const LINES = ["ingest-mysql", "relay-mysql", "sender-mysql", "kafka"] as const;
const MYSQL_LINES = LINES.slice(0, 3);
const LANES = ["normal", "express"] as const;

const KAFKA_OUTAGE_MS = 90_000;
const KAFKA_OUTAGE_QUICK_MS = 10_000;
/** Longer than CLAIM_TTL_MS and the consumer's session time-out. */
const SENDER_SLEEPS_MS = 34_000;
/** Longer than the poll limit that run.ts sets for the senders, the least that their settings allow. */
const POLL_LIMIT_MS = 165_000;
// The broker's session time-out, and the time to set offsets.
const REWIND_MS = 24_000;
// The longest time for joining, and for what follows.
const REBALANCE_MS = 20_000;

// Out of 200 faults. A kind without a share occurs once in a plan.
const SHARES: Record<Kind, number> = {
  kill: 80,
  "kill-all": 4,
  restart: 20,
  pause: 18,
  "cut-commit": 26,
  reset: 14,
  latency: 9,
  "operator-hangs": 9,
  links: 9,
  routes: 6,
  rebalance: 8,
  rewind: 3,
  "disk-full": 6,
  "kafka-outage": 0,
  "sender-sleeps": 2,
  "poll-limit": 0,
};
const ONCE: readonly Kind[] = ["kafka-outage", "poll-limit"];
const NOT_QUICK: readonly Kind[] = ["poll-limit"];
/** Runs beside the faults that follow it. */
export const LONG: readonly Kind[] = ["kafka-outage", "sender-sleeps", "poll-limit", "rewind", "rebalance"];
const isLong = (kind: Kind) => LONG.includes(kind);
// The broker decides how long it takes; nothing else may touch the same things for some seconds more.
const SLACK_MS = 8_000;

type Random = () => number;

export function makePlan(options: PlanOptions): Fault[] {
  const random = randomFrom(options.seed);
  const drawn = shuffled(kindsOf(options, random), random);
  // Faults that take long come first in short plans.
  const kinds =
    options.profile === "full" ? drawn : drawn.toSorted((a, b) => Number(isLong(b)) - Number(isLong(a)));
  const plan: Fault[] = [];
  let held: { what: string[]; untilMs: number }[] = [];
  // On the plan's own clock: the time of this fault, and the time when the runner is done with the previous
  // one.
  let atMs = 0;
  let wentOnMs = 0;
  while (kinds.length > 0) {
    atMs += Math.round(options.everyMs * (0.3 + 1.4 * random()));
    held = held.filter((h) => h.untilMs > atMs);
    const next = takeNext(kinds, held, options, random);
    if (next === null) {
      // All remaining faults touch something held: wait until the first of those ends.
      atMs = Math.min(...held.map((h) => h.untilMs));
      continue;
    }
    const fault = { ...next, index: plan.length, afterMs: atMs - wentOnMs };
    plan.push(fault);
    const lasting = durationMs(fault);
    if (isLong(fault.kind)) held.push({ what: touches(fault), untilMs: atMs + lasting + SLACK_MS });
    else atMs += lasting;
    wentOnMs = atMs;
  }
  return plan;
}

function kindsOf({ faults, profile, only, without }: PlanOptions, random: Random): Kind[] {
  const possible = (Object.keys(KINDS) as Kind[]).filter(
    (kind) =>
      (only === null || only.includes(kind)) &&
      !without.includes(kind) &&
      (profile === "full" || !NOT_QUICK.includes(kind)),
  );
  if (possible.length === 0) throw new Error("no kind of fault is left");
  const kinds = shuffled(possible, random).slice(0, faults);
  const many = possible.filter((kind) => only !== null || !ONCE.includes(kind));
  if (many.length === 0) return kinds;
  const weights = many.map((kind) => Math.max(1, SHARES[kind]));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  while (kinds.length < faults) {
    let left = random() * total;
    kinds.push(many[weights.findIndex((weight) => (left -= weight) < 0)] ?? (many[0] as Kind));
  }
  return kinds;
}

type Drawn = Omit<Fault, "index" | "afterMs">;

function takeNext(
  kinds: Kind[],
  held: readonly { what: string[] }[],
  options: PlanOptions,
  random: Random,
): Drawn | null {
  for (let at = 0; at < kinds.length; at++) {
    for (let tries = 0; tries < 8; tries++) {
      const drawn = draw(kinds[at] as Kind, options, random);
      if (isFree(drawn, held)) {
        kinds.splice(at, 1);
        return drawn;
      }
    }
  }
  return null;
}

const isFree = (fault: Drawn, held: readonly { what: string[] }[]): boolean => {
  const mine = touches(fault);
  return held.every(({ what }) => !mine.includes("*") && !what.some((each) => mine.includes(each)));
};

/** What a fault must have for itself while it lasts. */
export function touches({ kind, target }: Pick<Fault, "kind" | "target">): string[] {
  switch (kind) {
    case "kill-all":
      return ["*"];
    case "rebalance":
    case "rewind":
    case "sender-sleeps":
    case "poll-limit":
      return [`group-${target}`, `sender-${target}`];
    case "kafka-outage":
      return KAFKA;
    case "disk-full":
      return ["mysql"];
    case "latency":
    case "reset":
    case "kill":
    case "restart":
    case "pause":
    case "cut-commit":
    case "operator-hangs":
    case "links":
    case "routes":
      return target === "kafka" ? KAFKA : [target];
  }
}
// Faults of one lane's consumer group need Kafka, and leave the other lane's group alone.
const KAFKA = ["kafka", "group-normal", "group-express"];

function durationMs(fault: Drawn): number {
  return fault.kind === "rewind" ? REWIND_MS : fault.kind === "rebalance" ? REBALANCE_MS : fault.ms;
}

function draw(kind: Kind, { profile }: PlanOptions, random: Random): Drawn {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const between = (least: number, most: number) => Math.round(least + random() * (most - least));
  const fault = (target: string, ms: number, choice = "") => ({ kind, target, ms, choice });
  switch (kind) {
    case "kill":
      // Senders, relay and ingest twice as often, because money moves there.
      return fault(one([...PROCESSES, ...PROCESSES, ...ENGINES, ...OPERATORS]), 0);
    case "kill-all":
      return fault("everything", 0);
    case "restart":
      return fault(one([...PROCESSES, ...OPERATORS]), 0);
    case "pause": {
      const target = one(["ingest-1", "ingest-2", ...PROCESSES, ...OPERATORS, ...ENGINES]);
      return fault(
        target,
        target.startsWith("ingest")
          ? between(LEASE_TTL_MIN_MS + 1_000, LEASE_TTL_MIN_MS + 4_000)
          : between(1_000, 6_000),
      );
    }
    case "cut-commit":
      return fault(one(MYSQL_LINES), 0, one(["before", "after", "after"]));
    case "reset":
      return fault(one(LINES), between(0, 1_500));
    case "latency":
      return fault(one(LINES), between(2_000, 5_000), String(between(20, 300)));
    case "operator-hangs":
      return fault(one(OPERATORS), between(500, 3_000));
    case "links":
      return fault(one(OPERATORS), between(300, 1_200));
    case "routes":
      return fault(`sender-${one(LANES)}`, between(500, 4_000), one(OPERATORS).slice(-1));
    case "rebalance":
      return fault(one(LANES), between(0, 1_500), one(["first", "second"]));
    case "rewind":
      return fault(one(LANES), 0, one(["earliest", "2000", "500"]));
    case "disk-full":
      return fault(
        "mysql",
        between(2_000, 8_000),
        one(profile === "quick" ? ["kill", "restart"] : ["leave", "kill", "restart"]),
      );
    case "kafka-outage":
      return fault("kafka", profile === "quick" ? KAFKA_OUTAGE_QUICK_MS : KAFKA_OUTAGE_MS);
    case "sender-sleeps":
      return fault(one(LANES), SENDER_SLEEPS_MS);
    case "poll-limit":
      return fault("normal", POLL_LIMIT_MS);
  }
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}

/** One line for a person to read: `12 kill sender-normal`. */
export const describe = ({ index, kind, target, ms, choice }: Fault): string =>
  `${index + 1} ${kind} ${target}${choice === "" ? "" : ` ${choice}`}${ms === 0 ? "" : ` ${ms} ms`}`;
