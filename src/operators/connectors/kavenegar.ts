// Kavenegar's REST interface, as settings of the HTTP connector (https://kavenegar.com/rest.html). Its
// reports: ../reports/kavenegar.ts.
// Each answer has its own status, which is also that of HTTP; an answer without it is not Kavenegar's.

import { type Static, Type } from "typebox";
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
  const { window, base_url, api_key, sender } = operator;
  return createSpokenConnector(
    {
      window,
      url: `${base_url}/v1/{secret.key}/sms/send.json`,
      secrets: { key: api_key },
      // It takes no plus; 00 and the country's code stand for any country, Iran too.
      body: { form: { receptor: "00{phone_digits}", message: "{text}", sender: "{from}" } },
      sender,
      answer: ANSWER,
    },
    onReport,
    link,
  );
}
