// The kinds of connectors, known only here. Each is a file beside this one that also has the schema of its
// operators' settings and the type of its operators; here it is a line of the table.

import type { TSchema } from "typebox";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { createHttpConnector, HTTP_SETTINGS } from "./http.ts";
import { createSmppConnector, SMPP_SETTINGS } from "./smpp.ts";

/**
 * `settings`, by name, and the terms of all operators (terms.ts) are what the routes file may have of an
 * operator of this kind; `create` gets both.
 */
const KINDS = {
  http: { settings: HTTP_SETTINGS, create: createHttpConnector },
  smpp: { settings: SMPP_SETTINGS, create: createSmppConnector },
} as const satisfies Record<string, { settings: Record<string, TSchema>; create: Create<never> }>;

type Create<O> = (operator: O, onReport: OnReport, link: OperatorLink) => Connector;
export type Kind = keyof typeof KINDS;
export type OperatorSpec = Parameters<(typeof KINDS)[Kind]["create"]>[0];

export const KIND_NAMES = Object.keys(KINDS) as Kind[];
export const settingsOf = (kind: Kind): Record<string, TSchema> => KINDS[kind].settings;

export function createConnector(operator: OperatorSpec, onReport: OnReport, link: OperatorLink): Connector {
  const create: Create<never> = KINDS[operator.kind].create;
  return create(operator as never, onReport, link);
}
