// The table of roles: what each process runs, where it answers, and when it stops. The launcher, `status`,
// the stop order, `--help` and the fault suite are made from it.

export type RoleKind = keyof typeof ROLES;
export type RoleRow = {
  what: string;
  runtime: "bun" | "node";
  /** A file in src/main/ and its arguments. */
  command: readonly [file: string, ...args: string[]];
  /**
   * Where the health ports of its processes begin, counted from SLUICE_HEALTH_PORT; null: it has none, its
   * working port answers.
   */
  healthOffset: number | null;
  /** The path whose answer says that the process can do its work. */
  ready: "/ready" | "/health";
  /**
   * When it is ready and the CPU is short, accepting messages comes first, then the express lane, then the
   * rest, where a backlog only grows a little. Only root can put a process before others (below 0): then what
   * is accepted comes before the express lane, too; and nothing has so little weight that a busy stranger
   * stops it.
   */
  nice: number;
  /**
   * Order of stopping: first what takes requests, then what processes them, then what those processes talk
   * to.
   */
  stops: 1 | 2 | 3;
  /** It has the routes file, and reads it again on SIGHUP. */
  reloads: boolean;
  /** The names of its processes, if it has more than one. */
  names: readonly string[] | "numbered" | null;
};

export const ROLES = {
  ingest: {
    what: "the HTTP API: accepts, charges and stores messages",
    runtime: "bun",
    command: ["ingest.ts"],
    healthOffset: 1, // up to 16 processes
    ready: "/ready",
    nice: -5,
    stops: 1,
    reloads: true,
    names: "numbered",
  },
  relay: {
    what: "moves outbox rows to Kafka; finds lost messages; checks the books",
    runtime: "node",
    command: ["relay.ts"],
    healthOffset: 20,
    ready: "/ready",
    nice: 5,
    stops: 2,
    reloads: false,
    names: null,
  },
  "sender-normal": {
    what: "sends the normal lane to operators and settles it",
    runtime: "node",
    command: ["sender.ts", "--lane", "normal"],
    healthOffset: 30,
    ready: "/ready",
    nice: 10,
    stops: 2,
    reloads: true,
    names: null,
  },
  "sender-express": {
    what: "sends the express lane to operators and settles it",
    runtime: "node",
    command: ["sender.ts", "--lane", "express"],
    healthOffset: 40,
    ready: "/ready",
    nice: 0,
    stops: 2,
    reloads: true,
    names: null,
  },
  dlr: {
    what: "reads operators' delivery reports and settles their messages",
    runtime: "node",
    command: ["dlr.ts"],
    healthOffset: 50,
    ready: "/ready",
    nice: 10,
    stops: 2,
    reloads: true,
    names: null,
  },
  webhook: {
    what: "tells customers of their messages' status changes, at their URLs",
    runtime: "node",
    command: ["webhook.ts"],
    healthOffset: 60,
    ready: "/ready",
    nice: 10,
    stops: 2,
    reloads: false,
    names: null,
  },
  admin: {
    what: "the admin API, on a port of its own: customers, keys, prices, money, the audit log",
    runtime: "bun",
    command: ["admin.ts"],
    healthOffset: 70,
    ready: "/ready",
    nice: 10,
    stops: 1,
    reloads: false,
    names: null,
  },
  operator: {
    what: "a simulated operator, for development and tests",
    runtime: "bun",
    command: ["operator.ts"],
    healthOffset: null,
    ready: "/health",
    nice: 10,
    stops: 3,
    reloads: false,
    names: ["A", "B", "C"],
  },
} as const satisfies Record<string, RoleRow>;

/** Where the simulated operators listen: only this machine's gateway has them. */
export const OPERATORS_HOST = "127.0.0.1";

/** The names of a role's processes, in order; for a `numbered` role, `count` of them. */
export function processNames(role: RoleKind, count = 1): string[] {
  const { names }: RoleRow = ROLES[role];
  if (names === null) return [role];
  if (names === "numbered") return Array.from({ length: count }, (_, at) => `${role}-${at + 1}`);
  return names.map((name) => `${role}-${name}`);
}

/** Roles that stop together, in order of stopping. */
export const stopStages: readonly (readonly string[])[] = [1, 2, 3].map((stage) =>
  Object.entries(ROLES).flatMap(([role, { stops }]) => (stops === stage ? [role] : [])),
);

/** One line per role, for --help. */
export const describeRoles = (): string =>
  Object.entries(ROLES)
    .map(([role, { what }]) => `  ${role.padEnd(16)} ${what}`)
    .join("\n");
