import { expect, test } from "bun:test";
import { freePorts } from "../../../test/support/ports.ts";
import { loadConfig } from "../../platform/config.ts";
import { findTools } from "../tools.ts";
import { createRoles } from "./roles.ts";

const answering = (hostname: string, port: number) =>
  Bun.serve({ hostname, port, fetch: () => new Response("ok") });

test("the launcher asks roles where SLUICE_HEALTH_HOST says, operators on loopback, the API's host never", async () => {
  const [first, operatorPort] = [await freePorts(1), await freePorts(1)];
  const config = {
    ...loadConfig({ SLUICE_API_HOST: "127.0.0.3", SLUICE_HEALTH_HOST: "127.0.0.2" }),
    healthPort: first - 1,
    operatorPort,
  };
  const tools = findTools(process.env);
  const roles = createRoles(config, tools, ".sluice", { ingest: 1, operators: "default" });
  const isReady = (name: string) => roles.find((role) => role.name === name)?.ready();
  expect(await Promise.all([isReady("ingest-1"), isReady("operator-A")])).toEqual([false, false]);
  const servers = [answering("127.0.0.2", first), answering("127.0.0.1", operatorPort)];
  try {
    expect(roles.find(({ name }) => name === "ingest-1")?.healthPort).toBe(first);
    expect(await Promise.all([isReady("ingest-1"), isReady("operator-A")])).toEqual([true, true]);
  } finally {
    for (const server of servers) await server.stop(true);
  }
});
