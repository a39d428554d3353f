// POST /v1/sms/batches with a body of NDJSON: any number of messages, one a line, accepted in chunks while
// they come (src/ingest/upload.ts), and answered with a line for each. What goes wrong before the first
// results is answered as it is everywhere; later the answer's last line is the problem.

import { Type } from "typebox";
import { CallerGoneError } from "../../core/caller.ts";
import { byteLines } from "../../core/byte-lines.ts";
import { UPLOAD_LINE_BYTES_MAX } from "../../core/batch-limits.ts";
import type { UrlRules } from "../../core/callback-url.ts";
import { problemBody, SluiceError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { languageOf } from "../../core/language.ts";
import { TEXT_PARTS_MAX } from "../../core/limits.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { TemplateCache } from "../../customers/templates.ts";
import type { AcceptBatch } from "../../ingest/accept-batch.ts";
import type { OptOuts } from "../../ingest/opt-outs.ts";
import { OPTED_OUT } from "../../core/opt-out.ts";
import { inPersian } from "../../core/persian-errors.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import { type LineResult, type Read, upload } from "../../ingest/upload.ts";
import { sleep } from "../../platform/retry.ts";
import { checkerOf } from "../body-check.ts";
import { readPieces } from "../http.ts";
import { givenKey } from "../idempotency-key.ts";
import { CallbackUrl, From, SendAt, ValidFor } from "../options.ts";
import type { Arrival, Lines } from "../route.ts";
import { closed, Count, Money, Time, Ulid } from "../shapes.ts";
import { type Streams, streamed } from "../streams.ts";
import { drafted, isPlain, SendBody, TEXT_OR_TEMPLATE, TEXT_UNLESS, withText } from "./send.ts";

const { phone, text, template, template_version, parameters, reference } = SendBody.properties;
const Line = Type.Object(
  {
    phone,
    text,
    template,
    template_version,
    parameters,
    type: Type.Optional(Type.Enum(["normal"] as const, { description: "an upload goes by the normal lane" })),
    from: From,
    reference,
    callback_url: CallbackUrl,
    valid_for: ValidFor,
    send_at: SendAt,
  },
  { ...closed, documented: TEXT_OR_TEMPLATE },
);

const Result = Type.Union([
  Type.Object(
    {
      index: Count,
      id: Ulid,
      encoding: Type.Enum(["gsm7", "ucs2"]),
      parts: Type.Integer({ minimum: 1, maximum: TEXT_PARTS_MAX }),
      cost: Money,
      send_at: Type.Optional(Time),
    },
    closed,
  ),
  Type.Object(
    {
      index: Count,
      code: Type.Enum(["validation_failed", OPTED_OUT, "malformed_json", "body_not_utf8"]),
      detail: Type.String(),
      errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), reason: Type.String() }, closed))),
    },
    closed,
  ),
]);

const BODY_EXAMPLE = `{"phone":"+989121234567","text":"Your order 1 is on its way","reference":"order-1"}
{"phone":"12","text":"Your order 2 is on its way"}
`;
const ANSWER_EXAMPLE =
  `{"index":0,"id":"01M7YBCG2N0V4QK5A1T8P6WJ3D","encoding":"gsm7","parts":1,"cost":500}\n` +
  `{"index":1,"code":"validation_failed","detail":"phone is not a valid phone number.",` +
  `"errors":[{"field":"phone","reason":"is not a valid phone number"}]}\n`;

export type UploadRouteDeps = {
  acceptBatch: AcceptBatch;
  optOuts: OptOuts;
  keys: Idempotency;
  callbacks: UrlRules;
  templates: TemplateCache;
  now: () => number;
  streams: Streams;
};

export function createUpload({ acceptBatch, optOuts, keys, streams, ...rules }: UploadRouteDeps): Lines {
  const check = checkerOf(Line, TEXT_UNLESS);
  const deps = { now: rules.now, acceptBatch, optOuts, find: keys.find, sleep };
  const read = (line: Uint8Array, owner: KeyOwner): Read | Promise<Read> => {
    const draftOf = (body: Parameters<typeof drafted>[0]): Read => ({
      kind: "draft",
      draft: drafted(body, owner, rules),
    });
    try {
      const body = { ...check(parseJson(line)), type: "normal" as const };
      if (isPlain(body)) return draftOf(body);
      return withText(body, owner, rules).then(draftOf).catch(refusalOf);
    } catch (error) {
      return refusalOf(error);
    }
  };
  return {
    line: Line,
    answer: Result,
    about: { body: BODY_EXAMPLE, answer: ANSWER_EXAMPLE },
    handle: (call) =>
      streamed(streams, call, async () => {
        const { owner, again, traceparent, isGone, isStopping, request } = call;
        const key = givenKey(request);
        const lines = byteLines(readPieces(request), UPLOAD_LINE_BYTES_MAX);
        const given = { payer: owner, payerNow: again, lines, read, write, key };
        const results = upload(deps, { ...given, traceparent, isGone, isStopping });
        const first = await results.next();
        const headers = { "content-type": "application/x-ndjson" };
        return { pieces: whole(first, results, call), headers };
      }),
  };
}

/** A line that can't be accepted; anything else that went wrong is thrown. */
function refusalOf(error: unknown): Read {
  if (!(error instanceof SluiceError) || error.status >= 500) throw error;
  const { code, detail, errors } = error;
  return { kind: "refused", code, detail, errors };
}

function write(result: LineResult): string {
  const { index } = result;
  if ("message" in result) {
    const { id, encoding, parts, cost, sendAtMs } = result.message;
    const later = sendAtMs === undefined ? {} : { send_at: new Date(sendAtMs).toISOString() };
    return `${JSON.stringify({ index, id, encoding, parts, cost, ...later })}\n`;
  }
  const { code, detail, errors } = result.refused;
  return `${JSON.stringify({ index, code, detail, ...(errors.length > 0 ? { errors } : {}) })}\n`;
}

/** All results, and, if they end early, the problem as the last line. */
async function* whole(
  first: IteratorResult<string>,
  others: AsyncGenerator<string>,
  { explain, requestId, request }: Pick<Arrival, "explain" | "requestId" | "request">,
): AsyncGenerator<string> {
  if (first.done === true) return;
  try {
    yield first.value;
    yield* others;
  } catch (thrown) {
    if (thrown instanceof CallerGoneError) throw thrown;
    const accepted = request.headers.get("accept-language");
    yield `${problemLine(explain(thrown, requestId, request), requestId, accepted)}\n`;
  }
}

/**
 * A problem document with what is otherwise in the header Retry-After, in the language that the caller
 * prefers. Results are English: a repeat gets those that are stored.
 */
function problemLine(error: SluiceError, requestId: string, accepted: string | null): string {
  const persian = languageOf(accepted) === "fa" ? inPersian(error) : undefined;
  const body = problemBody(error, requestId, persian);
  if (error.retryAfterS === null) return body;
  return JSON.stringify({ ...(JSON.parse(body) as object), retry_after: Math.ceil(error.retryAfterS) });
}
