// The routes of Jasmin's REST front: /secure/send, /secure/sendbatch, /secure/rate and /secure/balance
// (https://docs.jasminsms.com, "RESTful API"). It has Basic credentials and JSON, and passes what it is told
// on to the HTTP API, whose arguments it takes with `_` for `-`; its answers are those of that API, wrapped.
// docs/doors/jasmin.md says what differs.
// Invariant: a batch is taken as a whole or not at all; Jasmin answers before it has looked at its messages.
// Bound: BATCH_MESSAGES_MAX messages in the body that every door reads. What is for many receivers is given
// once: it is repeated for each only if it is short enough to be sent.

import { BATCH_MESSAGES_MAX } from "../../core/batch-limits.ts";
import type { DraftInput } from "../../core/draft.ts";
import { SluiceError } from "../../core/errors.ts";
import { ulidUuid } from "../../core/id.ts";
import { parseJson } from "../../core/json.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { Written } from "../route.ts";
import { type Credentials, type DoorRoute, doorRoute, headerCredentials, type Knock } from "./door.ts";
import { PeerRefusal } from "./door.ts";
import { fieldsOf, queryOf } from "./fields.ts";
import {
  type Arguments,
  balanceOf,
  CREDENTIALS,
  holdArguments,
  holdLengths,
  inputOf,
  invalid,
  type JasminDeps,
  namedOf,
  RATE,
  rateOf,
  refusedField,
  type Says,
  saying,
  SEND,
  signInAs,
  textOf,
} from "./jasmin-message.ts";
import { laterAt } from "./later.ts";
import { send } from "./sending.ts";

export function createRestFront(deps: JasminDeps): DoorRoute[] {
  const routeOf = (
    method: DoorRoute["method"],
    path: string,
    says: Says,
    answer: (knock: Knock) => Promise<Written>,
  ): DoorRoute => doorRoute({ method, path, refusal: (error) => says.refusalOf(error), answer });
  return [
    routeOf("POST", "/secure/send", SAYS_ERROR, (knock) => sendMessage(deps, knock)),
    routeOf("POST", "/secure/sendbatch", SAYS_ERROR, (knock) => sendBatch(deps, knock)),
    routeOf("GET", "/secure/rate", SAYS_BARE, (knock) => rate(deps, knock)),
    routeOf("GET", "/secure/balance", SAYS_BARE, (knock) => balance(deps, knock)),
  ];
}

// ---- routes ----

async function sendMessage(deps: JasminDeps, knock: Knock): Promise<Written> {
  const given = credentialsOf(knock);
  const args = argumentsOf(membersOf(knock));
  holdArguments(args, SEND, SAYS_ERROR);
  const owner = await signInAs(deps, knock, given, MAY_SEND);
  return send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["jasmin rest", ...namedOf(args)]),
    inputs: () => [inputOf(args, deps, SAYS_ERROR)],
    refused: ([error], input) => refusedField(error, input, args, SAYS_ERROR),
    status: 200,
    headers: HEADERS,
    answerOf: ({ id }) => dataOf(JSON.stringify(withoutQuotes(`Success "${ulidUuid(id)}"`))),
  });
}

async function rate(deps: JasminDeps, knock: Knock): Promise<Written> {
  const given = credentialsOf(knock);
  const fields = fieldsOf(queryOf(knock.request.url));
  // A percent sign that begins no escape is no byte of any character set.
  const args = argumentsOf(fields.map(({ name, bytes }) => [name, bytes ?? Buffer.of(0xff)]));
  holdArguments(args, RATE, SAYS_BARE);
  const owner = await signInAs(deps, knock, given, { says: SAYS_BARE, scope: "send", may: "get rates" });
  return answer(200, dataOf(rateOf(args, owner, deps, SAYS_BARE)));
}

async function balance(deps: JasminDeps, knock: Knock): Promise<Written> {
  const given = credentialsOf(knock);
  const owner = await signInAs(deps, knock, given, { says: SAYS_BARE, scope: "read", may: "get balance" });
  return answer(200, dataOf(await balanceOf(deps, owner)));
}

// ---- a batch ----

async function sendBatch(deps: JasminDeps, knock: Knock): Promise<Written> {
  const given = credentialsOf(knock);
  const owner = await signInToBatch(deps, knock, given);
  const body = Object.fromEntries(membersOf(knock));
  const all = messagesOf(body);
  const schedule = scheduleOf(body.batch_config);
  const argsOf = new Map<DraftInput, Arguments>();
  const scheduled = schedule === null || schedule.inS === 0 ? "" : `, "scheduled": "${schedule.inS}s"`;
  return send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["jasmin batch", schedule, body.globals, body.messages], withoutCredentials),
    inputs: () => inputsOf(all, schedule, deps, argsOf),
    refused: ([error], input) => refusedField(error, input, argsOf.get(input) as Arguments, SAYS_ERROR),
    status: 200,
    headers: HEADERS,
    answerOf: ({ id, messages }) =>
      dataOf(`{"batchId": "${ulidUuid(id)}", "messageCount": ${messages.length}${scheduled}}`),
  });
}

const withoutCredentials = (name: string, value: unknown): unknown =>
  Object.hasOwn(CREDENTIALS, name) ? undefined : value;

/** What a wrong key is told here is Falcon's, which Jasmin's front is made with. */
async function signInToBatch(deps: JasminDeps, knock: Knock, given: Credentials): Promise<KeyOwner> {
  const failed = (error: unknown): never => {
    if (!(error instanceof PeerRefusal) || error.reply.status !== 403) throw error;
    const why = `Authentication failed for user: ${given.user ?? ""}`;
    throw failure(412, "Authentication failed", why);
  };
  return signInAs(deps, knock, given, MAY_SEND).catch(failed);
}

type Body = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A message for each of their receivers. @throws PeerRefusal */
function messagesOf({ messages, globals: given }: Body): Arguments[] {
  const globals = given ?? {};
  if (!Array.isArray(messages) || messages.length === 0)
    throw SAYS_ERROR.refusal(400, "Mandatory argument [messages] is not found.");
  if (!isObject(globals)) throw invalid(SAYS_ERROR, "globals", JSON.stringify(globals));
  const all: Arguments[] = [];
  for (const message of messages as unknown[]) {
    if (!isObject(message)) throw invalid(SAYS_ERROR, "messages", JSON.stringify(message));
    const members = { ...globals, ...message };
    const receivers = Array.isArray(members.to) ? (members.to as unknown[]) : [members.to];
    if (receivers.length === 0) throw SAYS_ERROR.refusal(400, "Mandatory argument [to] is not found.");
    if (all.length + receivers.length > BATCH_MESSAGES_MAX)
      throw SAYS_ERROR.refusal(400, `Argument [messages] has more than ${BATCH_MESSAGES_MAX} receivers.`);
    for (const to of receivers) {
      const args = argumentsOf(Object.entries({ ...members, to }));
      holdArguments(args, SEND, SAYS_ERROR);
      holdLengths(args, SAYS_ERROR);
      all.push(args);
    }
  }
  return all;
}

type Schedule = { inS: number } | null;

/** @throws PeerRefusal */
function scheduleOf(config: unknown): Schedule {
  if (config === undefined || config === null) return null;
  if (!isObject(config)) throw invalid(SAYS_ERROR, "batch_config", JSON.stringify(config));
  const { callback_url, errback_url, schedule_at: at } = config;
  for (const [name, value] of Object.entries({ callback_url, errback_url }))
    if (value !== undefined && value !== null)
      throw SAYS_ERROR.refusal(400, `Argument [${name}] is unknown.`);
  if (at === undefined || at === null) return null;
  const seconds = typeof at === "string" ? /^(\d{1,9})s$/.exec(at)?.[1] : undefined;
  if (seconds !== undefined) return { inS: Number(seconds) };
  // A date would be of Jasmin's own time zone, which nobody knows here.
  const text = typeof at === "string" ? at : JSON.stringify(at);
  throw unscheduled(`Got unknown format: ${text}, correct format is a number of seconds, such as 60s`);
}

const unscheduled = (why: string): PeerRefusal => failure(412, "Cannot parse scheduled_at value", why);

/** Of one lane, and express of one time, as a batch is stored. @throws PeerRefusal */
function inputsOf(
  all: readonly Arguments[],
  schedule: Schedule,
  { priorityIsExpress, now }: JasminDeps,
  argsOf: Map<DraftInput, Arguments>,
): DraftInput[] {
  const nowMs = now();
  const later = schedule === null ? {} : laterAt(nowMs + schedule.inS * 1_000, nowMs);
  if (later === undefined) throw unscheduled(`Too far ahead: ${schedule?.inS}s`);
  return all.map((args, at) => {
    const sdt = textOf(args, "sdt");
    if (later.sendAtMs !== undefined && sdt !== "") throw invalid(SAYS_ERROR, "sdt", sdt);
    const input = { ...inputOf(args, { priorityIsExpress, now: () => nowMs }, SAYS_ERROR), ...later };
    const [first = input] = at === 0 ? [] : argsOf.keys();
    if (input.lane !== first.lane) throw invalid(SAYS_ERROR, "priority", textOf(args, "priority"));
    if (input.lane === "express" && input.sendAtMs !== first.sendAtMs) throw invalid(SAYS_ERROR, "sdt", sdt);
    argsOf.set(input, args);
    return input;
  });
}

// ---- requests ----

/** @throws PeerRefusal */
function credentialsOf({ request }: Knock): Credentials {
  let given: Credentials | null;
  try {
    given = headerCredentials(request);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "api_key_invalid") throw error;
    throw unauthorized("Invalid token");
  }
  if (given === null) throw unauthorized("Authentication required");
  return given;
}

/** Of a JSON object, whatever its Content-Type: Jasmin reads none, and its examples give none. */
function membersOf({ bytes }: Knock): [string, unknown][] {
  let body: unknown;
  try {
    body = parseJson(bytes);
  } catch {
    body = null;
  }
  if (!isObject(body)) throw failure(412, "Cannot parse JSON data", "Got unparseable json data");
  return Object.entries(body);
}

/** Of two that are one with `-` for `_` the last counts. Credentials are those of the header. */
function argumentsOf(members: readonly (readonly [string, unknown])[]): Arguments {
  const args = new Map<string, Buffer | string>();
  for (const [name, value] of members) {
    const own = name.replaceAll("_", "-");
    if (value === undefined || value === null || Object.hasOwn(CREDENTIALS, own)) continue;
    args.set(own, typeof value === "string" || Buffer.isBuffer(value) ? value : JSON.stringify(value));
  }
  return args;
}

// ---- answers ----

const HEADERS = { "content-type": "application/json" };

const answer = (status: number, body: string): Written => ({ status, body, headers: HEADERS });
/** As Python's json.dumps writes it, with a blank after each colon. */
const dataOf = (json: string): string => `{"data": ${json}}`;
const messageOf = (status: number, message: string): Written =>
  answer(status, `{"message": ${JSON.stringify(withoutQuotes(message))}}`);

/** The front takes the quotes off both ends of what the HTTP API says: also that of a word in quotes. */
function withoutQuotes(text: string): string {
  let [from, to] = [0, text.length];
  while (text[from] === '"') from++;
  while (to > from && text[to - 1] === '"') to--;
  return text.slice(from, to);
}

const SAYS_ERROR = saying((status, message) => messageOf(status, `Error "${message}"`));
const SAYS_BARE = saying(messageOf);
const MAY_SEND = { says: SAYS_ERROR, scope: "send", may: "send MT messages" } as const;

/** An error of Falcon. */
function failure(
  status: number,
  title: string,
  description: string,
  { headers = {}, link = "" }: { headers?: Record<string, string>; link?: string } = {},
): PeerRefusal {
  const body = `{"title": ${JSON.stringify(title)}, "description": ${JSON.stringify(description)}${link}}`;
  return new PeerRefusal({ status, body, headers: { ...HEADERS, ...headers } });
}

const LINK =
  ', "link": {"text": "Documentation related to this error", ' +
  '"href": "http://docs.jasminsms.com/en/latest/apis/rest/index.html", "rel": "help"}';

const unauthorized = (title: string): PeerRefusal =>
  failure(401, title, "Please provide a valid Basic auth token", {
    headers: { "www-authenticate": 'Basic realm="sluice"' },
    link: LINK,
  });
