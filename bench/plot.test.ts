import { expect, test } from "bun:test";
import { plotSvg } from "./plot.ts";

const plot = (points: [number, number][]) =>
  plotSvg({
    title: "a < b & c",
    span: { from: 10, to: 20, name: "a flood" },
    series: [{ name: "normal", color: "#123456", points }],
  });

test("a plot is one SVG element, with its words escaped and every number finite", () => {
  const svg = plot([
    [0, 12],
    [1, 480],
    [25, 9_000],
  ]);
  expect(svg.startsWith("<svg ") && svg.endsWith("</svg>\n")).toBe(true);
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

test("later is to the right, and longer is higher, on a logarithmic scale", () => {
  const svg = plot([
    [0, 10],
    [10, 100],
    [20, 1_000],
  ]);
  const [, path = ""] = /<path d="M([\d. L]+)" fill="none"/.exec(svg) ?? [];
  const points = path.split("L").map((point) => point.split(" ").map(Number));
  const [xs, ys] = [points.map(([x = 0]) => x), points.map(([, y = 0]) => y)];
  expect(points).toHaveLength(3);
  expect((xs[2] as number) - (xs[1] as number)).toBeCloseTo((xs[1] as number) - (xs[0] as number), 0);
  expect(xs[1]).toBeGreaterThan(xs[0] as number);
  expect((ys[0] as number) - (ys[1] as number)).toBeCloseTo((ys[1] as number) - (ys[2] as number), 0);
  expect(ys[0]).toBeGreaterThan(ys[1] as number);
});

test("a plot without points is drawn too", () => {
  expect(plot([])).not.toMatch(/NaN|Infinity|undefined/);
});
