// The kinds of connectors, known only here. Each is a file beside this one that also has the schema of its
// operators' settings and the type of its operators; here it is a line of the table.

import type { TSchema } from "typebox";
import type { Reading } from "../read-schema.ts";
import type { Tree } from "../yaml-tree.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { checkHttp, checkTwilio } from "./http-check.ts";
import { createHttpConnector, HTTP_SETTINGS } from "./http.ts";
import { createKavenegarConnector, KAVENEGAR_SETTINGS } from "./kavenegar.ts";
import { createSmppConnector, SMPP_SETTINGS, windowOf } from "./smpp.ts";
import { checkTlvs } from "./smpp-tlvs.ts";
import { createSnsConnector, SNS_SETTINGS } from "./sns.ts";
import { createTwilioConnector, TWILIO_SETTINGS } from "./twilio.ts";

/**
 * `settings`, by name, and the terms of all operators (terms.ts) are what the routes file may have of an
 * operator of this kind; `create` gets both. `check` finds what the schema alone can't. `window` is what a
 * kind has for that term if its entry doesn't say.
 */
const KINDS = {
  http: { settings: HTTP_SETTINGS, create: createHttpConnector, check: checkHttp },
  smpp: { settings: SMPP_SETTINGS, create: createSmppConnector, check: checkTlvs, window: windowOf },
  twilio: { settings: TWILIO_SETTINGS, create: createTwilioConnector, check: checkTwilio },
  kavenegar: { settings: KAVENEGAR_SETTINGS, create: createKavenegarConnector },
  sns: { settings: SNS_SETTINGS, create: createSnsConnector },
} as const satisfies Record<string, Row>;

type Row = {
  settings: Record<string, TSchema>;
  create: Create<never>;
  check?: (reading: Reading, tree: Tree & { kind: "map" }, path: string) => void;
  window?: (operator: never) => number;
};
type Create<O> = (operator: O, onReport: OnReport, link: OperatorLink) => Connector;
export type Kind = keyof typeof KINDS;
export type OperatorSpec = Parameters<(typeof KINDS)[Kind]["create"]>[0];

export const KIND_NAMES = Object.keys(KINDS) as Kind[];
const rowOf = (kind: Kind): Row => KINDS[kind];
export const settingsOf = (kind: Kind): Record<string, TSchema> => KINDS[kind].settings;

/** Adds a fault for everything in an operator's entry that its schema doesn't see. */
export function checkEntry(kind: Kind, reading: Reading, tree: Tree & { kind: "map" }, path: string): void {
  rowOf(kind).check?.(reading, tree, path);
}

/** The operator with what its kind fills in. */
export function completed(operator: OperatorSpec): OperatorSpec {
  const { window } = rowOf(operator.kind);
  if (window === undefined || Object.hasOwn(operator, "window")) return operator;
  return { ...operator, window: window(operator as never) };
}

export function createConnector(operator: OperatorSpec, onReport: OnReport, link: OperatorLink): Connector {
  const { create } = rowOf(operator.kind);
  return create(operator as never, onReport, link);
}
