// Uploads in the load: bodies of NDJSON of several chunks, sent slowly, so that faults strike in the middle,
// and again with the same key until every line has its result; some by two requests at once, some once more
// afterwards. Their lines are logged as requests for each message, which checker.ts judges as it does those
// of load.ts. What is sent follows from the seed. Bounds: one upload every EVERY_MS, of LINES_MAX lines.

import { sleep } from "../../src/platform/retry.ts";
import { rawUpload } from "../support/raw-upload.ts";
import { randomFrom } from "../support/seed.ts";
import type { Answer, ClientLine, Lines } from "./evidence.ts";
import { type LoadCustomer, nameOf } from "./load.ts";
import { type SideLoad, startSideLoad } from "./side-load.ts";

const EVERY_MS = 8_000;
const LINES_MIN = 40;
const LINES_MAX = 150;
/** Lines this long make a chunk of some 64, because a chunk has at most 1 MiB. */
const LINE_BYTES = 16_000;
const PIECES = 4;
const PIECE_MS = 250;
const ATTEMPT_MAX_MS = 20_000;
const AGAIN_MS = 700;
const TWO_AT_ONCE_SHARE = 0.25;
const AFTERWARDS_SHARE = 0.5;
/** The numbers of their messages begin above those of all other requests. */
const FIRST = 100_000_000;
/** Every other answer is certain. */
const AGAIN = new Set([0, 409, 429, 503]);

type Upload = { first: number; customer: LoadCustomer; key: string; lines: readonly string[] };
type Result = Record<string, unknown>;

/** `url`: of the API. */
export function startUploads(
  log: Lines<ClientLine>,
  { url, customers, seed }: { url: string; customers: readonly LoadCustomer[]; seed: number },
): SideLoad {
  const random = randomFrom(seed + 5);
  let next = FIRST;
  const draw = (): Upload => {
    const first = next;
    const count = LINES_MIN + Math.floor(random() * (LINES_MAX - LINES_MIN));
    next += count;
    const customer = customers[Math.floor(random() * customers.length)] as LoadCustomer;
    const lines = Array.from({ length: count }, (_, at) => {
      const n = first + at;
      const phone = `+98912${1_000_000 + Math.floor(random() * 8_000_000)}`;
      return JSON.stringify({ phone, text: nameOf(n), reference: `r${n}` }).padEnd(LINE_BYTES);
    });
    return { first, customer, key: `upload-${first}`, lines };
  };

  /** Returns whether every line has a certain result. */
  const attempt = async (
    { first, customer, key, lines }: Upload,
    isOver: () => boolean,
  ): Promise<boolean> => {
    for (const at of lines.keys())
      log.add({
        what: "send",
        at: Date.now(),
        n: first + at,
        customer: customer.customer,
        key,
        batch: { first, partial: true },
      });
    const socket = rawUpload(url, customer, { "idempotency-key": key });
    const piece = Math.ceil(lines.length / PIECES);
    for (let from = 0; from < lines.length && !socket.state().closed; from += piece) {
      socket.write(`${lines.slice(from, from + piece).join("\n")}\n`);
      await sleep(PIECE_MS);
    }
    socket.end();
    const endMs = performance.now() + ATTEMPT_MAX_MS;
    const isAnswered = () => socket.state().ended || socket.state().closed;
    while (!isAnswered() && !isOver() && performance.now() < endMs) await sleep(50);
    const [status, results] = [socket.status(), socket.lines()];
    socket.leave();
    const answers = lines.map((_, at) => answerOf(status, results, at));
    for (const [at, answer] of answers.entries())
      if (answer !== null) log.add({ what: "answer", at: Date.now(), n: first + at, ...answer });
    return answers.every((answer) => answer !== null && !AGAIN.has(answer.status));
  };
  const send = async (upload: Upload, isTwice: boolean, isRepeated: boolean, isOver: () => boolean) => {
    const until = async () => {
      while (!isOver() && !(await attempt(upload, isOver))) await sleep(AGAIN_MS);
    };
    await Promise.all(isTwice ? [until(), until()] : [until()]);
    if (isRepeated && !isOver()) await until();
  };
  return startSideLoad(EVERY_MS, (isOver) => [
    send(draw(), random() < TWO_AT_ONCE_SHARE, random() < AFTERWARDS_SHARE, isOver),
  ]);
}

/**
 * What a line was answered: its own result, or else the problem that ended the answer, which says that
 * nothing further was taken; null if neither came. Nothing marks what is told again, so all count as such.
 */
export function answerOf(status: number, results: readonly Result[], at: number): Answer | null {
  const none = { id: null, cost: null, replayed: true, body: null };
  const result = results[at];
  if (result !== undefined && !isProblem(result)) {
    const { index, id, cost } = result;
    if (index !== at || typeof id !== "string" || typeof cost !== "number")
      return { ...none, status, code: `result ${JSON.stringify(result)}` };
    return { ...none, status: 202, code: null, id, cost, body: JSON.stringify(result) };
  }
  const last = results.at(-1);
  if (last === undefined || !isProblem(last)) return null;
  return { ...none, status: Number(last.status), code: String(last.code) };
}

const isProblem = (result: Result): boolean => "status" in result;
