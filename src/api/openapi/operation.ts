// One route as an OpenAPI Operation Object: parameters, body, and each answer that the route may give, errors
// included. Leaves what operations share to document.ts.

import { STATUS_CODES } from "node:http";
import { Type } from "typebox";
import { ERRORS, type ErrorCode, SluiceError } from "../../core/errors.ts";
import { csvLine } from "../../reports/exports.ts";
import { type ParamName, PARAMS } from "../../reports/params.ts";
import { type AdminAccess, errorsOf, type Exported, isOfAdmins, type Lines, type Route } from "../route.ts";
import { Nothing } from "../shapes.ts";
import type { HeaderName } from "./headers.ts";
import { problemName } from "./problems.ts";
import { type Components, type Json, printBody, printSchema, refTo, typeName } from "./schemas.ts";

type ResponseObject = { description: string; headers: Json; content?: Json; links?: Json };

/** Of every answer. */
const ALWAYS: readonly HeaderName[] = ["X-Request-Id", "Cache-Control"];
const OF_A_PROBLEM: readonly HeaderName[] = ["Content-Language", "Vary"];
const OF_A_RATE: readonly HeaderName[] = ["RateLimit", "RateLimit-Policy"];

/** Bun's path as OpenAPI writes it: `/v1/messages/{id}`. */
export const templateOf = (path: string): string => path.replaceAll(/:(\w+)/g, "{$1}");

/** @throws Error if the route doesn't describe a parameter of its path */
export function operationOf(route: Route, into: Components): Json {
  const { operationId, tag, summary } = route.about;
  const description = descriptionOf(route);
  const requestBody = requestBodyOf(route, into);
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description === "" ? {} : { description }),
    security: securityOf(route),
    parameters: parametersOf(route),
    ...(requestBody === null ? {} : { requestBody }),
    responses: responsesOf(route, into),
  };
}

function descriptionOf({ about, access, bodyBytesMax }: Route): string {
  const paragraphs: string[] = [];
  if (about.description !== undefined) paragraphs.push(about.description);
  if (isOfAdmins(access)) paragraphs.push(`The token needs the scope \`${scopeOf(access)}\`.`);
  else if (access !== "public") paragraphs.push(`The key needs the scope \`${access}\`.`);
  if (bodyBytesMax !== undefined) paragraphs.push(`The body has at most ${bodyBytesMax / 1_024} KiB.`);
  return paragraphs.join("\n\n");
}

function securityOf({ access, rawBytesMax }: Route): Json[] {
  if (isOfAdmins(access)) return [{ adminToken: [scopeOf(access)] }];
  if (access !== "public") return [{ apiKey: [access] }];
  if (rawBytesMax === undefined) return [];
  return [{ operatorToken: [] }, { operatorTokenInQuery: [] }, { operatorBasic: [] }, {}];
}

const scopeOf = (access: AdminAccess): string => access.slice("admin:".length);

// ---- what a request has ----

/** Exactly the routes that take an Idempotency-Key can find it used with another body. */
const takesKey = ({ errors }: Route): boolean => errors.includes("idempotency_key_reused");
const needsKey = ({ about: { needs = [] } }: Route): boolean => needs.includes("Idempotency-Key");
/** And exactly those that take a version can find another one. */
const takesVersion = ({ errors }: Route): boolean => errors.includes("version_conflict");
/** What replaces all of something must say what that was. */
const needsVersion = ({ method }: Route): boolean => method === "PUT";

function parametersOf(route: Route): Json[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name = ""]) => pathParameter(route, name));
  return [
    ...inPath,
    ...route.query.map((name) => queryParameter(name, route)),
    ...(route.rawBytesMax === undefined ? [] : [refTo("parameters", "OperatorQuery")]),
    ...(takesKey(route)
      ? [refTo("parameters", needsKey(route) ? "Idempotency-Key-Needed" : "Idempotency-Key")]
      : []),
    ...(takesVersion(route)
      ? [refTo("parameters", needsVersion(route) ? "If-Match-Needed" : "If-Match")]
      : []),
  ];
}

function pathParameter({ about, method, path }: Route, name: string): Json {
  const known = about.path?.[name];
  if (known === undefined) throw new Error(`${method} ${path} does not describe its parameter ${name}`);
  const { schema, description, example } = known;
  return { name, in: "path", required: true, description, schema: printSchema(schema), example };
}

function queryParameter(name: ParamName, { about: { needs = [] } }: Route): Json {
  const { description, examples, ...schema } = printSchema(PARAMS[name]);
  const required = needs.includes(name) ? { required: true } : {};
  return { name, in: "query", ...required, description, schema, example: (examples as unknown[])[0] };
}

function requestBodyOf({ about, body, lines, method, rawBytesMax }: Route, into: Components): Json | null {
  if (body !== null) {
    const name = `${typeName(about.operationId)}Request`;
    into.schemas[name] = printBody(body);
    const schema = refTo("schemas", name);
    const content: Json = { "application/json": { schema, example: about.body } };
    if (lines !== undefined) {
      into.schemas[`${name}Line`] = printBody(lines.line);
      content[NDJSON] = { schema: linesOf(`${name}Line`), example: lines.about.body };
    }
    return { required: true, content };
  }
  if (rawBytesMax === undefined || method !== "POST") return null;
  const schema = { description: `any media type, at most ${rawBytesMax} bytes` };
  return { content: { "*/*": { schema, example: about.body } } };
}

// ---- what it is answered ----

function responsesOf(route: Route, into: Components): Json {
  const codesAt = Map.groupBy(errorsOf(route), (code) => ERRORS[code].status);
  const answers = [...Object.keys(route.answers).map(Number), ...(route.lines === undefined ? [] : [200])];
  const statuses = new Set([...answers, ...codesAt.keys()]);
  const responses: Json = {};
  for (const status of [...statuses].toSorted((a, b) => a - b)) {
    const codes = codesAt.get(status) ?? [];
    const answer =
      status === 200 && route.lines !== undefined
        ? answerInLines(route, route.lines, into)
        : route.answers[status] === undefined
          ? null
          : answerOf(route, status, into);
    if (answer === null) responses[status] = sharedProblem(codes, into);
    else responses[status] = codes.length === 0 ? answer : withProblem(answer, problemOf(codes));
  }
  return responses;
}

function answerOf(route: Route, status: number, into: Components): ResponseObject {
  const { about, answers } = route;
  const schema = answers[status] ?? Nothing;
  const names = [...ALWAYS, ...(about.headers ?? [])];
  if (takesKey(route)) names.push("Idempotent-Replayed");
  const answer = { description: STATUS_CODES[status] ?? String(status), headers: headersOf(names) };
  if (schema === Nothing) return answer;
  const first = Object.values(answers)[0];
  const name = `${typeName(about.operationId)}Answer${schema === first ? "" : status}`;
  into.schemas[name] = printSchema(schema, true);
  const example = about.answers[status];
  const content: Json = {
    [about.mediaType ?? "application/json"]: { schema: refTo("schemas", name), example },
    ...(route.exported === undefined ? {} : exportsOf(route.exported, `${name}Row`, into)),
  };
  return { ...answer, content, ...linksOf(about) };
}

const linksOf = ({ links }: Route["about"]): { links?: Json } => {
  if (links === undefined) return {};
  const all = Object.entries(links).map(([operationId, place]) => {
    const id = `$response.body#${place}`;
    return [operationId, { operationId, parameters: { id } }] as const;
  });
  return { links: Object.fromEntries(all) };
};

const NDJSON = "application/x-ndjson";
/** Text of lines, each of which is such a value, or one of such values. */
const linesOf = (...names: string[]): Json => {
  const [first, ...others] = names.map((name) => refTo("schemas", name));
  return {
    type: "string",
    description: "lines of JSON; the schema is that of each",
    contentMediaType: NDJSON,
    contentSchema: others.length === 0 ? first : { anyOf: [first, ...others] },
  };
};

function answerInLines({ about }: Route, { answer, about: { answer: example } }: Lines, into: Components) {
  const name = `${typeName(about.operationId)}AnswerLine`;
  into.schemas[name] = printSchema(answer, true);
  const description =
    "To a body of NDJSON: a line for each of its lines, in order. If it ends early, its last line is a " +
    "problem document, which alone has a `status`; `retry_after` is what is otherwise in `Retry-After`.";
  const content = { [NDJSON]: { schema: linesOf(name, "Problem"), example } };
  return { description, headers: headersOf(ALWAYS), content };
}

const CURSOR_EXAMPLE = (printSchema(PARAMS.cursor).examples as string[])[0] as string;

/** The media types of a list that can be exported. */
function exportsOf({ row, example }: Exported, name: string, into: Components): Json {
  const cursor = Type.String({ description: "`cursor` of a request that goes on after this row" });
  const properties = { ...row.properties, cursor };
  into.schemas[name] = printSchema(Type.Object(properties), true);
  const values = { ...(example as Json), cursor: CURSOR_EXAMPLE };
  const columns = Object.keys(properties);
  const cells = columns.map((column) => (values as Record<string, string>)[column]);
  const csv = { type: "string", contentMediaType: "text/csv" };
  return {
    "text/csv": { schema: csv, example: csvLine(columns) + csvLine(cells) },
    [NDJSON]: { schema: linesOf(name), example: `${JSON.stringify(values)}\n` },
  };
}

/** The same errors are one response for all routes that have them. */
function sharedProblem(codes: readonly ErrorCode[], into: Components): Json {
  const name = codes.join("-");
  into.responses[name] = problemOf(codes);
  return refTo("responses", name);
}

function problemOf(codes: readonly ErrorCode[]): ResponseObject {
  const names = [...ALWAYS, ...OF_A_PROBLEM];
  if (codes.some((code) => ERRORS[code].status === 401)) names.push("WWW-Authenticate");
  if (codes.some((code) => ERRORS[code].status === 415)) names.push("Accept-Encoding");
  if (codes.some((code) => new SluiceError(code).retryAfterS !== null)) names.push("Retry-After");
  if (codes.includes("rate_limited")) names.push(...OF_A_RATE);
  const schemas = codes.map((code) => refTo("schemas", problemName(code)));
  const examples = Object.fromEntries(codes.map((code) => [code, refTo("examples", code)]));
  const schema = schemas.length === 1 ? schemas[0] : { oneOf: schemas };
  return {
    description: codes.map((code) => `- \`${code}\`: ${ERRORS[code].meaning}`).join("\n"),
    headers: headersOf(names),
    content: { "application/problem+json": { schema, examples } },
  };
}

const withProblem = (answer: ResponseObject, problem: ResponseObject): ResponseObject => ({
  description: `${answer.description}, or a problem:\n\n${problem.description}`,
  headers: { ...problem.headers, ...answer.headers },
  content: { ...answer.content, ...problem.content },
  ...(answer.links === undefined ? {} : { links: answer.links }),
});

const headersOf = (names: readonly HeaderName[]): Json =>
  Object.fromEntries(names.map((name) => [name, refTo("headers", name)]));
