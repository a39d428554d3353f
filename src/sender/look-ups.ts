// Looks up messages whose answer was lost, at operators that can be asked: over HTTP by our id or the number
// made of it, over SMPP by the operator's, if it has named it all the same. What an operator answers is
// stored in the inbox as if it had reported it, so it is read, matched and settled where reports are
// (src/dlr/).
// Owns who is asked about what, and when. Leaves to others: what an answer means; messages of operators that
// can't be asked, which wait for their report or their time limit.
// Invariant: one sender of all asks at a time; nothing is ever submitted here. However many are unknown, each
// has its turn: a round goes on where the last one ended. Bound: READ_MAX messages read and ASKED_AT_ONCE_MAX
// questions a round, ANSWER_MAX_MS and ANSWER_BYTES_MAX for each answer.

import { idNumber } from "../core/id.ts";
import type { RawReport } from "../core/raw-report.ts";
import { findNamed } from "../ledger/submissions.ts";
import { type ClaimPlace, findUnknown, type UnsureSubmit } from "../ledger/unsure.ts";
import { authorizationOf } from "../operators/connectors/http-request.ts";
import { isKavenegarAnswer, kavenegarLookUp } from "../operators/connectors/kavenegar.ts";
import type { OperatorSpec } from "../operators/connectors/kinds.ts";
import { ASKED_ID } from "../operators/reports/http-reading.ts";
import type { Log } from "../platform/log.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { withLock } from "../platform/named-lock.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import type { LookUpAt } from "./worker-port.ts";

export type LookUpDeps = {
  pool: Pool;
  /** Those that can be asked from here, of the routes file as it is now. */
  operators: () => readonly OperatorSpec[];
  /** Resolves once it is stored. */
  store: (report: RawReport) => Promise<void>;
  /** Asks on a connection of the workers, who store what comes. */
  query: LookUpAt;
  log: Log;
  now: () => number;
};

const EVERY_MS = 15_000;
const RUN_MAX_MS = 60_000;
const ASKED_AT_ONCE_MAX = 40;
const READ_AT_ONCE = 2_000;
const READ_MAX = 10 * READ_AT_ONCE;
const SIDE_BY_SIDE = 8;
const ANSWER_MAX_MS = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** Late answers come before that. Asked again after as long as it has been unknown, an hour at most. */
const FIRST_MS = 30_000;
const AGAIN_MOST_MS = 3_600_000;

/** Where an operator of HTTP is asked about the message of an id. An address may have a secret. */
type Asking = {
  urlOf(id: string): string;
  authorization?: string | undefined;
  /** Whether its answer is about that message at all; any is, unless given. */
  isAbout?(body: Uint8Array, id: string): boolean;
};
/** `asking`: null over SMPP. */
type Askable = { operator: string; asking: Asking | null };

/** Kept from round to round. */
export type Rounds = {
  /** When each message was asked about; forgotten when it may be asked about again in any case. */
  askedAtMs: Map<string, number>;
  /** What was read last; null: the next round begins with the oldest. */
  place: ClaimPlace | null;
};
export const newRounds = (): Rounds => ({ askedAtMs: new Map(), place: null });

export function startLookUps(deps: LookUpDeps & PeriodicDeps): Periodic {
  const rounds = newRounds();
  const counts = deps.metrics.counts("sluice_sender", ["looked_up_total"]);
  const options = { name: "look-ups", everyMs: EVERY_MS, firstMs: EVERY_MS, runMaxMs: RUN_MAX_MS };
  return startPeriodic(deps, options, async (signal) => {
    counts.looked_up_total += await lookUp(deps, rounds, signal);
  });
}

/** One round of questions, unless another sender asks at the moment; returns how many. */
export async function lookUp(deps: LookUpDeps, rounds: Rounds, signal: AbortSignal): Promise<number> {
  const askable = new Map(deps.operators().flatMap(askableOf));
  if (askable.size === 0) return 0;
  const asked = await withLock(deps.pool, "look-ups", async (conn) => {
    const nowMs = deps.now();
    const { askedAtMs } = rounds;
    for (const [id, atMs] of askedAtMs) if (nowMs - atMs >= AGAIN_MOST_MS) askedAtMs.delete(id);
    const due = await findDue(
      conn,
      rounds,
      (one) => mayAsk(one, askable) && isDue(one, askedAtMs.get(one.id), nowMs),
    );
    const named = await findNamed(
      conn,
      due.filter(({ operatorMessageId }) => operatorMessageId !== null).map(({ id }) => id),
    );
    for (let at = 0; at < due.length && !signal.aborted; at += SIDE_BY_SIDE)
      await Promise.all(
        due.slice(at, at + SIDE_BY_SIDE).map((one) => {
          askedAtMs.set(one.id, nowMs);
          const of = askable.get(one.operator ?? "") as Askable;
          return ask(deps, of, { ...one, operatorMessageIds: named.get(one.id) ?? [] }, signal);
        }),
      );
    return due.length;
  });
  return asked === "busy" ? 0 : asked;
}

/** The next of the unknown messages that are to be asked about, the oldest first. */
async function findDue(
  conn: Connection,
  rounds: Rounds,
  isToAsk: (one: UnsureSubmit) => boolean,
): Promise<UnsureSubmit[]> {
  const due: UnsureSubmit[] = [];
  for (let read = 0; read < READ_MAX && due.length < ASKED_AT_ONCE_MAX; read += READ_AT_ONCE) {
    const { found, next } = await findUnknown(conn, rounds.place, READ_AT_ONCE);
    due.push(...found.filter(isToAsk));
    rounds.place = next;
    if (next === null) break;
  }
  return due.toSorted((a, b) => a.changedAtMs - b.changedAtMs).slice(0, ASKED_AT_ONCE_MAX);
}

function isDue({ changedAtMs }: UnsureSubmit, askedAtMs: number | undefined, nowMs: number): boolean {
  if (askedAtMs === undefined) return nowMs - changedAtMs >= FIRST_MS;
  return nowMs - askedAtMs >= Math.min(AGAIN_MOST_MS, askedAtMs - changedAtMs);
}

/** Over SMPP only about what the operator has named. */
function mayAsk(one: UnsureSubmit, askable: ReadonlyMap<string, Askable>): boolean {
  const of = askable.get(one.operator ?? "");
  return of !== undefined && (of.asking !== null || one.operatorMessageId !== null);
}

function askableOf(spec: OperatorSpec): [operator: string, askable: Askable][] {
  const { name: operator } = spec;
  if (spec.kind === "smpp") return spec.query_sm ? [[operator, { operator, asking: null }]] : [];
  const asking = askingOf(spec);
  return asking === null ? [] : [[operator, { operator, asking }]];
}

/** Null if it can't be asked: nothing finds a message there, or its answers couldn't be read. */
function askingOf(spec: Exclude<OperatorSpec, { kind: "smpp" }>): Asking | null {
  const { reports } = spec;
  if (reports?.look_up !== undefined) {
    const secrets = spec.kind === "http" ? (spec.secrets ?? {}) : {};
    const url = reports.look_up.replaceAll(/\{secret\.(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(secrets[name] ?? ""),
    );
    return {
      urlOf: (id) => url.replaceAll("{id}", id).replaceAll("{id_number}", () => idNumber(id)),
      authorization: spec.kind === "http" ? authorizationOf(spec) : undefined,
    };
  }
  if (spec.kind !== "kavenegar" || !spec.localid || reports === undefined) return null;
  return { urlOf: (id) => kavenegarLookUp(spec, id), isAbout: isKavenegarAnswer };
}

type One = UnsureSubmit & { operatorMessageIds: string[] };

/** What can't be asked now is asked later: the message is held in any case. */
async function ask(
  deps: LookUpDeps,
  { operator, asking }: Askable,
  one: One,
  signal: AbortSignal,
): Promise<void> {
  const { id, phone, from, operatorMessageIds } = one;
  const { store, log, now } = deps;
  if (asking === null) return deps.query(operator, { operatorMessageIds, phone, from });
  const { urlOf, authorization, isAbout = () => true } = asking;
  try {
    const answer = await fetch(urlOf(id), {
      redirect: "error",
      headers: authorization === undefined ? {} : { authorization },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MAX_MS)]),
    });
    const body = await bytesOf(answer);
    if (answer.status !== 200 || body === null || !isAbout(body, id)) {
      log.info({ operator, id, status: answer.status }, "an operator doesn't say what became of a message");
      return;
    }
    const contentType = answer.headers.get("content-type") ?? "";
    const query = `${ASKED_ID}=${id}`;
    await store({ operator, receivedAtMs: now(), via: "http", contentType, query, body });
  } catch (err) {
    // Not the error itself, which has the address.
    const { code, name } = err as { code?: string; name?: string };
    log.warn({ operator, id, reason: code ?? name }, "could not look up a message at its operator");
  }
}

/** The body; null if it is too long. */
async function bytesOf({ body }: Response): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
