// Twilio's Programmable Messaging, as settings of the HTTP connector
// (https://www.twilio.com/docs/messaging/api/message-resource,
// https://www.twilio.com/docs/api/errors). Its reports: ../reports/twilio.ts.
// A 4xx with a code creates no message, so it is a refusal; a 5xx says nothing about it.

import { type Static, Type } from "typebox";
import { secret } from "../secret.ts";
import type { OperatorTerms } from "../terms.ts";
import { baseUrl, reportUrl } from "./addresses.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import type { AnswerSettings } from "./http-answer.ts";
import { createSpokenConnector } from "./http-connector.ts";
import { literally } from "./template.ts";

export const TWILIO_SETTINGS = {
  base_url: baseUrl("https://api.twilio.com"),
  account_sid: Type.String({
    pattern: "^AC[0-9a-fA-F]{32}$",
    errorMessage: "must be AC and 32 hex digits",
    description: "the account",
  }),
  auth_token: secret("the account's auth token, or the secret of `api_key_sid`"),
  api_key_sid: Type.Optional(
    Type.String({
      pattern: "^SK[0-9a-fA-F]{32}$",
      errorMessage: "must be SK and 32 hex digits",
      description: "an API key to sign in with, instead of the account",
    }),
  ),
  sender: Type.Optional(
    Type.String({ minLength: 1, maxLength: 20, description: "the From of messages without a `from`" }),
  ),
  messaging_service_sid: Type.Optional(
    Type.String({
      pattern: "^MG[0-9a-fA-F]{32}$",
      errorMessage: "must be MG and 32 hex digits",
      description: "the messaging service that sends; it chooses the From of messages without one",
    }),
  ),
  report_url: reportUrl("StatusCallback: our /dlr/NAME, as Twilio reaches it; {id} in it is our id"),
};
export type TwilioOperator = OperatorTerms & { kind: "twilio" } & Static<
    ReturnType<typeof Type.Object<typeof TWILIO_SETTINGS>>
  >;

const CLIENT_ERROR = { from: 400, to: 499 };

const ANSWER: AnswerSettings = {
  id: "sid",
  reason: "code",
  rules: [
    { status: { from: 200, to: 201 }, means: "accepted" },
    {
      status: CLIENT_ERROR,
      field: "code",
      is: [
        21211, // To is no phone number
        21217, // nor is this
        21265, // To is a short code
        21610, // the recipient has unsubscribed from this sender
        21614, // To is no mobile number
        21617, // the text is too long
        21602, // there is no text
        21619, // nor media
      ],
      means: "for_good",
    },
    {
      status: CLIENT_ERROR,
      field: "code",
      is: [
        14107, // too many between these two numbers
        20429, // too many requests
        21611, // this From has a full queue
        63038, // the account's messages of a day
      ],
      means: "later",
    },
    { status: 429, means: "later" },
    // Credentials, the account, countries it may not send to (21408), a From it may not use (21606).
    { status: CLIENT_ERROR, field: "code", means: "elsewhere" },
  ],
};

export function createTwilioConnector(
  operator: TwilioOperator,
  onReport: OnReport,
  link: OperatorLink,
): Connector {
  const { window, base_url, account_sid, auth_token, api_key_sid, sender } = operator;
  const { messaging_service_sid, report_url } = operator;
  const form: Record<string, string> = { To: "{phone}", From: "{from}", Body: "{text}" };
  if (messaging_service_sid !== undefined) form.MessagingServiceSid = messaging_service_sid;
  if (report_url !== undefined) form.StatusCallback = literally(report_url).replaceAll("{{id}}", "{id}");
  return createSpokenConnector(
    {
      window,
      url: `${base_url}/2010-04-01/Accounts/${account_sid}/Messages.json`,
      basic: { username: api_key_sid ?? account_sid, password: auth_token },
      body: { form },
      sender,
      answer: ANSWER,
    },
    onReport,
    link,
  );
}
