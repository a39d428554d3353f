import { expect, test } from "bun:test";
import { operatorTerms } from "../../test/support/operator-terms.ts";
import type { OperatorSpec } from "../operators/connectors/kinds.ts";
import { sleep } from "../platform/retry.ts";
import { createLines } from "./lines.ts";

const spec = (name: string, url = "http://a/submit"): OperatorSpec => ({
  ...operatorTerms({ name }),
  kind: "http",
  url,
});

function linesWith() {
  const clock = { ms: 0 };
  const made: string[] = [];
  const closed: string[] = [];
  const lines = createLines({
    connectorOf({ name }) {
      made.push(name);
      return {
        submit: () => undefined,
        retire: () => void made.push(`${name} retires`),
        close: async () => void closed.push(name),
      };
    },
    monotonicMs: () => clock.ms,
  });
  return { lines, made, closed, clock };
}

test("an operator whose entry stays the same keeps its line; a changed one gets a new connector, once the old one knows", () => {
  const { lines, made } = linesWith();
  const [a, b] = lines.of([spec("A"), spec("B")]);
  const next = lines.of([spec("B"), spec("A", "http://b/submit")]);
  expect(next[0] === b).toBe(true);
  expect(next[1] === a).toBe(false);
  expect(made).toEqual(["A", "B", "A retires", "A"]);
});

test("the connector of one that is gone is closed once nothing is under way and no late answer can come", async () => {
  const { lines, closed, clock } = linesWith();
  const [a] = lines.of([spec("A"), spec("B")]);
  if (a === undefined) throw new Error("there are two");
  a.underWay = 1;
  a.lateUntilMs = 1_000;
  lines.of([spec("B")]);
  await sleep(120);
  a.underWay = 0;
  await sleep(120);
  expect(closed).toEqual([]);
  clock.ms = 1_000;
  await sleep(120);
  expect(closed).toEqual(["A"]);
  await lines.close();
  expect(closed).toEqual(["A", "B"]);
});
