import { expect, test } from "bun:test";
import { allowedCpus, ownCpus } from "./own-cpus.ts";

const role = (role: string, name = role) => ({ role, name });
const one = [role("mysql"), role("kafka"), role("ingest", "ingest-1"), role("relay")];
const two = [...one, role("ingest", "ingest-2")];

test("ingest and MySQL have a CPU each where there is exactly one for each; else nothing has", () => {
  expect([...ownCpus(one, [4, 6])]).toEqual([
    ["mysql", 4],
    ["ingest-1", 6],
  ]);
  expect([...ownCpus(two, [0, 1, 2]).keys()]).toEqual(["mysql", "ingest-1", "ingest-2"]);
  for (const cpus of [[0], [0, 1], [0, 1, 2, 3]]) expect(ownCpus(two, cpus).size).toBe(0);
  expect(ownCpus([role("mysql"), role("kafka")], [0]).size).toBe(0);
  expect(ownCpus([role("ingest", "ingest-1"), role("ingest", "ingest-2")], [0, 1]).size).toBe(0);
});

test("the CPUs that this process may use are as many as the runtime counts", () => {
  expect(allowedCpus()).toHaveLength(navigator.hardwareConcurrency);
});
