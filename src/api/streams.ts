// Answers of any length: each piece is made when the connection has taken the one before, so a client that
// reads slowly holds a piece and no more. Owns how many of them run at once. Leaves to their routes what the
// pieces are.
// Invariant: an answer ends whole, or its connection is cut before its last chunk: a client can tell. Bounds:
// STREAMS_MAX in this process, STREAMS_CUSTOMER_MAX of one customer.

import { SluiceError } from "../core/errors.ts";
import { STREAMS_CUSTOMER_MAX, STREAMS_MAX } from "../core/stream-limits.ts";
import type { Call, Streamed } from "./route.ts";

/** Places for answers under way. */
export type Streams = {
  /** Returns a function that gives the place back, once. @throws SluiceError overloaded */
  take(customerId: number): () => void;
};

export function createStreams(): Streams {
  const shares = new Map<number, number>();
  let running = 0;
  return {
    take(customerId) {
      const share = shares.get(customerId) ?? 0;
      if (running >= STREAMS_MAX || share >= STREAMS_CUSTOMER_MAX) {
        const detail = `At most ${STREAMS_CUSTOMER_MAX} uploads and exports of a customer run at once.`;
        throw new SluiceError("overloaded", { detail, retryAfterS: 5 });
      }
      running++;
      shares.set(customerId, share + 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        running--;
        const left = (shares.get(customerId) ?? 1) - 1;
        if (left === 0) shares.delete(customerId);
        else shares.set(customerId, left);
      };
    },
  };
}

type Opened = { pieces: AsyncGenerator<string>; headers: Record<string, string> };

/**
 * Answers with the pieces of what `open` opens; what that throws is answered instead. @throws SluiceError
 * overloaded, and what `open` throws
 */
export async function streamed(
  streams: Streams,
  { request, owner }: Pick<Call, "request" | "owner">,
  open: () => Promise<Opened>,
): Promise<Streamed> {
  const giveBack = streams.take(owner.customerId);
  request.signal.addEventListener("abort", giveBack, { once: true });
  try {
    const { pieces, headers } = await open();
    const body = streamOf(pieces, request.signal, () => {
      request.signal.removeEventListener("abort", giveBack);
      giveBack();
    });
    // The edge hands it on as it comes.
    return { status: 200, body, headers: { ...headers, "x-accel-buffering": "no" } };
  } catch (error) {
    giveBack();
    throw error;
  }
}

function streamOf(
  pieces: AsyncGenerator<string>,
  gone: AbortSignal,
  ended: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const leave = () => {
    ended();
    pieces.return(undefined).catch(() => undefined); // nobody is left to be told
  };
  gone.addEventListener("abort", leave, { once: true });
  if (gone.aborted) leave();
  const end = () => {
    gone.removeEventListener("abort", leave);
    ended();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done !== true) return controller.enqueue(encoder.encode(value));
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}
