// Writes the pages and files that are generated from tables in the code: `bun src/main/docs.ts`. docs.test.ts
// fails when a committed page differs from what this writes.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  ERRORS,
  type ErrorCode,
  type ErrorRow,
  problemBody,
  problemType,
  SluiceError,
} from "../core/errors.ts";
import { declaredRoutes } from "../api/table.ts";
import { CLIENT_TYPES, clientTypes } from "./client-types.ts";
import { METRICS_PAGE, metricsPage } from "./metrics-page.ts";
import { problemsConf } from "../stack/edge-problems.ts";
import { withTables } from "./docs-tables.ts";
import { ROUTES_SCHEMA_FILE, routesSchema } from "./routes-schema.ts";

export const ERRORS_PAGE = fileURLToPath(new URL("../../docs/reference/errors.md", import.meta.url));

export const PROBLEMS_CONF = fileURLToPath(new URL("../../deploy/nginx/problems.conf", import.meta.url));

/** Hand-written pages that contain generated tables. */
export const PAGES_WITH_TABLES = [
  "CONNECTORS.md",
  "reference/message.md",
  "reference/operator.md",
  "reference/wallet.md",
  "reference/dlr.md",
].map((name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)));

/** The page of all error codes, in Markdown. */
export function errorsPage(): string {
  const example = new SluiceError("validation_failed", {
    detail: "The request has a field that can't be accepted.",
    errors: [{ field: "phone", reason: "is not a valid phone number" }],
  });
  const body = JSON.stringify(JSON.parse(problemBody(example, "0af7651916cd43dd8448eb211c80319c")), null, 2);
  return `<!-- Written by \`bun src/main/docs.ts\` from src/core/errors.ts; change that table instead. -->

# Errors

Every answer that is not a success is \`application/problem+json\` (RFC 9457):

\`\`\`json
${body}
\`\`\`

- \`code\` is stable: codes are added, but never renamed or given another meaning. \`error\` has
  the same value.
- \`type\` is \`${problemType("CODE" as ErrorCode)}\`: an identifier to compare, not an address to open.
- With \`Accept-Language: fa\` (or any header that prefers Persian to English) \`title\`, \`detail\` and
  the reasons in \`errors\` are in Persian; \`Content-Language\` says which it is. Everything else is the
  same. Answers of the edge itself, such as a 414, are in English, and so is what a success says of single
  messages (\`rejected\` of a batch, the results of an upload's lines), because a repeat gets the same bytes.
- \`errors\` is present only if individual fields were refused.
- \`request_id\` is also in the \`X-Request-Id\` header of every answer, and in the log.
- A 402 adds amounts in minor units: \`required\` and \`balance\`, or what is left of a cap. A 405 has
  \`Allow\`; a 429 or 503 has \`Retry-After\`, in seconds.
- "Try again" says whether the same request, unchanged, can succeed later. A refused request was not stored or
  charged, except that this is not known after \`outcome_unknown\` and \`internal\`.
- The refusal of a repeat says nothing of the first try, because many refusals come before the
  \`Idempotency-Key\` is looked up. So after no answer, or one of these two, repeat the request with the same
  key until it succeeds.

| status | code | try again | when |
|---|---|---|---|
${Object.entries(ERRORS).map(line).join("\n")}
`;
}

function line([code, { status, retryable, meaning }]: [string, ErrorRow]): string {
  return `| ${status} | \`${code}\` | ${retryable ? "yes" : "no"} | ${meaning} |`;
}

if (import.meta.main) {
  writeFileSync(ERRORS_PAGE, errorsPage());
  writeFileSync(METRICS_PAGE, metricsPage());
  writeFileSync(PROBLEMS_CONF, problemsConf(declaredRoutes().map(({ method }) => method)));
  writeFileSync(CLIENT_TYPES, clientTypes());
  writeFileSync(ROUTES_SCHEMA_FILE, routesSchema());
  for (const page of PAGES_WITH_TABLES) writeFileSync(page, withTables(readFileSync(page, "utf8")));
}
