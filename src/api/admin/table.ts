// The admin API: every route, in the order of its reference, and its own OpenAPI document. Served on a
// listener of its own (src/main/admin.ts), never on the customers' port.

import { type Book, idempotencyKey } from "../openapi/document.ts";
import type { Json } from "../openapi/schemas.ts";
import { ADMIN_TAGS } from "../about.ts";
import type { Route } from "../route.ts";
import { createHealth } from "../routes/health.ts";
import { createOpenApi } from "../routes/openapi.ts";
import { createCustomerRoutes } from "./customers.ts";
import { createGatewayRoutes, type GatewayDeps } from "./gateway.ts";
import { createKeyRoutes } from "./keys.ts";
import { createMessageRoutes } from "./messages.ts";
import { createPriceRoutes } from "./prices.ts";
import { createRoutingRoutes, type RoutingDeps, VERSION_EXAMPLE } from "./routing.ts";
import { createWalletRoutes } from "./wallets.ts";

type Deps = GatewayDeps & RoutingDeps;

export function createAdminRoutes(deps: Deps): Route[] {
  const routes: Route[] = [
    ...createCustomerRoutes(deps),
    ...createKeyRoutes(deps),
    ...createWalletRoutes(deps),
    ...createMessageRoutes(deps),
    ...createPriceRoutes(deps),
    ...createRoutingRoutes(deps),
    ...createGatewayRoutes(deps),
    createHealth(),
    createOpenApi(() => routes, ADMIN_BOOK),
  ];
  return routes;
}

/** The same routes without what they work with: to read what they declare, not to run them. */
export const declaredAdminRoutes = (): Route[] => createAdminRoutes({} as Deps);

const DESCRIPTION = `For whoever runs Sluice: customers, keys, prices, limits, money, messages, and the
log of every change.

- Every \`/admin\` route needs an admin token: \`Authorization: Bearer sat_…\`, made by \`./sluice admin-token
  create NAME\`. Scope \`write\` includes \`read\`. A revoked token is refused at once.
- Every change is in the audit log, with the token's name, in the transaction that makes it.
- What moves money needs an \`Idempotency-Key\`; a repeat with it takes no effect and gets the first answer,
  however much later. The same key with another request is refused.
- A change of a customer or plan may name in \`If-Match\` the \`version\` that it is meant for; if that was
  changed meanwhile, nothing is done. Without it the last change counts, and the log has both. Whoever
  replaces the routes file must name it.
- Input is strict, errors are \`application/problem+json\`, and money is whole minor units, as in the
  customers' API. To take a limit, a plan or a list away, its value is the word \`none\`.
- Lists end with \`next_cursor\`, which goes into \`cursor\` of the next request, with the same filters, and
  is null at the end.`;

const SECURITY_SCHEMES: Json = {
  adminToken: { type: "http", scheme: "bearer", description: "An admin token. It is shown once." },
};

const KEY = idempotencyKey("for ever");

const IF_MATCH: Json = {
  name: "If-Match",
  in: "header",
  description: "The `version` that the change is meant for; any if absent.",
  // Any other text would be another version.
  schema: { type: "string", pattern: '^(\\*|"[0-9]*"|[0-9]+)$' },
  example: '"20260921141320000000"',
};

const IF_MATCH_NEEDED: Json = {
  ...IF_MATCH,
  required: true,
  description: "The `version` that is to be replaced.",
  schema: { type: "string", pattern: '^("[0-9a-f]{64}"|[0-9a-f]{64})$' },
  example: `"${VERSION_EXAMPLE}"`,
};

export const ADMIN_BOOK: Book = {
  title: "Sluice admin",
  description: DESCRIPTION,
  tags: ADMIN_TAGS,
  securitySchemes: SECURITY_SCHEMES,
  parameters: {
    "Idempotency-Key": KEY,
    "Idempotency-Key-Needed": { ...KEY, required: true },
    "If-Match": IF_MATCH,
    "If-Match-Needed": IF_MATCH_NEEDED,
  },
};
