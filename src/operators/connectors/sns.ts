// Amazon SNS: Publish to a phone number, signed with Signature Version 4
// (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html, .../CommonErrors.html). Its reports:
// ../reports/sns.ts. A signature covers the body and the minute, so a template can't express it.
// A 4xx publishes nothing; a 5xx says nothing about the message.

import aws4 from "aws4";
import { type Static, Type } from "typebox";
import type { LaneRecord } from "../../core/lane-record.ts";
import { secret } from "../secret.ts";
import type { OperatorTerms } from "../terms.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import type { AnswerSettings } from "./http-answer.ts";
import { createConnectorOver } from "./http-connector.ts";
import type { HttpRequest } from "./http-request.ts";

const REGION = "^[a-z]{2}(-[a-z]+)+-[0-9]$";

export const SNS_SETTINGS = {
  region: Type.String({
    pattern: REGION,
    errorMessage: "must be a region such as eu-central-1",
    description: "the region, which is signed",
  }),
  base_url: Type.Optional(
    Type.Refine(
      Type.String({
        maxLength: 500,
        errorMessage: "must be an address without a path, such as https://sns.eu-central-1.amazonaws.com",
        description: "where its API is; `https://sns.REGION.amazonaws.com` unless given",
      }),
      (text) => {
        const url = URL.parse(text);
        return url !== null && /^https?:$/.test(url.protocol) && url.origin === text;
      },
      () => "no address",
    ),
  ),
  access_key_id: Type.String({
    pattern: "^[A-Z0-9]{16,128}$",
    errorMessage: "must be an access key id, in capitals and digits",
    description: "the access key",
  }),
  secret_access_key: secret("the access key's secret"),
  session_token: Type.Optional(secret("of temporary credentials")),
  sms_type: Type.Enum(["Transactional", "Promotional"], {
    default: "Transactional",
    description: "what SNS optimises: that messages arrive, or what they cost",
  }),
  sender: Type.Optional(
    Type.String({ minLength: 1, maxLength: 16, description: "the sender of messages without a `from`" }),
  ),
};
export type SnsOperator = OperatorTerms & { kind: "sns" } & Static<
    ReturnType<typeof Type.Object<typeof SNS_SETTINGS>>
  >;

const CLIENT_ERROR = { from: 400, to: 499 };
const error = (...codes: string[]) => `<Code>(?:${codes.join("|")})</Code>`;

const ANSWER: AnswerSettings = {
  id: { matches: "<MessageId>([^<]+)</MessageId>" },
  reason: { matches: "<Code>([^<]+)</Code>" },
  rules: [
    { status: 200, means: "accepted" },
    {
      status: CLIENT_ERROR,
      matches: error("InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "OptedOut"),
      means: "for_good",
    },
    {
      status: CLIENT_ERROR,
      matches: error("Throttled", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
      means: "later",
    },
    { status: 429, means: "later" },
    // Credentials, rights, the month's spending limit, a sandbox.
    { status: CLIENT_ERROR, matches: "<Code>[^<]+</Code>", means: "elsewhere" },
  ],
};

export function createSnsConnector(operator: SnsOperator, onReport: OnReport, link: OperatorLink): Connector {
  const { window, region, secret_access_key, session_token } = operator;
  const origin = operator.base_url ?? `https://sns.${region}.amazonaws.com`;
  const { host } = new URL(origin);
  const secrets = [secret_access_key, ...(session_token === undefined ? [] : [session_token])];
  const build = (message: LaneRecord): HttpRequest | string => {
    const sender = senderOf(message.from ?? operator.sender ?? "");
    if (sender === null) return "a sender that SNS can't carry";
    return signed(operator, host, bodyOf(operator, message, sender));
  };
  return createConnectorOver({ origin, window, build, answer: ANSWER, secrets }, onReport, link);
}

type Attribute = readonly [name: string, value: string];

/** Of a `from`, "" if there is none: a sender id, or an origination number; null if it can be neither. */
function senderOf(from: string): Attribute | "none" | null {
  if (from === "") return "none";
  if (/^\+?[0-9]+$/.test(from)) return ["AWS.MM.SMS.OriginationNumber", from];
  const isSenderId = /^[A-Za-z0-9-]{1,11}$/.test(from) && /[A-Za-z]/.test(from);
  return isSenderId ? ["AWS.SNS.SMS.SenderID", from] : null;
}

function bodyOf({ sms_type }: SnsOperator, message: LaneRecord, sender: Attribute | "none"): string {
  const attributes: Attribute[] = [["AWS.SNS.SMS.SMSType", sms_type]];
  if (sender !== "none") attributes.push(sender);
  const fields: [string, string][] = [
    ["Action", "Publish"],
    ["Version", "2010-03-31"],
    ["PhoneNumber", message.phone],
    ["Message", message.text],
  ];
  for (const [n, [name, value]] of attributes.entries()) {
    const entry = `MessageAttributes.entry.${n + 1}`;
    fields.push(
      [`${entry}.Name`, name],
      [`${entry}.Value.DataType`, "String"],
      [`${entry}.Value.StringValue`, value],
    );
  }
  return fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function signed(operator: SnsOperator, host: string, body: string): HttpRequest {
  const { region, access_key_id, secret_access_key, session_token } = operator;
  const { headers = {} } = aws4.sign(
    { service: "sns", region, host, method: "POST", path: "/", body },
    {
      accessKeyId: access_key_id,
      secretAccessKey: secret_access_key,
      ...(session_token !== undefined && { sessionToken: session_token }),
    },
  );
  return {
    method: "POST",
    path: "/",
    // The trace context isn't signed and means nothing there, so it is left out.
    headers: Object.entries(headers).flatMap(([name, value]) => [name, String(value)]),
    body,
  };
}
