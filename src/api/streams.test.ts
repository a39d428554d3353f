import { describe, expect, test } from "bun:test";
import { STREAMS_CUSTOMER_MAX, STREAMS_MAX } from "../core/stream-limits.ts";
import { createStreams, streamed } from "./streams.ts";

const owner = { customerId: 1 } as never;
/** Places of this customer that are still free. */
const freeOf = (streams: ReturnType<typeof createStreams>, customerId = 1): number => {
  const taken: (() => void)[] = [];
  try {
    for (;;) taken.push(streams.take(customerId));
  } catch {
    for (const giveBack of taken) giveBack();
    return taken.length;
  }
};

describe("places", () => {
  test("are bounded for one customer and for all; giving one back twice gives back one", () => {
    const streams = createStreams();
    const back = Array.from({ length: STREAMS_CUSTOMER_MAX }, () => streams.take(1));
    expect(() => streams.take(1)).toThrow("overloaded");
    back[0]?.();
    back[0]?.();
    expect(freeOf(streams)).toBe(1);
    for (let n = 1; n < STREAMS_MAX - STREAMS_CUSTOMER_MAX + 2; n++) streams.take(100 + n);
    expect(() => streams.take(2)).toThrow("overloaded");
  });
});

describe("a streamed answer", () => {
  const open = (pieces: AsyncGenerator<string>) => () => Promise.resolve({ pieces, headers: {} });
  const asked = (signal = new AbortController().signal) => ({ owner, request: { signal } as Request });

  test("has its pieces, and gives its place back at the end", async () => {
    const streams = createStreams();
    async function* two() {
      yield await Promise.resolve("a\n");
      yield "ب\n";
    }
    const { body } = await streamed(streams, asked(), open(two()));
    expect(freeOf(streams)).toBe(STREAMS_CUSTOMER_MAX - 1);
    expect(await new Response(body).text()).toBe("a\nب\n");
    expect(freeOf(streams)).toBe(STREAMS_CUSTOMER_MAX);
  });

  test("makes nothing ahead of its reader, and stops when that leaves", async () => {
    for (const leave of ["cancel", "abort"] as const) {
      const streams = createStreams();
      let [made, ended] = [0, false];
      async function* endless() {
        try {
          for (;;) yield await Promise.resolve(String(made++));
        } finally {
          ended = true;
        }
      }
      const gone = new AbortController();
      const { body } = await streamed(streams, asked(gone.signal), open(endless()));
      const reader = body.getReader();
      await reader.read();
      await reader.read();
      await Bun.sleep(5);
      expect(made).toBe(2);
      if (leave === "cancel") await reader.cancel();
      else gone.abort();
      await Bun.sleep(5);
      expect([ended, freeOf(streams)]).toEqual([true, STREAMS_CUSTOMER_MAX]);
    }
  });

  test("that fails later is cut off; one that can't begin is refused", async () => {
    const streams = createStreams();
    async function* failing() {
      yield await Promise.resolve("a");
      throw new Error("lost");
    }
    const { body } = await streamed(streams, asked(), open(failing()));
    expect(await new Response(body).text().catch((error: unknown) => String(error))).toContain("lost");
    const refused = streamed(streams, asked(), () => Promise.reject(new Error("no")));
    expect(await refused.catch((error: unknown) => String(error))).toContain("no");
    expect(freeOf(streams)).toBe(STREAMS_CUSTOMER_MAX);
  });
});
