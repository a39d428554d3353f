// The doors there are, by the name in SLUICE_DOORS. Owns which of them are open, and refuses two that would
// answer the same request.

import type { Route } from "../route.ts";
import type { DoorRoute } from "./door.ts";
import { createJasminDoor } from "./jasmin.ts";
import type { JasminDeps } from "./jasmin-message.ts";
import { createKannelDoor, type KannelDeps } from "./kannel.ts";
import { createMessagesDoor, type MessagesDeps } from "./messages.ts";
import { createSendSmsDoor, type SendSmsDeps } from "./send-sms.ts";
import { createSmsDoor, type SmsDeps } from "./sms.ts";
import { createTwilioDoor, type TwilioDeps } from "./twilio.ts";

export type DoorDeps = KannelDeps & TwilioDeps & JasminDeps & SmsDeps & SendSmsDeps & MessagesDeps;

const DOORS = {
  twilio: createTwilioDoor,
  kannel: createKannelDoor,
  jasmin: createJasminDoor,
  sms: createSmsDoor,
  "send-sms": createSendSmsDoor,
  messages: createMessagesDoor,
} as const satisfies Record<string, (deps: DoorDeps) => DoorRoute[]>;
export type DoorName = keyof typeof DOORS;

/** Reads SLUICE_DOORS. @throws Error for a name that is unknown or repeated */
export function doorNamesOf(setting: string): DoorName[] {
  const names = setting
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const known = Object.keys(DOORS);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`SLUICE_DOORS: there is no door ${unknown.join(", ")} (${known.join(", ")})`);
  const repeated = names.filter((name, at) => names.indexOf(name) !== at);
  if (repeated.length > 0) throw new Error(`SLUICE_DOORS: ${repeated.join(", ")} is named twice`);
  return names as DoorName[];
}

/** The routes of these doors. @throws Error if two of them, or one and the API, have a route in common */
export function openDoors(
  names: readonly DoorName[],
  deps: DoorDeps,
  routes: readonly Pick<Route, "method" | "path">[],
): DoorRoute[] {
  const taken = new Map(routes.map(({ method, path }) => [`${method} ${path}`, "the API"]));
  return names.flatMap((name) =>
    DOORS[name](deps).map((door) => {
      const route = `${door.method} ${door.path}`;
      const other = taken.get(route);
      if (other !== undefined)
        throw new Error(`SLUICE_DOORS: ${other} and ${name} both answer ${route}: open one of them`);
      taken.set(route, name);
      return door;
    }),
  );
}
