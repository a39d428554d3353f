// Kavenegar's REST interface, as settings of the HTTP connector (https://kavenegar.com/rest.html). Its
// reports: ../reports/kavenegar.ts.
// Each answer has its own status, which is also that of HTTP; an answer without it is not Kavenegar's.
// A submit's `localid` is a number of ours (a `long` there): Kavenegar sends no second message for it, and
// says what became of it although nobody knows the messageid.

import { type Static, Type } from "typebox";
import { idNumber } from "../../core/id.ts";
import { secret } from "../secret.ts";
import type { OperatorTerms } from "../terms.ts";
import { baseUrl } from "./addresses.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import type { AnswerSettings } from "./http-answer.ts";
import { createSpokenConnector } from "./http-connector.ts";

export const KAVENEGAR_SETTINGS = {
  base_url: baseUrl("https://api.kavenegar.com"),
  api_key: secret("the account's API key"),
  sender: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 20,
      description: "the line of messages without a `from`; none: the account's own",
    }),
  ),
  localid: Type.Boolean({
    default: true,
    description:
      "whether each submit has a number made of our id, by which a message without an answer is looked up",
  }),
};
export type KavenegarOperator = OperatorTerms & { kind: "kavenegar" } & Static<
    ReturnType<typeof Type.Object<typeof KAVENEGAR_SETTINGS>>
  >;

const STATUS = "return.status";

const ANSWER: AnswerSettings = {
  id: "entries.*.messageid",
  reason: STATUS,
  rules: [
    // Blocked: the recipient takes no advertisements. It has an id, but is not sent and not charged.
    { status: 200, field: "entries.*.status", is: [14], means: "for_good" },
    { status: 200, field: STATUS, is: [200], means: "accepted" },
    {
      field: STATUS,
      is: [
        411, // the recipient
        413, // the text is empty or too long
        420, // a link in the text, which this account may not send
        422, // characters
      ],
      means: "for_good",
    },
    {
      field: STATUS,
      is: [
        402, // the operation failed
        409, // the server can't now
        451, // too many calls in a short time
      ],
      means: "later",
    },
    { status: 429, means: "later" },
    {
      field: STATUS,
      is: [
        400, // parameters
        401, // the account is off
        403, // the API key
        404, // the method
        405, // GET or POST
        406, // parameters that are required
        407, // not allowed for this account
        412, // the sender
        414, // more recipients than allowed
        416, // our address
        417, // the date: we send none
        418, // credit
        419, // lists of different lengths
        426, // needs a better contract
        427, // the line is not ours
        501, // only a test account
      ],
      means: "elsewhere",
    },
  ],
};

export function createKavenegarConnector(
  operator: KavenegarOperator,
  onReport: OnReport,
  link: OperatorLink,
): Connector {
  const { window, base_url, api_key, sender, localid } = operator;
  const form: Record<string, string> = { receptor: "00{phone_digits}", message: "{text}", sender: "{from}" };
  if (localid) form.localid = "{id_number}";
  return createSpokenConnector(
    {
      window,
      url: `${base_url}/v1/{secret.key}/sms/send.json`,
      secrets: { key: api_key },
      // It takes no plus; 00 and the country's code stand for any country, Iran too.
      body: { form },
      sender,
      answer: ANSWER,
    },
    onReport,
    link,
  );
}

/** Where it says what became of a message, by the `localid` of its submit. The address has the API key. */
export const kavenegarLookUp = (
  { base_url, api_key }: Pick<KavenegarOperator, "base_url" | "api_key">,
  id: string,
): string =>
  `${base_url}/v1/${encodeURIComponent(api_key)}/sms/statuslocalmessageid.json?localid=${idNumber(id)}`;

/** Whether its answer speaks of that message. Of one that it doesn't know it names none. */
export const isKavenegarAnswer = (body: Uint8Array, id: string): boolean =>
  new RegExp(`"localid"\\s*:\\s*"?${idNumber(id)}["\\s,}]`).test(Buffer.from(body).toString("latin1"));
