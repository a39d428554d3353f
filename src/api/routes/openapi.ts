// GET /openapi.json: the description of this API, printed once a day from the table of routes, because it has
// examples of times to come.

import { Type } from "typebox";
import { type Book, openApi } from "../openapi/document.ts";
import { type Route, route } from "../route.ts";
import { Nothing } from "../shapes.ts";
import { answerVersioned, type Versioned, versioned } from "../versioned.ts";

const Document = Type.Object({
  openapi: Type.String({ pattern: "^3\\.1\\." }),
  info: Type.Object({ title: Type.String(), version: Type.String(), description: Type.String() }),
  paths: Type.Record(Type.String(), Type.Unknown()),
  components: Type.Record(Type.String(), Type.Unknown()),
});

const DAY_MS = 86_400_000;

/** `routes` is called at the first request: this route is one of them. */
export function createOpenApi(routes: () => readonly Route[], book?: Book): Route {
  let printed: { day: number; document: Versioned } | null = null;
  return route({
    method: "GET",
    path: "/openapi.json",
    access: "public",
    query: [],
    body: null,
    answers: { 200: Document, 304: Nothing },
    errors: [],
    about: {
      operationId: "getOpenApi",
      tag: "Service",
      summary: "This document",
      answers: {
        200: {
          openapi: "3.1.0",
          info: { title: "Sluice", version: "0.1.0", description: "An SMS gateway" },
          paths: {},
          components: {},
        },
      },
      headers: ["ETag"],
    },
    handle({ request }) {
      const day = Math.floor(Date.now() / DAY_MS);
      if (printed?.day !== day)
        printed = { day, document: versioned(JSON.stringify(openApi(routes(), book))) };
      return answerVersioned(request, printed.document);
    },
  });
}
