// What a simulated operator may be told, and how a wrong word is refused.

import { expect, test } from "bun:test";
import { ALL_DELIVERED, createBehaviour, PROFILES } from "./operator-behaviour.ts";

const start = (seed = 1) => createBehaviour(PROFILES.default, seed);

test("settings change what they name, as one text with blanks or commas, and the rest stays", () => {
  const behaviour = start();
  expect(behaviour.set("slow=0.2s refuse=0.1,throttle=50  hang=0 drop-links=.5")).not.toBeArray();
  expect(behaviour.profile()).toEqual({
    delayMs: [200, 200],
    refused: 0.1,
    hangs: 0,
    down: 0,
    drops: 0.5,
    rate: 50,
  });
  behaviour.set("slow=1s-3s");
  behaviour.set("throttle=off reports=late:0.1+lost report-after=1m");
  expect(behaviour.profile()).toMatchObject({
    delayMs: [1_000, 3_000],
    refused: 0.1,
    reports: { ...ALL_DELIVERED, late: 0.1, lost: 1 },
    reportAfterMs: [60_000, 60_000],
  });
  expect(behaviour.profile().rate).toBeUndefined();
});

test("what is shown can be set, and gives the same behaviour", () => {
  for (const profile of Object.values(PROFILES)) {
    const [one, other] = [createBehaviour(profile, 7), start()];
    const text = Object.entries(one.shown()).map((pair) => pair.join("="));
    expect(other.set(text.join(" "))).not.toBeArray();
    expect(other.shown()).toEqual(one.shown());
  }
});

test("a profile is the beginning, wherever it stands; links are cut once, not from then on", () => {
  const behaviour = start();
  behaviour.set("refuse=0.5 profile=fast");
  expect(behaviour.profile()).toMatchObject({ delayMs: [0, 0], refused: 0.5 });
  expect(behaviour.set("drop-links=now")).toMatchObject({ cut: true });
  expect(behaviour.profile().drops).toBeUndefined();
  expect(behaviour.set("hang=1")).toMatchObject({ cut: false });
});

test("every wrong word is named with what it must be, and nothing is changed by a text that has one", () => {
  const behaviour = start();
  const before = behaviour.shown();
  const faults = behaviour.set(
    "slow=5 refuse=1.1 throttle=0.5 hang=x drop-links=soon reports=late:2 report-after=3s-1s " +
      "profile=best seed=-1 speed=3 down down=0.1 hang=0",
  );
  expect(faults).toEqual([
    "down: write name=value",
    "hang: is given twice",
    "profile=best: must be one of default, fast, slow, hangs, refusing, throttling, drops, reporting, " +
      "confusing, flaky",
    "seed=-1: must be a whole number from 0 to 4294967295",
    "slow=5: must be a time such as 200ms, or two such as 1s-3s, at most 5s",
    "refuse=1.1: must be a share from 0 to 1",
    "throttle=0.5: must be a number of submits a second up to 100000, or off",
    "hang=x: must be a share from 0 to 1",
    "drop-links=soon: must be a share from 0 to 1, or now",
    "reports=late:2: must be usual, off, on, or some of undelivered, late, lost, duplicate, reordered, " +
      "contradictory, joined by + and each with its share (late:0.1+lost)",
    "report-after=3s-1s: must be a time such as 200ms, or two such as 1s-3s, at most 3600s",
    "speed: is no setting; known: profile, seed, slow, refuse, throttle, hang, down, drop-links, reports, " +
      "report-after",
  ]);
  expect(behaviour.shown()).toEqual(before);
  for (const slow of ["6s", "-1s", "1s-2s-3s", "1h", ""]) expect(behaviour.set(`slow=${slow}`)).toBeArray();
  expect(behaviour.set("  ")).toEqual([expect.stringContaining("nothing is set")]);
});

test("the same seed draws the same numbers, also when it is set again", () => {
  const draw = ({ random }: { random(): number }) => Array.from({ length: 5 }, () => random());
  const [one, other] = [start(42), start(42)];
  const first = draw(one);
  expect(draw(other)).toEqual(first);
  expect(draw(start(43))).not.toEqual(first);
  one.set("seed=42");
  expect(draw(one)).toEqual(first);
});
