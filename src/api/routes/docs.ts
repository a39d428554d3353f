// GET /docs and /swagger/index.html: the description of the API for people, by Swagger UI, served from this
// machine alone. Owns the page and the files that it loads; leaves what they show to GET /openapi.json.
// Invariants: only the files named here are ever read; the page loads from and connects to nothing else than
// this API.

import { readFile } from "node:fs/promises";
import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { type Route, route } from "../route.ts";
import { Nothing } from "../shapes.ts";
import { answerVersioned, type Versioned, versioned } from "../versioned.ts";

const PACKAGE = new URL("../../../node_modules/swagger-ui-dist/", import.meta.url);

const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: "none",
});
`;
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Sluice API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const JAVASCRIPT = "text/javascript; charset=utf-8";
/** The files of the page: their media type, and their text unless the package has them. */
const FILES = new Map<string, { type: string; text?: string }>([
  ["swagger-ui.css", { type: "text/css; charset=utf-8" }],
  ["swagger-ui-bundle.js", { type: JAVASCRIPT }],
  ["start.js", { type: JAVASCRIPT, text: START }],
]);

// Swagger UI draws its icons as data: images.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headersOf = (type: string): Record<string, string> => ({
  "content-type": type,
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
});

const pageRoute = (path: string, operationId: string): Route => {
  const page = versioned(PAGE);
  return route({
    method: "GET",
    path,
    access: "public",
    query: [],
    body: null,
    answers: { 200: Type.String(), 304: Nothing },
    errors: [],
    about: {
      operationId,
      tag: "Service",
      summary: "This document for people, by Swagger UI",
      description: "What is tried out there is done: a message that is sent is charged.",
      answers: { 200: "<!doctype html>" },
      mediaType: "text/html",
      headers: ["ETag"],
    },
    handle: ({ request }) => answerVersioned(request, page, headersOf("text/html; charset=utf-8")),
  });
};

function fileRoute(): Route {
  const known = new Map<string, Versioned>();
  return route({
    method: "GET",
    path: "/docs/:file",
    access: "public",
    query: [],
    body: null,
    answers: { 200: Type.String(), 304: Nothing },
    errors: ["not_found"],
    about: {
      operationId: "getDocsFile",
      tag: "Service",
      summary: "A file of the page",
      path: {
        file: { schema: Type.Enum([...FILES.keys()]), description: "its name", example: "start.js" },
      },
      answers: { 200: START },
      mediaType: "text/*",
      headers: ["ETag"],
    },
    async handle({ request, params: { file: name = "" } }) {
      const file = FILES.get(name);
      if (file === undefined) throw new SluiceError("not_found", { detail: "No such file." });
      let found = known.get(name);
      if (found === undefined) {
        found = versioned(file.text ?? (await readFile(new URL(name, PACKAGE), "utf8")));
        known.set(name, found);
      }
      return answerVersioned(request, found, headersOf(file.type));
    },
  });
}

export const createDocs = (): Route[] => [
  pageRoute("/docs", "getDocs"),
  pageRoute("/swagger/index.html", "getSwagger"),
  fileRoute(),
];
