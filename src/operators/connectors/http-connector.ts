// A connector over HTTP: puts together what http-request.ts builds, http-exchange.ts carries and
// http-answer.ts reads. The kinds http, twilio, kavenegar and sns are settings for it.

import { submitByOf } from "../../core/retries.ts";
import type { OperatorTerms } from "../terms.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { type AnswerSettings, compileAnswer, OWN_ANSWER } from "./http-answer.ts";
import { createExchange } from "./http-exchange.ts";
import { type BuildRequest, compileRequest, type RequestSettings, secretsOf } from "./http-request.ts";
import { createWarning } from "./warning.ts";

/** How to speak to an operator, whatever its kind. */
export type Spoken = Pick<OperatorTerms, "window"> &
  RequestSettings & { answer?: AnswerSettings | undefined };

export function createSpokenConnector(operator: Spoken, onReport: OnReport, link: OperatorLink): Connector {
  const { window, answer = OWN_ANSWER } = operator;
  const secrets = secretsOf(operator);
  return createConnectorOver({ ...compileRequest(operator), window, answer, secrets }, onReport, link);
}

type Over = {
  origin: string;
  window: number;
  build: BuildRequest;
  answer: AnswerSettings;
  /** What must not get from an answer into a log. */
  secrets: readonly string[];
};

/** For a kind whose requests are not templates. */
export function createConnectorOver(
  { origin, window, build, answer, secrets }: Over,
  onReport: OnReport,
  link: OperatorLink,
): Connector {
  const read = compileAnswer(answer, { secrets, warn: createWarning(link) });
  const exchange = createExchange(origin, window, { read, now: link.now });
  return {
    submit(message, done) {
      const request = build(message);
      if (typeof request === "string") return done({ kind: "refused", permanent: true, reason: request });
      exchange.submit(request, {
        byMs: submitByOf(message),
        done,
        report: (answer) => onReport(message, answer),
      });
    },
    close: () => exchange.close(),
  };
}
