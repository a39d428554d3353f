// Faults of an entry of an HTTP kind, each at its place in the file.

import { expect, test } from "bun:test";
import { faultLines, parseRoutes } from "../routes-file.ts";

const env = { KEY: "hunter2" };
const parse = (entry: string) =>
  parseRoutes(new TextEncoder().encode(`operators:\n  A:\n    price: 1\n${entry}`), { env, folder: "/" });
/** The entry begins on line 4. Returns `line:column path: fault`, the path from the operator on. */
function faults(entry: string): string[] {
  const read = parse(entry);
  if (read.kind === "ok") return [];
  return faultLines("f", read.faults).map((line) => line.slice(2).replace(" operators.A", " "));
}
const HTTP = "    kind: http\n    url: http://a/send\n";

test("an entry with everything in it is read", () => {
  const read = parse(`    kind: http
    url: "https://sms.example/v1/{secret.key}/send?to={phone}&text={text}"
    method: PUT
    secrets: { key: { env: KEY } }
    basic: { username: us, password: { env: KEY } }
    headers: { X-Key: "{secret.key}", X-Try: 1 }
    query: { from: "{from}", flash: false }
    body: { json: { list: [{ to: "{phone_national}", none: null, n: 5 }], "{id}": "{{literal}}" } }
    sender: us
    encodings: { gsm7: 0, ucs2: 8 }
    answer:
      id: { matches: "<id>(\\\\d+)</id>" }
      reason: error.text
      rules:
        - { status: 200, field: code, is: [0, ok, true], means: accepted }
        - { status: { from: 400, to: 499 }, matches: "^no", means: for_good }
`);
  if (read.kind === "bad") throw new Error(faultLines("f", read.faults).join("\n"));
  expect(read.file.operators[0]).toMatchObject({
    method: "PUT",
    secrets: { key: "hunter2" },
    headers: { "X-Key": "{secret.key}", "X-Try": 1 },
    body: { json: { list: [{ to: "{phone_national}", none: null, n: 5 }], "{id}": "{{literal}}" } },
    answer: { rules: [{ is: [0, "ok", true] }, { status: { from: 400, to: 499 } }] },
  });
});

test("a template's fault is told where the template is", () => {
  const known = "has a placeholder that doesn't exist: it can be id, phone, phone_digits,";
  const found = faults(`    kind: http
    url: "http://a/{text}?x={nothing}"
    secrets: { key: { env: KEY } }
    headers:
      X-One: "{ phone }"
      X-Two: "{phone"
      X-Three: سلام
    query: { a: "{secret.other}", b: "\${phone}" }
    body:
      json:
        deep: [{ x: "{{phone}}" }, "a}b"]
`);
  const short = found.map((line) => line.replace(/(: it can be id, phone, phone_digits,).*/, "$1"));
  expect(short).toEqual([
    "5:10 .url: {text} can't be in a path: put it in the query or the body",
    `8:14 .headers.X-One: ${known}`,
    '9:14 .headers.X-Two: has a "{" without its other half: for a brace itself write it twice',
    "10:16 .headers.X-Three: has a character that a header can't carry: only Latin-1 can",
    "11:17 .query.a: {secret.other} is not in `secrets`: name where that one is kept",
    '11:38 .query.b: has a "${": a placeholder is {name}, without the dollar sign',
    "14:21 .body.json.deep[0].x: has a placeholder in two braces: write it in one",
    '14:36 .body.json.deep[1]: has a "}" without its other half: for a brace itself write it twice',
  ]);
});

test("the host is never a template, and an address has no credentials or fragment", () => {
  const wanted = "must be an address such as https://sms.example/submit, without a name and password";
  for (const url of [
    "http://{secret.host}/x",
    "http://a{phone}/x",
    "{phone}",
    "http://us:hunter2@a/",
    "http://us@a",
    "ftp://a",
    "http://a/#x",
    "http://a\\\\b/x",
    "http:///x",
  ])
    expect(faults(`    kind: http\n    url: "${url}"\n`)).toEqual([`5:10 .url: ${wanted}`]);
});

test("headers that the connection sets, or that are there twice, are refused", () => {
  expect(
    faults(`${HTTP}    authorization: { env: KEY }
    basic: { username: us, password: { env: KEY } }
    headers:
      Host: b
      Content-Length: 5
      "X Y": a
      X-A: a
      x-a: b
      Authorization: c
`),
  ).toEqual([
    "7:12 .basic: is beside `authorization`, which is the same header: remove one",
    "9:13 .headers.Host: is a header that the connection sets itself: remove it",
    "10:23 .headers.Content-Length: is a header that the connection sets itself: remove it",
    "11:14 .headers.X Y: is no name of a header",
    "13:12 .headers.x-a: is there already, in other letters: remove one of them",
    "14:22 .headers.Authorization: is what `authorization` sets: remove one of them",
  ]);
});

test("a body is one of three, and none with GET", () => {
  const one = "must have one of `json`, `form` and `xml`";
  expect(faults(`${HTTP}    body: {}\n`)).toEqual([`6:11 .body: ${one}`]);
  expect(faults(`${HTTP}    body: { json: 1, xml: a }\n`)).toEqual([`6:11 .body: ${one}`]);
  expect(faults(`${HTTP}    method: GET\n    body: { json: 1 }\n`)).toEqual([
    "7:11 .body: can't be with method GET: use `query`",
  ]);
  expect(faults(`${HTTP}    body: { form: { a: [1], b: } }\n`)).toEqual([
    "6:24 .body.form.a: must be text, a number, true or false",
    expect.stringContaining(".body.form.b: has no value"),
  ]);
  expect(faults(`${HTTP}    method: DELETE\n`)).toEqual(["6:13 .method: must be one of GET, POST, PUT"]);
});

test("rules that can't be, or that would accept nothing or anything, are refused", () => {
  const path = "must be a path into JSON: up to 10 names with dots between them, such as messages.0.id";
  expect(
    faults(`${HTTP}    answer:
      id: { matches: "\\\\d+" }
      reason: a..b
      rules:
        - { means: for_good }
        - { status: 99, means: later }
        - { status: { from: 500, to: 400 }, means: perhaps }
        - { field: .a, matches: "(?=a)", means: later }
        - { matches: "(", means: elsewhere }
        - { is: [], status: 200, means: later }
`),
  ).toEqual([
    "7:22 .answer.id.matches: needs a group, (…), around what it is to find",
    "8:15 .answer.reason: must be a path into JSON, such as messages.0.id, or { matches: an expression }",
    "10:9 .answer.rules: accepts nothing: one rule must have `means: accepted`",
    "10:11 .answer.rules[0]: would fit any answer: give status, field, is or matches",
    "11:21 .answer.rules[1].status: must be a status such as 200, or { from: 400, to: 499 }",
    "12:21 .answer.rules[2].status: is an empty range: `from` is above `to`",
    "12:52 .answer.rules[2].means: must be one of accepted, later, elsewhere, for_good, perhaps_taken",
    `13:20 .answer.rules[3].field: ${path}`,
    expect.stringContaining(".answer.rules[3].matches: is no regular expression"),
    "14:22 .answer.rules[4].matches: is no regular expression (of RE2, which has no lookahead and no " +
      "backreferences)",
    "15:17 .answer.rules[5].is: must be a list of 1 to 200",
  ]);
});

test("no fault shows a secret or another value of the file", () => {
  const found = faults(`    kind: http
    url: "http://a/{hunter2}"
    secrets: { key: hunter2 }
    headers: { X-A: "{hunter2", Authorization: "hunter2{" }
    answer: { id: { matches: "hunter2(" }, rules: [{ matches: "(hunter2", means: hunter2 }] }
`);
  expect(found.length).toBeGreaterThan(5);
  expect(found.join("\n")).not.toContain("hunter2");
});

test("Twilio needs somebody who sends, each kind its own settings", () => {
  const twilio = `    kind: twilio
    account_sid: AC00000000000000000000000000000000
    auth_token: { env: KEY }
`;
  expect(faults(twilio)).toEqual([
    "3:5 : needs sender or messaging_service_sid, for messages without a `from`",
  ]);
  const sender = '    sender: "+15550001"\n';
  expect(faults(`${twilio}${sender}    report_url: https://us.example/dlr/A?token=x\n`)).toEqual([]);
  expect(faults(`${twilio}${sender}    report_url: us.example\n`)).toEqual([
    "8:17 .report_url: must be an address such as https://sms.example/dlr/NAME?token=…",
  ]);
  const odd = ["http:///a", "HTTP://a", "http://a\\\\b", "http://:x@a", "http://{a}"];
  for (const base of ["http://a/", "http://a?b", "a", ...odd])
    expect(faults(`    kind: kavenegar\n    api_key: { env: KEY }\n    base_url: "${base}"\n`)).toEqual([
      "6:15 .base_url: must be an address such as https://api.example, without a slash at its end",
    ]);
  const sns = "    kind: sns\n    access_key_id: AKIAIOSFODNN7EXAMPLE\n    secret_access_key: { env: KEY }\n";
  expect(faults(`${sns}    region: eu-central-1\n`)).toEqual([]);
  expect(faults(`${sns}    region: Frankfurt\n    base_url: http://a/x\n`)).toEqual([
    "7:13 .region: must be a region such as eu-central-1",
    "8:15 .base_url: must be an address without a path, such as https://sns.eu-central-1.amazonaws.com",
  ]);
});
