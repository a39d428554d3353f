// A routes file as people are shown it: what decides which operator gets a message, and nothing secret.

import type { RoutesFile } from "./routes-file.ts";

/** Terms that are never secret. */
export const SHOWN = [
  "name",
  "kind",
  "prefixes",
  "lanes",
  "priority",
  "price",
  "weight",
  "window",
  "rate",
] as const;

/** Operators without the settings of their kinds, which may be secrets, and the routes as they are. */
export const listed = ({ operators, routes }: RoutesFile) => ({
  operators: operators.map((operator) =>
    Object.fromEntries(SHOWN.map((field) => [field, operator[field] ?? null])),
  ),
  routes,
});
