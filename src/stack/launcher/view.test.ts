import { expect, test } from "bun:test";
import type { View } from "./supervisor.ts";
import { createView, tableRows } from "./view.ts";

const views = (state: View["state"], restarts = 0): View[] => [
  {
    spec: { name: "relay", port: 19_320 } as View["spec"],
    state,
    pid: state === "down" ? null : 42,
    restarts,
  },
];

test("without a terminal only events are written, as plain lines", () => {
  let out = "";
  const view = createView({ write: (text) => (out += text) }, false);
  view.line("relay: ready");
  view.show(views("ready"));
  view.hold();
  expect(out).toBe("relay: ready\n");
});

test("on a terminal an event is printed above the table, which is redrawn", () => {
  let out = "";
  const view = createView({ write: (text) => (out += text), columns: 80 }, true);
  view.show(views("starting"));
  out = "";
  view.line("relay: ready");
  expect(out).toStartWith("\x1b[2A\x1b[Jrelay: ready\n── 0 of 1 ready");
});

test("no row is wider than the terminal", () => {
  for (const columns of [20, 40, 80, 200])
    for (const row of tableRows(views("down", 12), 3, columns))
      expect(Bun.stringWidth(row)).toBeLessThanOrEqual(columns);
});
