// The one table of roles: what each process runs, where it answers, and its place when everything stops. The
// launcher, `status`, the stop order, `--help` and the fault suite are made from it.

export type RoleKind = keyof typeof ROLES;
export type RoleRow = {
  what: string;
  runtime: "bun" | "node";
  /** In src/main/, with its arguments. */
  command: readonly [file: string, ...args: string[]];
  /** Health ports are counted from SLUICE_HEALTH_PORT; null: the port it works on answers. */
  healthOffset: number | null;
  /** The path that says that it would do its work. */
  ready: "/ready" | "/health";
  /** Accepting goes first when not everything can be had at once, then the express lane, then the rest: a
   * backlog further down only grows a little. */
  nice: number;
  /** Who takes requests stops first, then who works them off, then whom those talk to. */
  stops: 1 | 2 | 3;
  /** How it is named from outside, where it is more than one process. */
  names: readonly string[] | "numbered" | null;
};

export const ROLES = {
  ingest: {
    what: "the HTTP API: accepts, charges and stores messages",
    runtime: "bun",
    command: ["ingest.ts"],
    healthOffset: 0, // and 1 to 16 by its number
    ready: "/ready",
    nice: 0,
    stops: 1,
    names: "numbered",
  },
  relay: {
    what: "carries outbox rows to Kafka; sweeps, and checks the books",
    runtime: "node",
    command: ["relay.ts"],
    healthOffset: 20,
    ready: "/ready",
    nice: 10,
    stops: 2,
    names: null,
  },
  "sender-normal": {
    what: "submits the normal lane to operators and settles it",
    runtime: "node",
    command: ["sender.ts", "--lane", "normal"],
    healthOffset: 30,
    ready: "/ready",
    nice: 19,
    stops: 2,
    names: null,
  },
  "sender-express": {
    what: "submits the express lane to operators and settles it",
    runtime: "node",
    command: ["sender.ts", "--lane", "express"],
    healthOffset: 40,
    ready: "/ready",
    nice: 5,
    stops: 2,
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
    names: ["A", "B", "C"],
  },
} as const satisfies Record<string, RoleRow>;

/** Names of a role's processes, in order; `numbered` ones as many as asked for. */
export function processNames(role: RoleKind, count = 1): string[] {
  const { names }: RoleRow = ROLES[role];
  if (names === null) return [role];
  if (names === "numbered") return Array.from({ length: count }, (_, at) => `${role}-${at + 1}`);
  return names.map((name) => `${role}-${name}`);
}

/** Roles that stop together, the first ones first. */
export const stopStages: readonly (readonly string[])[] = [1, 2, 3].map((stage) =>
  Object.entries(ROLES).flatMap(([role, { stops }]) => (stops === stage ? [role] : [])),
);

/** A line a role, for --help. */
export const describeRoles = (): string =>
  Object.entries(ROLES)
    .map(([role, { what }]) => `  ${role.padEnd(16)} ${what}`)
    .join("\n");
