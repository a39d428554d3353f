// POST /v1/sms/preview: what a send of the same body would become and cost, for the same errors of its body.
// Nothing is stored or charged, and an Idempotency-Key is only checked: it stays free, and is not looked up.
// Leaves what is said about a text to src/core/preview.ts. What changes from one moment to the next is not
// foretold: the express promise, the queue, whether an operator is healthy.

import { Type } from "typebox";
import type { UrlRules } from "../../core/callback-url.ts";
import { TEXT_PARTS_MAX } from "../../core/limits.ts";
import { LANES } from "../../core/message.ts";
import { cost as costOf } from "../../core/money.ts";
import { optedOut } from "../../core/opt-out.ts";
import { countParts } from "../../core/parts.ts";
import { type Replacement, replacementsIn, toPersian } from "../../core/persian-text.ts";
import { previewOf } from "../../core/preview.ts";
import { destinationRefused, pricesOf } from "../../core/price-plan.ts";
import type { CapLeft } from "../../core/spend-cap.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { OptOuts } from "../../ingest/opt-outs.ts";
import type { TemplateCache } from "../../customers/templates.ts";
import type { RateLimits } from "../../ingest/rate-limits.ts";
import { lookAtCaps } from "../../ledger/cap-admin.ts";
import type { Found, Router } from "../../operators/route.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { readWallet } from "../../reports/wallet.ts";
import type { About } from "../about.ts";
import { givenKey } from "../idempotency-key.ts";
import { rateHeaders } from "../rate-headers.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Currency, Money, OrNull, Phone, Time } from "../shapes.ts";
import { drafted, isPlain, SendBody, TEXT_UNLESS, withText } from "./send.ts";

const Warning = Type.Object(
  {
    code: Type.Literal("not_gsm7"),
    detail: Type.String(),
    position: Type.Integer({ minimum: 0, description: "of the first one, in code points, from 0" }),
    character: Type.String(),
    replacement: OrNull(Type.String()),
  },
  closed,
);

const Normalization = Type.Object(
  {
    text: Type.String({ description: "as it is with `normalize`" }),
    replacements: Type.Array(
      Type.Object(
        {
          character: Type.String(),
          replacement: Type.String(),
          count: Type.Integer({ minimum: 1 }),
          position: Type.Integer({ minimum: 0, description: "of the first one, in code points, from 0" }),
        },
        closed,
      ),
      { minItems: 1 },
    ),
    parts_saved: Type.Integer(),
    applied: Type.Boolean({ description: "whether the request has `normalize`" }),
  },
  closed,
);

const PreviewAnswer = Type.Object(
  {
    phone: Phone,
    type: Type.Enum(LANES),
    encoding: Type.Enum(["gsm7", "ucs2"]),
    parts: Type.Integer({ minimum: 1, maximum: TEXT_PARTS_MAX }),
    segments: Type.Array(Type.String(), { minItems: 1, maxItems: TEXT_PARTS_MAX }),
    last_segment: Type.Object({ used: Count, left: Count }, closed),
    cost: Money,
    currency: Currency,
    /** Of a part to this number, by lane. */
    prices: Type.Object({ normal: Money, express: Money }, closed),
    balance_after: Money,
    sufficient: Type.Boolean(),
    send_at: OrNull(Time),
    operators: OrNull(Type.Array(Type.String(), { minItems: 1 })),
    warnings: Type.Array(Warning),
    parts_as_gsm7: OrNull(Type.Integer({ minimum: 1 })),
    normalization: OrNull(Normalization),
  },
  closed,
);

const ABOUT: About = {
  operationId: "previewMessage",
  tag: "Messages",
  summary: "See what a message would become and cost",
  description: `The same body as that of a send, with the same errors; nothing is stored or charged.
\`segments\` are the texts of its parts as they will be split. \`warnings\` names each character that makes
the text UCS-2, where it is first, and what looks like it in GSM-7; \`parts_as_gsm7\` is how many parts it
would have with those. \`normalization\` is what \`normalize\` replaces, or would if it were asked for; null
if that is nothing. \`send_at\` is when it would be sent, as asked or after the recipient's quiet hours; null
if at once. \`operators\` are those of which one is asked first; null if none takes the number:
then a send is accepted, fails and is refunded.`,
  body: { phone: "+989121234567", text: "It’s 1234", type: "normal" },
  answers: {
    200: {
      phone: "+989121234567",
      type: "normal",
      encoding: "ucs2",
      parts: 1,
      segments: ["It’s 1234"],
      last_segment: { used: 9, left: 61 },
      cost: 500,
      currency: "IRR",
      prices: { normal: 500, express: 700 },
      balance_after: 99_500,
      sufficient: true,
      send_at: null,
      operators: ["A"],
      warnings: [
        {
          code: "not_gsm7",
          detail:
            "U+2019 is not in the GSM 7-bit alphabet, so the whole text is sent as UCS-2; its look-alike is.",
          position: 2,
          character: "’",
          replacement: "'",
        },
      ],
      parts_as_gsm7: 1,
      normalization: null,
    },
  },
  headers: ["RateLimit", "RateLimit-Policy"],
};

export type PreviewDeps = {
  /** Which callback_urls are taken. */
  callbacks: UrlRules;
  templates: TemplateCache;
  now: () => number;
  limits: Pick<RateLimits, "take">;
  optOuts: OptOuts;
  findRoute: Router["find"];
  reads: OfCustomer<{ pool: Pool }>;
};

/** A preview counts as a message of one part against the rate limit, whatever its text. */
const RATE_PARTS = 1;

export const createPreview = ({
  callbacks,
  templates,
  now,
  limits,
  optOuts,
  findRoute,
  reads,
}: PreviewDeps): Route =>
  route({
    method: "POST",
    path: "/v1/sms/preview",
    access: "send",
    query: [],
    body: SendBody,
    unless: TEXT_UNLESS,
    answers: { 200: PreviewAnswer },
    errors: [],
    about: ABOUT,
    async handle({ request, owner, body: given }) {
      givenKey(request);
      const body = isPlain(given) ? given : await withText(given, owner, { templates });
      const draft = drafted(body, owner, { callbacks, now });
      const { phone, text, lane, sendAtMs } = draft;
      const { customerId } = owner;
      if (!optOuts.hasNone(customerId) && (await optOuts.refused(customerId, [draft])).size > 0)
        throw optedOut();
      const rate = limits.take(owner, RATE_PARTS);
      const { encoding, parts, segments, lastSegment, warnings, partsAsGsm7 } = previewOf(text);
      const prices = pricesOf(owner, phone, now());
      if (prices === null) throw destinationRefused();
      const cost = costOf(parts, prices[lane]);
      const after = await afterwards(reads(customerId).pool, owner, cost);
      return {
        status: 200,
        headers: rate === null ? {} : rateHeaders(rate),
        body: {
          phone,
          type: lane,
          encoding,
          parts,
          segments,
          last_segment: lastSegment,
          cost,
          currency: owner.currency,
          prices,
          ...after,
          send_at: sendAtMs === undefined ? null : new Date(sendAtMs).toISOString(),
          operators: firstOf(findRoute(phone, lane)),
          warnings,
          parts_as_gsm7: partsAsGsm7,
          normalization: normalizationOf(body.text, body.normalize ?? false),
        },
      };
    },
  });

/**
 * Whether a send would be paid for, and what GET /v1/wallet would show after it. One that wallet or spend
 * caps can't pay for is refused, and leaves the wallet as it is; so does one that needs no credit yet.
 */
async function afterwards(pool: Pool, { customerId, isAsync }: KeyOwner, cost: number) {
  const { balance } = await readWallet({ pool }, customerId);
  if (isAsync === true) return { balance_after: balance, sufficient: true };
  const isWithin = ({ left }: CapLeft) => left >= cost;
  const sufficient = balance >= cost && (await lookAtCaps(pool, customerId)).every(isWithin);
  return { balance_after: sufficient ? balance - cost : balance, sufficient };
}

/** The operators of which one is asked first; null if none takes the number in its lane. */
const firstOf = (found: Found | null): string[] | null =>
  found?.tiers[0]?.map(({ operator }) => operator) ?? null;

type NormalizationAnswer = {
  text: string;
  replacements: Replacement[];
  parts_saved: number;
  applied: boolean;
};

/** `given`: the text as it came; null if there is nothing to replace. */
function normalizationOf(given: string, applied: boolean): NormalizationAnswer | null {
  const replacements = replacementsIn(given);
  if (replacements.length === 0) return null;
  const text = toPersian(given);
  const partsSaved = countParts(given).parts - countParts(text).parts;
  return { text, replacements, parts_saved: partsSaved, applied };
}
