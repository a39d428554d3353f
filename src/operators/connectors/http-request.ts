// The request that an operator of HTTP wants for a message: its schema in the routes file, what is wrong with
// one, and the function that builds it, compiled once for each operator.
// Invariant: what a message or a secret says stays in its place: percent-encoded in URL and form, escaped in
// JSON and XML, and a header or XML that can't carry it refuses the message. The host is the author's alone.

import { type Static, Type } from "typebox";
import type { LaneRecord } from "../../core/lane-record.ts";
import { validUntilOf } from "../../core/retries.ts";
import { secret } from "../secret.ts";
import {
  type Compiled,
  compileJson,
  compileTemplate,
  type Json,
  type Place,
  type Scalar,
  type TemplateSettings,
} from "./template.ts";

const closed = { additionalProperties: false };

/** `errorMessage` is what the check of the file says. */
export const scalar = (description: string) =>
  Type.Unsafe<Scalar>({
    anyOf: [Type.String({ maxLength: 2_000 }), Type.Number(), Type.Boolean()],
    errorMessage: "must be text, a number, true or false",
    description,
  });
const templates = (description: string) =>
  Type.Unsafe<Record<string, Scalar>>(Type.Record(Type.String(), scalar("a template"), { description }));

const URL_FORM = /^(https?:\/\/[^/?#{}\s]+)(\/[^?#]*)?(\?[^#]*)?$/;

const BODY = Type.Object(
  {
    json: Type.Optional(
      Type.Unsafe<Json>({ anything: true, description: "JSON, whose texts are templates" }),
    ),
    form: Type.Optional(templates("the fields of a form, whose values are templates")),
    xml: Type.Optional(Type.String({ maxLength: 20_000, description: "a template of XML" })),
  },
  { ...closed, description: "one of `json`, `form` and `xml`" },
);

export const REQUEST_SETTINGS = {
  url: Type.Refine(
    Type.String({
      maxLength: 2_000,
      description: "where submits go; a template after the host",
      errorMessage: "must be an address such as https://sms.example/submit, without a name and password",
    }),
    (text) => {
      const [, origin] = URL_FORM.exec(text) ?? [];
      const url = origin === undefined ? null : URL.parse(origin);
      return url !== null && url.username === "" && url.password === "" && url.pathname === "/";
    },
    () => "no address of HTTP",
  ),
  method: Type.Optional(
    Type.Enum(["GET", "POST", "PUT"], { description: "`POST` unless given; `GET` has no body" }),
  ),
  authorization: Type.Optional(secret("sent with each submit as its Authorization header")),
  basic: Type.Optional(
    Type.Object(
      {
        username: Type.String({ minLength: 1, maxLength: 200, pattern: "^[^:]*$" }),
        password: secret("with the name, our Basic credentials"),
      },
      { ...closed, description: "sent with each submit as Basic credentials" },
    ),
  ),
  headers: Type.Optional(templates("more headers; the values are templates")),
  query: Type.Optional(templates("added to the URL's query; the values are templates")),
  body: Type.Optional(BODY),
  sender: Type.Optional(
    Type.String({ minLength: 1, maxLength: 20, description: "{from} of messages without a `from`" }),
  ),
  encodings: Type.Optional(
    Type.Object(
      { gsm7: Type.Optional(scalar("a text in GSM-7")), ucs2: Type.Optional(scalar("any other text")) },
      { ...closed, description: "what {encoding} is for it, such as `{ gsm7: 0, ucs2: 8 }`" },
    ),
  ),
  secrets: Type.Optional(
    Type.Unsafe<Record<string, string>>(
      Type.Record(Type.String({ pattern: "^[A-Za-z][A-Za-z0-9_]*$" }), secret("a secret"), {
        description: "{secret.NAME} in a template is the one of that name",
      }),
    ),
  ),
};
export type RequestSettings = Static<ReturnType<typeof Type.Object<typeof REQUEST_SETTINGS>>>;

/**
 * What is posted by an entry that says nothing about the request. Its contract is published, so `from` is
 * null if there is none. Not a template: it is the usual request, and made in one call.
 */
const ownJson =
  ({ sender, encodings = {} }: TemplateSettings): Compiled =>
  (message) => {
    const { id, phone, text, from, encoding, parts } = message;
    return JSON.stringify({
      id,
      phone,
      text,
      from: from ?? sender ?? null,
      encoding: encodings[encoding] ?? encoding,
      parts,
      valid_until: new Date(validUntilOf(message)).toISOString(),
    });
  };

export type HttpRequest = {
  method: "GET" | "POST" | "PUT";
  path: string;
  /** Name, value, name, value … */
  headers: string[];
  body: string | null;
};
/** The request for a message, or why this operator can't get it. */
export type BuildRequest = (message: LaneRecord) => HttpRequest | string;

/** The URL in its parts: what stands before the path, the path, the query with its question mark. */
export function partsOfUrl(url: string): { origin: string; path: string; query: string } {
  const [, origin = "", path = "/", query = ""] = URL_FORM.exec(url) ?? [];
  return { origin, path, query };
}

/** Whether the entry says where the text goes; otherwise it goes in our own JSON, whatever the URL has. */
const isTemplated = ({ url, method, query, body }: RequestSettings): boolean =>
  body !== undefined || query !== undefined || method === "GET" || url.includes("{text");

export function compileRequest(settings: RequestSettings): { origin: string; build: BuildRequest } {
  const { method = "POST" } = settings;
  const { origin } = partsOfUrl(settings.url);
  const pathOf = compilePath(settings);
  const headersOf = compileHeaders(settings);
  const bodyOf = isTemplated(settings) ? compileBody(settings) : ownJson(settings);
  return {
    origin,
    build(message) {
      const headers = headersOf(message);
      if (typeof headers === "string") return headers;
      const body = bodyOf?.(message) ?? null;
      if (body !== null && settings.body?.xml !== undefined && NOT_XML.test(body))
        return "a text that XML can't carry";
      return { method, path: pathOf(message), headers, body };
    },
  };
}

// ---- URL ----

const IN_URL: Place = {
  // What can't stand in a request line; the rest is as the author encoded it.
  literal: (text) => text.replaceAll(/[^\x21-\x7e]+/g, encodeURIComponent),
  value: encodeURIComponent,
};
const IN_FORM: Place = { literal: encodeURIComponent, value: encodeURIComponent };

function compilePath(settings: RequestSettings): (message: LaneRecord) => string {
  const { path, query } = partsOfUrl(settings.url);
  const own = compileTemplate(path + query, settings, IN_URL);
  if (settings.query === undefined) return (message) => own(message) ?? "/";
  const added = compileForm(settings.query, settings);
  const joint = query === "" ? "?" : "&";
  return (message) => {
    const more = added(message);
    return (own(message) ?? "/") + (more === "" ? "" : joint + more);
  };
}

/** application/x-www-form-urlencoded; a field that is a single placeholder without a value is left out. */
function compileForm(
  fields: Record<string, Scalar>,
  settings: TemplateSettings,
): (message: LaneRecord) => string {
  const pairs = Object.entries(fields).map(
    ([name, value]) =>
      [`${encodeURIComponent(name)}=`, compileTemplate(String(value), settings, IN_FORM)] as const,
  );
  return (message) => {
    let made = "";
    for (const [name, value] of pairs) {
      const text = value(message);
      if (text !== null) made += (made === "" ? name : `&${name}`) + text;
    }
    return made;
  };
}

// ---- headers ----

/** Visible ASCII, Latin-1 and blanks: above all no line break (RFC 9110, 5.5). */
const HEADER_VALUE = /^[\x20-\x7e\x80-\xff]*$/;
/** A token (5.6.2). */
export const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
/** What the connection or the other settings say. */
export const OWN_HEADERS = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
const AS_IS: Place = { literal: (text) => text, value: (text) => text };

/** All headers of the request, or why the message can't have them. */
function compileHeaders(settings: RequestSettings): (message: LaneRecord) => string[] | string {
  const { headers = {} } = settings;
  const given = Object.entries(headers).map(
    ([name, value]) => [name.toLowerCase(), compileTemplate(String(value), settings, AS_IS)] as const,
  );
  const has = (name: string) => given.some(([own]) => own === name);
  const isTraced = !has("traceparent");
  const type = contentType(settings);
  const fixed: string[] = [];
  if (type !== null && !has("content-type")) fixed.push("content-type", type);
  const credentials = authorizationOf(settings);
  if (credentials !== undefined) fixed.push("authorization", credentials);
  return (message) => {
    const all = [...fixed];
    if (isTraced && message.traceparent !== "") all.push("traceparent", message.traceparent);
    for (const [name, valueOf] of given) {
      const value = valueOf(message);
      if (value === null) continue;
      if (!HEADER_VALUE.test(value)) return `something that its header ${name} can't carry`;
      all.push(name, value);
    }
    return all;
  };
}

/** The Authorization header that an entry asks for. */
export const authorizationOf = ({
  authorization,
  basic,
}: Pick<RequestSettings, "authorization" | "basic">): string | undefined =>
  basic === undefined ? authorization : `Basic ${credentialsOf(basic)}`;

const credentialsOf = ({ username, password }: { username: string; password: string }): string =>
  Buffer.from(`${username}:${password}`).toString("base64");

function contentType(settings: RequestSettings): string | null {
  const { body } = settings;
  if (!isTemplated(settings) || body?.json !== undefined) return "application/json";
  if (body?.form !== undefined) return "application/x-www-form-urlencoded";
  return body?.xml === undefined ? null : "text/xml; charset=utf-8";
}

// ---- body ----

/** Characters that XML 1.0 has no way to write (2.2). */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  // Attributes would turn them into blanks.
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};
const IN_XML: Place = {
  literal: (text) => text,
  value: (text) => text.replaceAll(/[&<>"'\t\n\r]/g, (character) => ENTITIES[character] ?? ""),
};

/** The secrets of an entry, in every form in which they are sent: an operator may say what it got. */
export function secretsOf({ authorization = "", basic, secrets = {} }: RequestSettings): string[] {
  const plain = [authorization, authorization.replace(/^\S+ /, ""), ...Object.values(secrets)];
  if (basic !== undefined) plain.push(basic.password, credentialsOf(basic));
  return plain.flatMap((each) => [each, encodeURIComponent(each), IN_XML.value(each)]);
}

function compileBody(settings: RequestSettings): Compiled | null {
  const { body } = settings;
  if (body?.json !== undefined) return compileJson(body.json, settings);
  if (body?.form !== undefined) return compileForm(body.form, settings);
  return body?.xml === undefined ? null : compileTemplate(body.xml, settings, IN_XML);
}
