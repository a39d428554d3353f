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
    about: {
      operationId: "health",
      tag: "Service",
      summary: "Whether the process is alive",
      answers: { 200: { status: "ok" } },
    },
    handle: () => ({ status: 200, body: { status: "ok" as const } }),
  });
