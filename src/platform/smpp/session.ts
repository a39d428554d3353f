// One connection to an operator's SMSC, from connect to close: bind, requests and their answers, what the
// operator sends. A session is never used again; binds.ts opens the next one. States:
//   opening   TCP, TLS and bind under way, OPEN_MAX_MS at most
//   bound     submits may start while the window has room
//   draining  nothing new starts: the operator unbound us or doubts our bind, or close() was called; ends
//             with the last answer, or after DRAIN_MAX_MS
//   ended     every submit has its result, the socket is given up
// Leaves to others: what a status means (status.ts), reconnecting and waiting for room (binds.ts).
// Invariants: each submit has one result, "lost" without an answer, because its octets may have left. The
// window counts it until it is answered or its late answer is given up: the operator still holds it.
// Bound: the window, DELIVERS_MAX of the operator's messages, octets not yet sent, a deadline for all.

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { answerTo, bare, bind, type BindFields, type Draft, encodePdu, nack } from "./encode.ts";
import { createFramer } from "./framing.ts";
import { COMMAND, decodeAnswerText, type Header, PduError, readHeader, RESPONSE } from "./pdu.ts";
import { type Answered, createPending, type SubmitDone, type UnexpectedAnswer } from "./pending.ts";
import { STATUS, statusText } from "./status.ts";

export type SessionOptions = {
  host: string;
  port: number;
  /** Verified always; `ca` (PEM) replaces the machine's certificate authorities. */
  tls: { ca?: string } | null;
  bindAs: "transceiver" | "transmitter" | "receiver";
  login: BindFields;
  /** Submits without an answer. */
  window: number;
  /** How long the answer to a submit that is already lost is waited for. */
  lateMs: number;
  /** Silence after which the operator is asked for a sign of life, and how long it may take. */
  enquireMs: number;
  enquireAnswerMs: number;
  firstSequence?: number;
};

export type SessionHooks = {
  onBound(): void;
  /** A submit may start that couldn't before. */
  onRoom(): void;
  /** The raw deliver_sm or data_sm. True once it is stored: only then it is acknowledged. */
  onDeliver(pdu: Uint8Array): Promise<boolean>;
  onUnexpected(answer: UnexpectedAnswer): void;
  /** Once, after all results. `status` is that of a refused bind. */
  onEnd(reason: string, status: number | null): void;
};

export type Session = {
  hasRoom(): boolean;
  underWay(): number;
  /** Only while there is room. It is lost without an answer by `answerByMs` on performance.now(). */
  submit(draft: Draft, answerByMs: number, to: SubmitDone): void;
  /** Starts no more submits, and closes after the outstanding answers. */
  close(): void;
};

const OPEN_MAX_MS = 10_000;
const DRAIN_MAX_MS = 2_000;
/** Octets handed to the socket that it hasn't sent: an operator that doesn't read gets no more. */
const WRITE_BYTES_MAX = 256 * 1024;
/** Answers owed to an operator that doesn't read them: more than its own window can be. */
const OWED_BYTES_MAX = 1024 * 1024;
const DELIVERS_MAX = 1_000;
/** Operators send again after 30 s without an answer; an answer in time, even if it's "later", is better. */
const DELIVER_ANSWER_MAX_MS = 15_000;
/** generic_nacks that name no request of ours: after these the two ends disagree about the stream. */
const NACKS_MAX = 5;
const TICK_MS = 50;
const CLOSED = "closed";
const LAST_WORDS_MS = 500;

const BIND_COMMANDS = {
  transceiver: COMMAND.bindTransceiver,
  transmitter: COMMAND.bindTransmitter,
  receiver: COMMAND.bindReceiver,
} as const;

export function openSession(options: SessionOptions, hooks: SessionHooks): Session {
  let state: "opening" | "bound" | "draining" | "ended" = "opening";
  let drainReason = CLOSED;
  const openedMs = performance.now();
  let endByMs = openedMs + OPEN_MAX_MS;
  let heardMs = openedMs;
  let enquiredMs: number | null = null;
  let enquireSequence = 0;
  let nacks = 0;
  let delivers = 0;
  const onLate = () => hooks.onUnexpected("late");
  const pending = createPending(options.firstSequence ?? 1, options.lateMs, onLate);
  const framer = createFramer();
  const socket = dial(options);

  const send = (draft: Draft, sequence: number) => void socket.write(encodePdu(draft, sequence));
  const request = (draft: Draft, answered: Answered): number => {
    const sequence = pending.add(draft.command, answered);
    send(draft, sequence);
    return sequence;
  };
  const isEnded = () => state === "ended";

  function onBindAnswer(status: number) {
    if (status !== STATUS.ok) return end(`the bind was refused: ${statusText(status)}`, status);
    if (state !== "opening") return;
    state = "bound";
    hooks.onBound();
  }

  function drain(reason: string) {
    if (state === "ended" || state === "draining") return;
    endByMs = performance.now() + (state === "bound" ? DRAIN_MAX_MS : 0);
    drainReason = reason;
    state = "draining";
  }

  function end(reason: string, status: number | null = null, lastWords?: Uint8Array) {
    if (state === "ended") return;
    state = "ended";
    clearInterval(timer);
    if (lastWords !== undefined) socket.write(lastWords);
    socket.end();
    setTimeout(() => socket.destroy(), socket.connecting ? 0 : LAST_WORDS_MS).unref();
    pending.loseAll(reason);
    hooks.onEnd(reason, status);
  }

  function onAnswer({ command, status, sequence }: Header, pdu: Uint8Array) {
    const isNack = command === COMMAND.genericNack;
    const answered = pending.take(sequence, isNack ? "any" : command);
    if (answered !== null) {
      answered(isNack && status === STATUS.ok ? STATUS.invalidCommand : status, decodeAnswerText(pdu), pdu);
      if (status === STATUS.wrongBindState) drain("the operator doubts the bind");
      else if (state === "bound") hooks.onRoom();
      return;
    }
    if (isNack && state === "opening") return onBindAnswer(status || STATUS.bindFailed);
    hooks.onUnexpected("stray");
    if (isNack && ++nacks >= NACKS_MAX) end(`${nacks} generic_nacks without a request`);
  }

  function onRequest({ command, sequence }: Header, pdu: Uint8Array) {
    const answer = (status: number, text: string | null = null) =>
      send(answerTo(command, status, text), sequence);
    switch (command) {
      case COMMAND.enquireLink:
        return answer(STATUS.ok);
      case COMMAND.unbind:
        answer(STATUS.ok);
        return drain("the operator unbound us");
      case COMMAND.deliverSm:
      case COMMAND.dataSm:
        // message_id is unused in these answers, but some peers want its NUL (4.6.2).
        return take(pdu, (isStored) => answer(isStored ? STATUS.ok : STATUS.tryAgain, ""));
      case COMMAND.alertNotification: // has no answer
      case COMMAND.outbind: // we have bound already
        return;
      default:
        send(nack(STATUS.invalidCommand), sequence);
    }
  }

  function take(pdu: Uint8Array, answer: (isStored: boolean) => void) {
    if (delivers >= DELIVERS_MAX || state === "opening") return answer(false);
    delivers++;
    let isAnswered = false;
    const once = (isStored: boolean) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(late);
      if (state !== "ended") answer(isStored);
    };
    const late = setTimeout(once, DELIVER_ANSWER_MAX_MS, false);
    const stored = Promise.resolve(pdu).then(hooks.onDeliver);
    // What is never answered still counts: it is still being stored.
    void stored.then(once, () => once(false)).finally(() => delivers--);
  }

  function onData(chunk: Uint8Array) {
    if (isEnded()) return;
    try {
      for (const pdu of framer.push(chunk)) {
        onPdu(pdu);
        if (isEnded()) return;
      }
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      end(error.message, null, encodePdu(nack(STATUS.invalidLength), 0));
    }
  }

  function onPdu(pdu: Uint8Array) {
    heardMs = performance.now();
    enquiredMs = null;
    const header = readHeader(pdu);
    if (header.command >= RESPONSE) onAnswer(header, pdu);
    else onRequest(header, pdu);
  }

  function tick() {
    if (state === "ended") return;
    const nowMs = performance.now();
    if (pending.expire(nowMs) > 0) hooks.onRoom();
    if (socket.writableLength > OWED_BYTES_MAX) return end("the operator doesn't read");
    if (state === "opening" && nowMs >= endByMs) return end("no bind in time");
    if (state === "draining") {
      if (nowMs < endByMs && pending.submits() > 0) return;
      if (drainReason === CLOSED) request(bare(COMMAND.unbind), () => undefined);
      return end(drainReason);
    }
    if (enquiredMs !== null && nowMs - enquiredMs >= options.enquireAnswerMs) end("no sign of life");
    else if (enquiredMs === null && state === "bound" && nowMs - heardMs >= options.enquireMs) {
      enquiredMs = nowMs;
      // Another PDU may have proved life instead of its answer.
      pending.take(enquireSequence, "any");
      enquireSequence = request(bare(COMMAND.enquireLink), () => void (enquireSequence = 0));
    }
  }

  // After a sleep, answers that are already here are read before any time is up: between two immediates the
  // loop reads its sockets.
  const timer = setInterval(() => setImmediate(() => setImmediate(tick)), TICK_MS);
  socket.on(options.tls === null ? "connect" : "secureConnect", () => {
    if (state === "opening") request(bind(BIND_COMMANDS[options.bindAs], options.login), onBindAnswer);
  });
  socket.on("data", onData);
  socket.on("error", (error) => end((error as { code?: string }).code ?? error.message));
  socket.on("close", () => end(state === "draining" ? drainReason : "the connection was closed"));

  return {
    hasRoom: () =>
      state === "bound" &&
      socket.writable &&
      socket.writableLength < WRITE_BYTES_MAX &&
      pending.submits() < options.window,
    underWay: () => pending.submits(),
    submit: (draft, answerByMs, to) => send(draft, pending.addSubmit(draft.command, answerByMs, to)),
    close: () => drain(CLOSED),
  };
}

function dial({ host, port, tls }: SessionOptions): Socket {
  const socket =
    tls === null
      ? connectTcp({ host, port })
      : connectTls({ host, port, servername: isIP(host) > 0 ? "" : host, rejectUnauthorized: true, ...tls });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30_000);
  return socket;
}
