// The kind `http`: an operator's own HTTP interface, described in its entry of the routes file. An entry that
// says nothing of it posts {id, phone, text, from, encoding, parts, valid_until} in JSON and reads
// {operator_message_id}, or {code, permanent} with another status.

import { type Static, Type } from "typebox";
import type { OperatorTerms } from "../terms.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { ANSWER } from "./http-answer.ts";
import { createSpokenConnector } from "./http-connector.ts";
import { REQUEST_SETTINGS } from "./http-request.ts";

export const HTTP_SETTINGS = { ...REQUEST_SETTINGS, answer: Type.Optional(ANSWER) };
export type HttpOperator = OperatorTerms & { kind: "http" } & Static<
    ReturnType<typeof Type.Object<typeof HTTP_SETTINGS>>
  >;

export const createHttpConnector = (
  operator: HttpOperator,
  onReport: OnReport,
  link: OperatorLink,
): Connector => createSpokenConnector(operator, onReport, link);
