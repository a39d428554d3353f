// Evidence of a small run without any violation, for tests of the checker, and what they change in it.

import type { Answer, DoorCall, Evidence, MessageRow, SendRequest, Snapshot } from "./evidence.ts";

export const COST = 500;
const NOON_MS = 43_200_000;
export const yes = (id: string, changed: Partial<Answer> = {}): Answer => ({
  status: 202,
  code: null,
  id,
  cost: COST,
  replayed: false,
  body: `body of ${id}`,
  ...changed,
});
export const no = (status: number, code: string | null = null): Answer => ({
  status,
  code,
  id: null,
  cost: null,
  replayed: false,
  body: null,
});
export const request = (n: number, key: string | null, ...tries: Answer[]): SendRequest => ({
  n,
  customer: "1",
  key,
  tries,
});
const message = (n: number, status: string, lane = "normal"): MessageRow => ({
  id: `M${n}`,
  customer: "1",
  reference: `r${n}`,
  lane,
  status,
  cost: COST,
  attempt: 0,
  sequence: { unknown: 3, sent: 4 }[status] ?? 5,
  told: n === 1 || n === 6 ? 1 : 0,
});
export const told = (n: number, status: string, sequence: number) => ({
  event: `E${n}-${sequence}`,
  message: `M${n}`,
  status,
  sequence,
});

/** A call about the message of a door's n-th request. */
export const called = (peer: DoorCall["peer"], n: number, word: string): DoorCall => ({
  event: `D${n}-${word}`,
  peer,
  n,
  message: `M${n}`,
  customer: "1",
  word,
  isSigned: true,
});

const asked = (): SendRequest[] => [
  request(1, null, yes("M1")),
  request(2, "k2", no(0), no(503, "unavailable"), yes("M2", { replayed: true })),
  request(3, "k3", yes("M3")),
  request(4, null, yes("M4")),
  request(5, null, yes("M5")),
  request(6, null, no(0)),
  request(7, null, no(503, "overloaded")),
  request(8, "k8", yes("M8"), yes("M8", { replayed: true })),
  { ...request(11, null, yes("M11", { id: null })), door: { peer: "kannel", mask: 9 } },
  { ...request(12, "k12", no(503, "twilio 20503"), yes("M12")), door: { peer: "twilio" } },
];

const paidIn = (): Pick<Evidence, "topupRequests" | "adjustments"> => ({
  topupRequests: [
    {
      request: "t1",
      customer: "1",
      amount: 10_000,
      tries: [
        { status: 0, idempotent: null, replayed: false },
        { status: 200, idempotent: true, replayed: false },
      ],
    },
  ],
  adjustments: [
    {
      key: "a1",
      customer: "1",
      amount: 1_200,
      tries: [
        { status: 0, entry: null, replayed: false },
        { status: 201, entry: "A1", replayed: true },
      ],
    },
  ],
});

/** One customer and one message of every kind: what a run without any violation leaves behind. */
export function clean(): Evidence {
  const messages = [
    message(1, "sent"), // plain
    message(2, "sent"), // its answer was lost, it was retried with its key
    message(3, "failed"), // refused by all operators
    message(4, "unknown"), // the operator never answered
    message(5, "sent", "express"), // taken too late: refunded
    message(6, "delivered"), // its answer was lost, and it had no key
    message(8, "sent"), // its key was sent again on purpose
    message(11, "delivered"), // by Kannel's door, whose answer has no id
    message(12, "sent"), // by Twilio's
  ];
  const entries = messages.flatMap(({ id, status, lane }) => {
    const entry = (leg: string, op: string) => ({ customer: "1", entry: id, leg, op, amount: COST });
    const close = status === "failed" || lane === "express" ? "refund" : "capture";
    return [entry("open", "reserve"), ...(status === "unknown" ? [] : [entry("close", close)])];
  });
  const own = (entry: string, op: string, amount: number) => ({
    customer: "1",
    entry,
    leg: "open",
    op,
    amount,
  });
  entries.push(own("T1", "topup", 10_000), own("G1", "grant", 6_000), own("L1", "release", 1_000));
  entries.push(own("A1", "adjust_up", 1_200));
  // 9 reserves of 500 from 6,000: 1,500 left in leases, of which 1,000 were released; 6 captures, 2 refunds.
  const wallet = { customer: "1", balance: 7_200, reserved: 1_000, leases: 500 };
  const sums = { customer: "1", topups: 10_000, leases: 500, open: 500 };
  const before = { ...sums, adjusted: 0, balance: 9_000, captured: 0, spent: 500 };
  const after = { ...sums, adjusted: 1_200, balance: 7_200, captured: 3_000, spent: 4_500 };
  return {
    rich: new Set(["1"]),
    caps: new Map([["1", { daily: 5_000, monthly: null }]]),
    hangs: 1,
    requests: asked(),
    ...paidIn(),
    canceled: [],
    messages,
    entries,
    wallets: [wallet],
    topups: [{ customer: "1", request: "t1", amount: 10_000 }],
    operators: [
      ["M1", "M4", "M11"],
      ["M2", "M6"],
      ["M5", "M8", "M12"],
    ],
    reports: [new Map([["M11", "delivered"]]), new Map([["M6", "delivered"]]), new Map()],
    clickhouse: {
      entries: entries.map((entry) => ({ ...entry })),
      statuses: messages.map(({ id, status, sequence }) => ({
        id,
        status,
        sequence,
        ...(id === "M11" ? { wasSent: 1 as const } : {}),
      })),
    },
    webhooks: [
      told(1, "queued", 1),
      told(1, "sent", 4),
      told(6, "sent", 4), // overtook the one before
      told(6, "queued", 1),
      told(6, "delivered", 5),
      told(6, "delivered", 5), // its acknowledgement was lost
      { event: "I1", message: "", status: "message.received", sequence: 0 },
    ],
    doorCalls: [
      called("kannel", 11, "8"),
      called("kannel", 11, "1"),
      called("kannel", 11, "1"), // its acknowledgement was lost
      called("twilio", 12, "sent"),
    ],
    inbound: {
      answers: [1, 1, 2].map((n) => ({ id: `mo-${n}`, customer: String(n) })),
      rows: [
        { event: "I1", customer: "1", operatorId: "mo-1", told: 1 },
        { event: "I2", customer: "2", operatorId: "mo-2", told: 0 }, // it has no URL
      ],
    },
    snapshots: [before, before, after].map(
      (customer, n): Snapshot => ({ at: NOON_MS + n, customers: [{ ...customer }] }),
    ),
    faults: [{ at: 0, index: 0, kind: "kill", what: "kill relay", tookMs: 1, inFlight: 1 }],
  };
}
