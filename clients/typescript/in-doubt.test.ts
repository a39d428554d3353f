// What a call ends with after a try that may have taken effect: never with a problem from which its caller
// would conclude that nothing was stored or charged. Retries and waits: sluice.test.ts.

import { describe, expect, test } from "bun:test";
import { type ErrorCode, problemBody, SluiceError } from "../../src/core/errors.ts";
import { SluiceUnreachable } from "./problem.ts";
import { createSluice, type SluiceOptions } from "./sluice.ts";

const message = { phone: "+989121234567", text: "Hello", type: "normal" } as const;
const sent = { enqueued: true, id: "01M7YBCG2N0V4QK5A1T8P6WJ3D", status: "queued", cost: 500 };

type Try = () => Promise<Response>;
const success: Try = () => Promise.resolve(Response.json(sent, { status: 202 }));
const refused =
  (code: ErrorCode): Try =>
  () => {
    const error = new SluiceError(code);
    return Promise.resolve(new Response(problemBody(error, "r-1"), { status: error.status }));
  };
const noAnswer: Try = () => Promise.reject(new TypeError("the connection was lost"));
const cutWithin: Try = () => Promise.resolve(new Response('{"enqueued":true,"id":', { status: 503 }));

/** The last of them is for all further tries. */
const client = (tries: Try[], options: Partial<SluiceOptions> = {}) =>
  createSluice({
    baseUrl: "http://127.0.0.1",
    apiKey: "slk_test",
    fetch: () => (tries.length > 1 ? tries.shift() : tries[0])?.() ?? noAnswer(),
    sleep: () => Promise.resolve(),
    ...options,
  });
const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => Promise.reject(new Error("it did not throw")),
    (thrown: unknown) => thrown,
  );

describe("a refusal that comes after a try that", () => {
  for (const [doubt, first] of [
    ["got no answer", noAnswer],
    ["was answered by half of a problem", cutWithin],
    ["ended in outcome_unknown", refused("outcome_unknown")],
    ["was still in progress", refused("idempotency_in_progress")],
  ] as const)
    for (const code of ["unavailable", "overloaded", "rate_limited", "customer_suspended"] as const)
      test(`${doubt} says nothing of that try: ${code}`, async () => {
        const tries = [first, refused(code)];
        const thrown = await thrownBy(client(tries).send(message, { idempotencyKey: "order-1" }));
        expect(thrown).toBeInstanceOf(SluiceUnreachable);
        expect(thrown).toMatchObject({ status: null, idempotencyKey: "order-1", cause: { code } });
        expect((thrown as Error).message).toContain(code);
      });

  test("was refused as well is thrown as it is: nothing was stored or charged", async () => {
    const tries = [refused("rate_limited"), refused("overloaded"), refused("customer_suspended")];
    expect(await thrownBy(client(tries).send(message))).toMatchObject({ code: "customer_suspended" });
  });

  test("had no key is thrown as it is: what takes none is repeated only where that does no harm", async () => {
    expect(await thrownBy(client([noAnswer, refused("not_found")]).message("1"))).toMatchObject({
      code: "not_found",
    });
  });
});

test("a call whose last try is in doubt says so itself", async () => {
  const tries = [noAnswer, refused("overloaded"), refused("outcome_unknown")];
  expect(await thrownBy(client(tries).send(message))).toMatchObject({ code: "outcome_unknown" });
});

test("a call ends with its answer, whatever was in doubt and refused before", async () => {
  const tries = [noAnswer, refused("unavailable"), success];
  expect(await client(tries).send(message)).toEqual(sent as never);
});
