// Lists and changes of Twilio's door as far as they need no database: what is refused, byte for byte, and a
// page without messages.

import { beforeEach, describe, expect, test } from "bun:test";
import { CUSTOMER, ID_HEX, KEY, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { accountSid } from "../../core/peers/twilio.ts";
import { createTwilioDoor } from "./twilio.ts";

const ACCOUNT = accountSid(CUSTOMER);
const PATH = `/2010-04-01/Accounts/${ACCOUNT}/Messages.json`;
const authorization = `Basic ${Buffer.from(`${ACCOUNT}:${KEY}`).toString("base64")}`;

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createTwilioDoor);
});

const error = (status: number, code: number, message: string) => [
  status,
  `{"code":${code},"message":${JSON.stringify(message)},` +
    `"more_info":"https://www.twilio.com/docs/errors/${code}","status":${status}}`,
];

describe("a list", () => {
  const read = (query: string) => door.ask(`${PATH}?${query}`, { headers: { authorization } });

  test("refuses what it can't look for", async () => {
    const wrong: [query: string, code: number, message: string][] = [
      ["PageSize=0", 20400, "The 'PageSize' 0 is not a number from 1 to 1000."],
      ["PageSize=1001", 20400, "The 'PageSize' 1001 is not a number from 1 to 1000."],
      ["Page=-1", 20400, "The 'Page' -1 is not a number from 0 to 999999999."],
      ["Page=1", 20400, "A 'Page' after the first needs its 'PageToken': follow next_page_uri."],
      ["To=12", 21211, "The 'To' number 12 is not a valid phone number."],
      [
        "From=a-name-too-long",
        21212,
        "The 'From' number a-name-too-long is not a valid phone number or name.",
      ],
      ["DateSent=soon", 20400, "The 'DateSent' soon is not a date, or a time by RFC 3339."],
      ["DateSent%3C=2026-02-30", 20400, "The 'DateSent<' 2026-02-30 is not a date, or a time by RFC 3339."],
      ["DateSent%3E=1960-01-01", 20400, "The 'DateSent>' 1960-01-01 is not a date, or a time by RFC 3339."],
      ["DateSent=9999-12-31", 20400, "The 'DateSent' is not a time that a message can have."],
      ["PageToken=x", 20400, "The 'PageToken' is not one of this list with the same filters."],
      ["To=1&To=2", 20400, "The 'To' parameter was given twice."],
    ];
    for (const [query, code, message] of wrong) {
      const { status, text } = await read(query);
      expect([query, status, text]).toEqual([query, ...error(400, code, message)]);
    }
  });

  test("of no time is empty, with the members of Twilio's page and no others", async () => {
    const { status, text } = await read("DateSent%3E=2026-11-28&DateSent%3C=2026-11-27&Unknown=x");
    const uri = (query: string) => `${PATH}?DateSent%3C=2026-11-27&DateSent%3E=2026-11-28&${query}`;
    expect([status, JSON.parse(text)]).toEqual([
      200,
      {
        end: 0,
        first_page_uri: uri("PageSize=50&Page=0"),
        messages: [],
        next_page_uri: null,
        page: 0,
        page_size: 50,
        previous_page_uri: null,
        start: 0,
        uri: uri("PageSize=50&Page=0"),
      },
    ]);
  });

  test("is read with the scope read only", async () => {
    door.allow("send");
    const { status, text } = await read("");
    expect([status, text]).toEqual(error(403, 20003, "Permission Denied"));
  });
});

describe("a change of a message", () => {
  const path = PATH.replace(".json", `/SM${ID_HEX}.json`);
  const change = (form: Record<string, string>, of = path) =>
    door.ask(of, {
      method: "POST",
      body: new URLSearchParams(form).toString(),
      headers: { "content-type": "application/x-www-form-urlencoded", authorization },
    });

  test("but its cancel is refused", async () => {
    const invalid = error(400, 30400, "Parameters are not valid: give Status=canceled and no Body.");
    const forms = [
      {},
      { Status: "sent" },
      { Status: "" },
      { Status: "canceled", Body: "" },
      { Body: "other" },
    ];
    for (const form of forms) {
      const { status, text } = await change(form as Record<string, string>);
      expect([form, status, text]).toEqual([form, ...invalid]);
    }
    const redacted = await change({ Body: "" });
    expect([redacted.status, redacted.text]).toEqual(
      error(400, 20400, "Redacting a message is not supported."),
    );
  });

  test("needs the scope send, and a message", async () => {
    const missing = path.replace(ID_HEX, "x");
    const { status, text } = await change({ Status: "canceled" }, missing);
    expect([status, text]).toEqual(error(404, 20404, `The requested resource ${missing} was not found`));
    door.allow("read");
    const without = await change({ Status: "canceled" });
    expect([without.status, without.text]).toEqual(error(403, 20003, "Permission Denied"));
  });
});
