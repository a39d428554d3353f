// The door for clients of Jasmin's HTTP API: /send, /rate, /balance and /ping
// (https://docs.jasminsms.com, "HTTP API"), and with it the one of its REST front (jasmin-rest.ts).
// docs/doors/jasmin.md says what differs. Leaves to jasmin-message.ts what arguments mean.

import { SluiceError } from "../../core/errors.ts";
import { ulidUuid } from "../../core/id.ts";
import { parseJson } from "../../core/json.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import { singleHeader } from "../http.ts";
import type { Written } from "../route.ts";
import {
  type Credentials,
  type DoorRoute,
  doorRoute,
  headerBefore,
  headerCredentials,
  type Knock,
} from "./door.ts";
import { fieldsOf, queryOf } from "./fields.ts";
import {
  type Arguments,
  type Asking,
  balanceOf,
  CREDENTIALS,
  holdArguments,
  inputOf,
  type JasminDeps,
  namedOf,
  notSignedIn,
  RATE,
  rateOf,
  refusedField,
  type Says,
  saying,
  SEND,
  signInAs,
  textOf,
} from "./jasmin-message.ts";
import { createRestFront } from "./jasmin-rest.ts";
import { send } from "./sending.ts";

export function createJasminDoor(deps: JasminDeps): DoorRoute[] {
  const sending = (method: DoorRoute["method"]): DoorRoute =>
    doorRoute({
      method,
      path: "/send",
      refusal: (error) => SAYS_ERROR.refusalOf(error),
      answer: (knock) => sendMessage(deps, knock),
    });
  const reading = (path: string, answer: (knock: Knock) => Promise<Written>): DoorRoute =>
    doorRoute({ method: "GET", path, refusal: (error) => SAYS_JSON.refusalOf(error), answer });
  return [
    sending("GET"),
    sending("POST"),
    reading("/rate", (knock) => rate(deps, knock)),
    reading("/balance", (knock) => balance(deps, knock)),
    reading("/ping", async () => ({ status: 200, body: "Jasmin/PONG", headers: TEXT_HEADERS })),
    ...createRestFront(deps),
  ];
}

// ---- routes ----

async function sendMessage(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, SEND, SAYS_ERROR);
  const owner = await caller(deps, knock, args, {
    says: SAYS_ERROR,
    scope: "send",
    may: "send MT messages",
  });
  return send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["jasmin", ...namedOf(args)]),
    inputs: () => [inputOf(args, deps, SAYS_ERROR)],
    refused: ([error], input) => refusedField(error, input, args, SAYS_ERROR),
    status: 200,
    headers: TEXT_HEADERS,
    answerOf: ({ id }) => `Success "${ulidUuid(id)}"`,
  });
}

async function rate(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, RATE, SAYS_JSON);
  const owner = await caller(deps, knock, args, {
    says: SAYS_JSON,
    scope: "send",
    may: "get rates",
  });
  return json(200, rateOf(args, owner, deps, SAYS_JSON));
}

async function balance(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, CREDENTIALS, SAYS_JSON);
  const owner = await caller(deps, knock, args, { says: SAYS_JSON, scope: "read", may: "get balance" });
  return json(200, await balanceOf(deps, owner));
}

// ---- arguments ----

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** Of a name that is given twice the first counts. @throws PeerRefusal, SluiceError malformed_json */
function argumentsOf({ request, bytes }: Knock, rules: typeof CREDENTIALS, says: Says): Arguments {
  const args = new Map<string, Buffer | string>();
  for (const [name, value] of givenIn(request, bytes)) if (!args.has(name)) args.set(name, value);
  if (args.size === 0 && credentialsOf(request, args, says) === null)
    throw says.refusal(400, "Mandatory arguments not found, please refer to the HTTPAPI specifications.");
  holdArguments(args, rules, says);
  return args;
}

function givenIn(request: Request, bytes: Uint8Array): [string, Buffer | string][] {
  const named = (encoded: Uint8Array): [string, Buffer | string][] =>
    // A percent sign that begins no escape is no byte of any character set.
    fieldsOf(encoded).map(({ name, bytes: value }) => [name, value ?? Buffer.of(0xff)]);
  if (request.method === "GET") return named(queryOf(request.url));
  const type = singleHeader(request, "Content-Type") ?? "";
  if (FORM.test(type)) return named(bytes);
  if (type !== "application/json") throw new SluiceError("unsupported_media_type");
  const body = parseJson(bytes);
  if (typeof body !== "object" || body === null || Array.isArray(body)) return [];
  return Object.entries(body).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

function caller(deps: JasminDeps, knock: Knock, args: Arguments, asking: Asking): Promise<KeyOwner> {
  const given = credentialsOf(knock.request, args, asking.says);
  if (given !== null) return signInAs(deps, knock, given, asking);
  const missing = Object.keys(CREDENTIALS).find((name) => !args.has(name));
  throw asking.says.refusal(400, `Mandatory argument [${missing}] is not found.`);
}

/** @throws PeerRefusal for a header that can't be read, or names another user than the arguments do */
function credentialsOf(request: Request, args: Arguments, says: Says): Credentials | null {
  const given = (name: string) => (args.has(name) ? textOf(args, name) : null);
  const [user, key] = [given("username"), given("password")];
  try {
    return headerBefore(headerCredentials(request), { user, key });
  } catch (error) {
    throw notSignedIn(error, user ?? "", says);
  }
}

// ---- answers ----

const TEXT_HEADERS = { "content-type": "text/plain" };

const json = (status: number, body: string): Written => ({
  status,
  body,
  headers: { "content-type": "application/json" },
});

const SAYS_ERROR = saying((status, message) => ({
  status,
  body: `Error "${message}"`,
  headers: TEXT_HEADERS,
}));
const SAYS_JSON = saying((status, message) => json(status, JSON.stringify(message)));
