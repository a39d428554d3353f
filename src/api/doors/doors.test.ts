// Which doors the setting opens, and which settings are refused.

import { expect, test } from "bun:test";
import { declaredRoutes } from "../../../test/support/declared.ts";
import type { Route } from "../route.ts";
import { type DoorDeps, doorNamesOf, openDoors } from "./doors.ts";

const NO_DEPS = {} as DoorDeps; // nothing is asked of the routes here

test("no door is open unless it is named", () => {
  expect(doorNamesOf("")).toEqual([]);
  expect(openDoors([], NO_DEPS, declaredRoutes)).toEqual([]);
  expect(doorNamesOf(" kannel, twilio,")).toEqual(["kannel", "twilio"]);
  expect(
    openDoors(["kannel"], NO_DEPS, declaredRoutes).map(({ method, path }) => `${method} ${path}`),
  ).toEqual(["GET /cgi-bin/sendsms", "POST /cgi-bin/sendsms"]);
});

test("an unknown door, and one named twice, are refused", () => {
  expect(() => doorNamesOf("kannel,vonage,toString")).toThrow(
    "SLUICE_DOORS: there is no door vonage, toString (twilio, kannel, jasmin, sms, send-sms, messages)",
  );
  expect(() => doorNamesOf("kannel,kannel")).toThrow("SLUICE_DOORS: kannel is named twice");
});

test("every door can be open next to the API", () => {
  for (const name of doorNamesOf("twilio,kannel,jasmin,sms,send-sms,messages"))
    expect(openDoors([name], NO_DEPS, declaredRoutes).length).toBeGreaterThan(0);
});

test("two that answer the same request are refused", () => {
  expect(() => openDoors(["sms", "kannel", "jasmin"], NO_DEPS, declaredRoutes)).toThrow(
    "SLUICE_DOORS: sms and jasmin both answer GET /balance: open one of them",
  );
  const route = { method: "GET", path: "/balance" } as Route;
  expect(() => openDoors(["jasmin"], NO_DEPS, [route])).toThrow(
    "the API and jasmin both answer GET /balance",
  );
});
