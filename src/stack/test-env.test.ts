import { expect, test } from "bun:test";
import { testSettings } from "./test-env.ts";

test("the tests' stack shares no port, folder or database with the developer's", () => {
  const settings = testSettings({});
  expect(settings).toMatchObject({
    SLUICE_MYSQL_PORT: "23306",
    SLUICE_API_PORT: "18080",
    SLUICE_KAFKA_PORT: "29092",
  });
  expect(settings.SLUICE_STATE).toEndWith("/.sluice-test");
  expect(settings.SLUICE_MYSQL_DATABASE).toContain("test");
  const ports = Object.entries(settings).filter(([name]) => name.endsWith("_PORT"));
  expect(ports).toHaveLength(10);
  for (const [, port] of ports) expect(Number(port)).toBeLessThan(32_768);
});
