// Placeholders that stand alone are numbers, so that a port can be one; the others: routes-file.test.ts.

import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { faultLines, loadRoutes, parseRoutes } from "./routes-file.ts";

test("a port may be a placeholder, alone and nothing else", () => {
  const read = (port: string) => {
    const smpp = `kind: smpp, host: a, port: "${port}", system_id: a, password: { env: P }, price: 1`;
    const text = `operators:\n  S: { ${smpp} }\n`;
    return parseRoutes(new TextEncoder().encode(text), { env: { P: "x" }, folder: "/" });
  };
  const alone = read("${SLUICE_OPERATOR_PORT + 4}");
  expect(alone.kind === "ok" && alone.file.operators[0]).toMatchObject({ port: 19_205 });
  for (const beside of ["1${SLUICE_OPERATOR_PORT}", "${SLUICE_OPERATOR_PORT} ", "${SLUICE_API_HOST}"])
    expect(read(beside).kind).toBe("bad");
});

test("the bench's routes file is read: the local operators by SMPP, at the ports that `up` gives them", () => {
  const path = fileURLToPath(new URL("../../bench/smpp-routes.yaml", import.meta.url));
  const loaded = loadRoutes(path, { SLUICE_OPERATOR_PORT: "25000" });
  if (loaded.kind === "bad") throw new Error(faultLines(path, loaded.faults).join("\n"));
  const by = { kind: "smpp", password: "sluice" };
  expect(loaded.file.operators).toMatchObject([
    { name: "A", port: 25_004, ...by },
    { name: "B", port: 25_005, ...by },
    { name: "C", port: 25_006, ...by },
  ]);
});
