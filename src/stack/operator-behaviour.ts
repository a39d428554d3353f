// How a simulated operator behaves: a profile by name, and settings such as `slow=200ms refuse=0.1` that
// change it while it runs. Owns their names, texts and bounds, and the random numbers that decide what
// happens to each submit, which follow from one seed. Leaves acting on them to operator.ts, operator-smpp.ts
// and operator-ends.ts.
// Invariant: a text with a fault changes nothing, and each of its faults is named.

export type Span = readonly [leastMs: number, mostMs: number];
export type Profile = {
  delayMs: Span;
  /** Shares of 1 of the submits. */
  refused: number;
  hangs: number;
  /** Share of the seconds in which everything is refused for now. */
  down: number;
  /** Share of the submits at which the link ends; by HTTP, a 500 after the message was taken. */
  drops?: number;
  /** Submits a second; those above are throttled. */
  rate?: number | undefined;
  /**
   * What it reports on all but the fixed numbers; null: nothing. If absent, nothing by HTTP, and by SMPP,
   * where every submit asks for it, that all are delivered.
   */
  reports?: Reporting | null | undefined;
  /** From the submit to its report; REPORT_AFTER_MS unless given. */
  reportAfterMs?: Span;
};
/** Shares of 1 of the reports. */
export type Reporting = {
  undelivered: number;
  /** A minute later than the others. */
  late: number;
  lost: number;
  /** Twice. */
  duplicate: number;
  /** With an intermediate report (ENROUTE) after the final one. */
  reordered: number;
  /** With one that says the contrary after the final one. */
  contradictory: number;
};

export const ALL_DELIVERED: Reporting = {
  undelivered: 0,
  late: 0,
  lost: 0,
  duplicate: 0,
  reordered: 0,
  contradictory: 0,
};
export const REPORT_AFTER_MS: Span = [1_000, 1_000];

export const PROFILES = {
  default: { delayMs: [5, 30], refused: 0.01, hangs: 0, down: 0 },
  fast: { delayMs: [0, 0], refused: 0, hangs: 0, down: 0 },
  /** Accepts everything, but answers after the sender has given up. */
  slow: { delayMs: [3_500, 4_500], refused: 0, hangs: 0, down: 0 },
  /** Accepts everything and never answers. */
  hangs: { delayMs: [0, 0], refused: 0, hangs: 1, down: 0 },
  /** Refuses everything, for now. */
  refusing: { delayMs: [0, 10], refused: 1, hangs: 0, down: 0 },
  throttling: { delayMs: [0, 10], refused: 0, hangs: 0, down: 0, rate: 50 },
  drops: { delayMs: [5, 30], refused: 0, hangs: 0, down: 0, drops: 0.001 },
  /** Like default, and reports on all it takes. */
  reporting: {
    delayMs: [5, 30],
    refused: 0.01,
    hangs: 0,
    down: 0,
    reports: { ...ALL_DELIVERED, undelivered: 0.05, duplicate: 0.05, reordered: 0.02, contradictory: 0.02 },
    reportAfterMs: [0, 2_000],
  },
  /** Reports on all it takes: late, twice, out of order, and often with a contradiction behind. */
  confusing: {
    delayMs: [5, 30],
    refused: 0.01,
    hangs: 0,
    down: 0,
    reports: { undelivered: 0.2, late: 0.02, lost: 0, duplicate: 0.5, reordered: 0.5, contradictory: 0.5 },
    reportAfterMs: [0, 10_000],
  },
  flaky: { delayMs: [5, 200], refused: 0.1, hangs: 0.001, down: 0.1 },
} as const satisfies Record<string, Profile>;
export type ProfileName = keyof typeof PROFILES;
export const isProfile = (name: string): name is ProfileName => Object.hasOwn(PROFILES, name);

/** Longer than any sender waits for an answer (SUBMIT_TIMEOUT_MS), so that "too slow" can be tried. */
export const DELAY_MAX_MS = 5_000;
const REPORT_AFTER_MAX_MS = 3_600_000;
const RATE_MAX = 100_000;
const SEED_MAX = 2 ** 32 - 1;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

type Setting = {
  value: string;
  what: string;
  /** What it changes, or null if it isn't such a value. */
  read: (text: string) => Partial<Profile> | null;
  show: (profile: Profile) => string;
};
const SHARE = "a share from 0 to 1";
const share = (key: "refused" | "hangs" | "down" | "drops", what: string): Setting => ({
  value: SHARE,
  what,
  read(text) {
    const n = shareOf(text);
    if (n === null) return null;
    const changed: Partial<Profile> = {};
    changed[key] = n;
    return changed;
  },
  show: (profile) => String(profile[key] ?? 0),
});
const span = (key: "delayMs" | "reportAfterMs", mostMs: number, what: string): Setting => ({
  value: `a time such as 200ms, or two such as 1s-3s, at most ${mostMs / 1_000}s`,
  what,
  read(text) {
    const [least, most = least, ...more] = text.split("-").map(timeOf);
    if (least == null || most == null || more.length > 0 || least > most || most > mostMs) return null;
    const changed: Partial<Profile> = {};
    changed[key] = [least, most];
    return changed;
  },
  show: (profile) => [...new Set(profile[key] ?? REPORT_AFTER_MS)].map((ms) => `${ms}ms`).join("-"),
});
const REPORT_KINDS = Object.keys(ALL_DELIVERED) as (keyof Reporting)[];

/** Everything that may be set, besides `profile` and `seed`. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  slow: span("delayMs", DELAY_MAX_MS, "the time from a submit to its answer"),
  refuse: share("refused", "submits that are refused for now"),
  throttle: {
    value: `a number of submits a second up to ${RATE_MAX}, or off`,
    what: "above it, submits are refused as throttled",
    read(text) {
      const rate = wholeOf(text, RATE_MAX);
      return text === "off" ? { rate: undefined } : rate === null ? null : { rate };
    },
    show: ({ rate }) => String(rate ?? "off"),
  },
  hang: share("hangs", "submits that are taken and never answered"),
  down: share("down", "seconds in which every submit is refused for now"),
  "drop-links": share(
    "drops",
    "submits at which the SMPP link is closed, half of them taken; by HTTP a 500 after taking it. " +
      "`now`: all links and connections are closed at once, whatever is under way",
  ),
  reports: {
    value:
      `usual, off, on, or some of ${REPORT_KINDS.join(", ")}, joined by + and each with its share ` +
      "(late:0.1+lost)",
    what:
      "what is reported on all numbers but the fixed ones; on: that all are delivered; usual: on by SMPP, " +
      "off by HTTP",
    read: reportsOf,
    show: ({ reports }) => (reports === undefined ? "usual" : reports === null ? "off" : textOf(reports)),
  },
  "report-after": span("reportAfterMs", REPORT_AFTER_MAX_MS, "the time from a submit to its report"),
};

export type Change = { profile: Profile; seed: number | null; cut: boolean };

/** Reads `name=value …`, separated by blanks or commas; returns what is wrong with it if anything is. */
function readSettings(text: string, now: Profile): Change | string[] {
  const faults: string[] = [];
  const given = new Map<string, string>();
  for (const word of text.split(/[\s,]+/).filter((each) => each !== "")) {
    const at = word.indexOf("=");
    const name = at < 0 ? word : word.slice(0, at);
    if (at < 0) faults.push(`${word}: write name=value`);
    else if (given.has(name)) faults.push(`${name}: is given twice`);
    else given.set(name, word.slice(at + 1));
  }
  const change: Change = { profile: { ...now }, seed: null, cut: false };
  const known = ["profile", "seed", ...Object.keys(SETTINGS)];
  for (const name of known) {
    const value = given.get(name);
    if (value === undefined) continue;
    given.delete(name);
    const fault = apply(change, name, value);
    if (fault !== null) faults.push(`${name}=${value}: must be ${fault}`);
  }
  for (const name of given.keys()) faults.push(`${name}: is no setting; known: ${known.join(", ")}`);
  if (text.trim() === "") faults.push(`nothing is set; known: ${known.join(", ")}`);
  return faults.length > 0 ? faults : change;
}

/** Changes what this setting says; returns what the value must be if it isn't that. */
function apply(change: Change, name: string, value: string): string | null {
  if (name === "profile") {
    if (!isProfile(value)) return `one of ${Object.keys(PROFILES).join(", ")}`;
    change.profile = PROFILES[value];
    return null;
  }
  if (name === "seed") {
    change.seed = wholeOf(value, SEED_MAX);
    return change.seed === null ? `a whole number from 0 to ${SEED_MAX}` : null;
  }
  if (name === "drop-links" && value === "now") {
    change.cut = true;
    return null;
  }
  const setting = SETTINGS[name] as Setting;
  const changed = setting.read(value);
  if (changed === null) return setting.value + (name === "drop-links" ? ", or now" : "");
  change.profile = { ...change.profile, ...changed };
  return null;
}

export type Behaviour = {
  profile(): Profile;
  /** The next number in [0, 1) of the seed. */
  random(): number;
  /** Changes it; returns what is wrong with the text, or what has changed. */
  set(text: string): Change | string[];
  /** Every setting, as it could be set. */
  shown(): Record<string, string>;
};

export function createBehaviour(initial: Profile, initialSeed: number): Behaviour {
  let profile = initial;
  let seed = initialSeed;
  let random = randomFrom(seed);
  return {
    profile: () => profile,
    random: () => random(),
    set(text) {
      const change = readSettings(text, profile);
      if (Array.isArray(change)) return change;
      profile = change.profile;
      if (change.seed !== null) random = randomFrom((seed = change.seed));
      return change;
    },
    shown: () => ({
      ...Object.fromEntries(Object.entries(SETTINGS).map(([name, { show }]) => [name, show(profile)])),
      seed: String(seed),
    }),
  };
}

function shareOf(text: string): number | null {
  const n = Number(text);
  return /^\d*\.?\d+$/.test(text) && n >= 0 && n <= 1 ? n : null;
}

function wholeOf(text: string, most: number): number | null {
  const n = Number(text);
  return /^\d+$/.test(text) && n <= most ? n : null;
}

function timeOf(text: string): number | null {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  return amount === undefined ? null : Number(amount) * (UNITS[unit] as number);
}

function reportsOf(text: string): Partial<Profile> | null {
  if (text === "usual") return { reports: undefined };
  if (text === "off") return { reports: null };
  const reports = { ...ALL_DELIVERED };
  if (text === "on") return { reports };
  for (const each of text.split("+")) {
    const [name = "", given = "1", ...more] = each.split(":");
    const n = shareOf(given);
    if (n === null || more.length > 0 || !Object.hasOwn(reports, name)) return null;
    reports[name as keyof Reporting] = n;
  }
  return { reports };
}

function textOf(reports: Reporting): string {
  const some = REPORT_KINDS.filter((kind) => reports[kind] > 0);
  return some.length === 0 ? "on" : some.map((kind) => `${kind}:${reports[kind]}`).join("+");
}

/** Numbers in [0, 1) from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
