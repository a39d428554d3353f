import { expect, test } from "bun:test";
import { randomFrom } from "./harness.ts";
import { chooser, requestsOf } from "./requests.ts";

const drawn = (count: number, zipf: number, times: number): number[] => {
  const next = chooser(count, zipf, randomFrom(7));
  const counts = Array.from({ length: count }, () => 0);
  for (let i = 0; i < times; i++) counts[next()]!++;
  return counts.sort((a, b) => b - a);
};

test("by Zipf's law the first customer sends twice as much as the second and ten times as much as the tenth", () => {
  const counts = drawn(1_000, 1, 200_000);
  const first = counts[0] as number;
  expect(first / 200_000).toBeCloseTo(1 / 7.485, 2); // 1 over the sum of 1/r up to 1,000
  expect(first / (counts[1] as number)).toBeCloseTo(2, 0);
  expect(first / (counts[9] as number)).toBeWithin(9, 11);
});

test("without Zipf's law all customers send equally often", () => {
  const counts = drawn(10, 0, 100_000);
  expect((counts[0] as number) / (counts[9] as number)).toBeLessThan(1.1);
});

test("a request is complete HTTP, and the sequence is the same each time", () => {
  const customers = [1, 2, 3].map((customerId) => ({ customerId, apiKey: `key${customerId}` }));
  const [a, b] = [0, 1].map(() => requestsOf(customers, { host: "x", express: 0.5, zipf: 1 })) as [
    () => Buffer,
    () => Buffer,
  ];
  const texts = Array.from({ length: 20 }, () => a().toString());
  expect(texts).toEqual(Array.from({ length: 20 }, () => b().toString()));
  const [head = "", body = ""] = (texts[0] as string).split("\r\n\r\n");
  expect(head).toContain(`Content-Length: ${body.length}`);
  expect(new Set(texts.map((text) => JSON.parse(text.split("\r\n\r\n")[1] ?? "").type)).size).toBe(2);
});
