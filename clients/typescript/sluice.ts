// The client: a method for each thing that a customer does, over `request`, which knows every operation of
// the API. Leaves retries to transport.ts, webhooks to webhook.ts. Needs fetch, AbortSignal.any and
// crypto.randomUUID: Node 20, Bun, Deno, or any present browser or worker.

import { exchange, type Transport } from "./transport.ts";
import { OPERATIONS, type Operations } from "./types.ts";

export type SluiceOptions = {
  /** Such as https://sms.example.com */
  baseUrl: string;
  apiKey: string;
} & Partial<Omit<Transport, "baseUrl" | "apiKey">>;

export type CallOptions = {
  /** Of operations that move money; a random one if absent. Calls with the same key take effect once. */
  idempotencyKey?: string;
  signal?: AbortSignal;
};

export type OperationName = keyof Operations;
export type Input<N extends OperationName> = Omit<Operations[N], "answer"> & CallOptions;
export type Answer<N extends OperationName> = Operations[N]["answer"];
type Body<N extends OperationName> = Operations[N] extends { body: infer B } ? B : never;
type Query<N extends OperationName> = Operations[N] extends { query?: infer Q }
  ? Omit<NonNullable<Q>, "cursor">
  : never;

/** Operations that answer a list in pages. */
type ListName = {
  [N in OperationName]: Answer<N> extends { next_cursor: string | null } ? N : never;
}[OperationName];
type Row<N extends ListName, Field extends keyof Answer<N>> =
  Answer<N>[Field] extends Array<infer R> ? R : never;

const USUAL = {
  language: "en",
  retries: 4,
  timeoutMs: 30_000,
  delayMs: 250,
  delayMaxMs: 20_000,
  fetch: (url, init) => fetch(url, init),
  sleep,
  random: Math.random,
} as const satisfies Partial<Transport>;

export type Sluice = ReturnType<typeof createSluice>;

/** Every method throws SluiceProblem or SluiceUnreachable (problem.ts), or the reason of its signal. */
export function createSluice({ baseUrl, ...options }: SluiceOptions) {
  const transport: Transport = { ...USUAL, ...options, baseUrl: baseUrl.replace(/\/+$/, "") };

  /** Any operation of the API, by its operationId: GET /openapi.json describes them. */
  async function request<N extends OperationName>(name: N, input: Input<N>): Promise<Answer<N>> {
    const { method, path, keyed, repeatable } = OPERATIONS[name];
    const given = input as CallOptions & { path?: Params; query?: Params; body?: unknown };
    return exchange(transport, {
      method,
      path: `${filled(path, given.path ?? {})}${queryOf(given.query ?? {})}`,
      body: given.body,
      idempotencyKey: keyed ? (given.idempotencyKey ?? crypto.randomUUID()) : null,
      repeatable,
      signal: given.signal,
    }) as Promise<Answer<N>>;
  }

  /** The rows of all pages, each page fetched when the one before is used up. */
  async function* rows<N extends ListName, Field extends keyof Answer<N>>(
    name: N,
    field: Field,
    query: Query<N>,
    options: CallOptions,
  ): AsyncGenerator<Row<N, Field>, void, undefined> {
    let cursor: string | null = null;
    do {
      const asked = cursor === null ? query : { ...(query as object), cursor };
      const answer = await request(name, { ...options, query: asked } as unknown as Input<N>);
      const page = answer as { next_cursor: string | null } & Record<Field, unknown>;
      yield* page[field] as Row<N, Field>[];
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  return {
    request,
    send: (body: Body<"sendMessage">, options: CallOptions = {}) =>
      request("sendMessage", { ...options, body }),
    /** Up to 1,000 messages, accepted together; those that can't be sent are in `rejected`. */
    sendBatch: (body: Body<"sendBatch">, options: CallOptions = {}) =>
      request("sendBatch", { ...options, body }),
    preview: (body: Body<"previewMessage">, options: CallOptions = {}) =>
      request("previewMessage", { ...options, body }),
    message: (id: string, options: CallOptions = {}) => request("getMessage", { ...options, path: { id } }),
    messages: (query: Query<"listMessages"> = {}, options: CallOptions = {}) =>
      rows("listMessages", "messages", query, options),
    topUp: (body: Body<"topUp">, options: CallOptions = {}) => request("topUp", { ...options, body }),
    wallet: (options: CallOptions = {}) => request("getWallet", options),
    ledger: (query: Query<"getStatement"> = {}, options: CallOptions = {}) =>
      rows("getStatement", "entries", query, options),
    messagesReport: (query: Query<"reportMessages"> = {}, options: CallOptions = {}) =>
      rows("reportMessages", "messages", query, options),
    usageReport: (query: Query<"reportUsage"> = {}, options: CallOptions = {}) =>
      rows("reportUsage", "usage", query, options),
    webhook: (options: CallOptions = {}) => request("getWebhook", options),
    deliveries: (query: Query<"listDeliveries"> = {}, options: CallOptions = {}) =>
      rows("listDeliveries", "deliveries", query, options),
  };
}

type Params = Readonly<Record<string, string | number | undefined>>;

const filled = (path: string, values: Params): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name] ?? "")));

function queryOf(values: Params): string {
  const given = Object.entries(values).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  const query = new URLSearchParams(given).toString();
  return query === "" ? "" : `?${query}`;
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", leave);
      resolve();
    }, ms);
    if (signal?.aborted === true) leave();
    else signal?.addEventListener("abort", leave, { once: true });
  });
}
