// The API as a Postman collection (format v2.1), made from the OpenAPI document: a folder for each tag, a
// request for each operation with its example, and the answers as saved examples. An environment gives it the
// address and the key. Leaves the words and examples to the document.
// Invariant: what a request needs besides its own example is a variable of the environment.
// Source: https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html

import { STATUS_CODES } from "node:http";
import type { Json } from "./schemas.ts";

type Parameter = {
  name: string;
  in: string;
  description: string;
  required?: boolean;
  example?: unknown;
  $ref?: string;
};
type Media = Record<string, { example?: unknown; examples?: Record<string, { $ref: string }> }>;
type Operation = {
  summary: string;
  description?: string;
  tags: [string];
  security: Json[];
  parameters: Parameter[];
  requestBody?: { content: Media };
  responses: Record<string, { description: string; content?: Media; $ref?: string }>;
};
export type OpenApi = {
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
};

const SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";
/** A new one each time a request is sent. */
const NEW_KEY = "{{$guid}}";

/** Of the document of openApi(). */
export function postmanCollection({ info, tags, paths }: OpenApi): Json {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  return {
    info: { name: info.title, description: info.description, version: info.version, schema: SCHEMA },
    auth: {
      type: "apikey",
      apikey: [
        { key: "key", value: "X-API-Key", type: "string" },
        { key: "value", value: "{{api_key}}", type: "string" },
        { key: "in", value: "header", type: "string" },
      ],
    },
    item: tags.map(({ name, description }) => ({
      name,
      description,
      item: operations
        .filter(({ operation }) => operation.tags[0] === name)
        .map(({ path, method, operation }) => itemOf(path, method, operation)),
    })),
  };
}

/** The variables of the collection; `apiKey` may be empty, to be filled in. */
export const postmanEnvironment = (baseUrl: string, apiKey: string): Json => ({
  name: "Sluice",
  values: [
    { key: "base_url", value: baseUrl, type: "default", enabled: true },
    { key: "api_key", value: apiKey, type: "secret", enabled: true },
  ],
  _postman_variable_scope: "environment",
});

function itemOf(path: string, method: string, operation: Operation): Json {
  const { summary, responses } = operation;
  const request = requestOf(path, method, operation);
  const answers = Object.entries(responses).filter(([status]) => status.startsWith("2"));
  return {
    name: summary,
    request,
    response: answers.map(([status, { content = {} }]) => savedAnswer(Number(status), content, request)),
  };
}

function requestOf(path: string, method: string, operation: Operation): Json {
  const { description, security, requestBody } = operation;
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? [null];
  const header: Json[] = [];
  if (type === "application/json") header.push({ key: "Content-Type", value: type });
  if (operation.parameters.some(({ $ref }) => $ref?.endsWith("/Idempotency-Key") === true))
    header.push({ key: "Idempotency-Key", value: NEW_KEY });
  const needsKey = security.some(({ apiKey }) => apiKey !== undefined);
  return {
    method: method.toUpperCase(),
    ...(description === undefined ? {} : { description }),
    ...(needsKey ? {} : { auth: { type: "noauth" } }),
    header,
    url: urlOf(path, operation.parameters),
    ...(media === undefined ? {} : { body: bodyOf(media.example) }),
  };
}

const bodyOf = (example: unknown): Json =>
  typeof example === "string"
    ? { mode: "raw", raw: example }
    : { mode: "raw", raw: JSON.stringify(example, null, 2), options: { raw: { language: "json" } } };

/** Parameters of the query are there to be switched on, unless the request needs them. */
function urlOf(path: string, parameters: readonly Parameter[]): Json {
  const steps = path.slice(1).replaceAll(/\{(\w+)\}/g, ":$1");
  const ofPlace = (place: string) =>
    parameters
      .filter((one) => one.in === place)
      .map(({ name, description, example }) => ({ key: name, value: String(example), description }));
  const isNeeded = (key: string) =>
    parameters.some(({ name, required }) => name === key && required === true);
  const [variable, query] = [
    ofPlace("path"),
    ofPlace("query").map((one) => (isNeeded(one.key) ? one : { ...one, disabled: true })),
  ];
  return {
    raw: `{{base_url}}/${steps}`,
    host: ["{{base_url}}"],
    path: steps.split("/"),
    ...(query.length === 0 ? {} : { query }),
    ...(variable.length === 0 ? {} : { variable }),
  };
}

function savedAnswer(code: number, content: Media, originalRequest: Json): Json {
  const status = STATUS_CODES[code] ?? String(code);
  const [type, media] = Object.entries(content)[0] ?? [null];
  const example = media?.example;
  const body = typeof example === "string" ? example : JSON.stringify(example, null, 2);
  return {
    name: status,
    originalRequest,
    status,
    code,
    header: type === null ? [] : [{ key: "Content-Type", value: type }],
    ...(example === undefined ? {} : { body }),
    ...(type === "application/json" ? { _postman_previewlanguage: "json" } : {}),
  };
}
