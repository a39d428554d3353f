// GET /health: this process is alive.

import { Type } from "typebox";
import { type Route, route } from "../route.ts";
import { closed } from "../shapes.ts";

export const createHealth = (): Route =>
  route({
    method: "GET",
    path: "/health",
    access: "public",
    query: [],
    body: null,
    answers: { 200: Type.Object({ status: Type.Literal("ok") }, closed) },
    errors: [],
    handle: () => ({ status: 200, body: { status: "ok" as const } }),
  });
