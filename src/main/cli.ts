// The command line, `./sluice`: declares the commands and turns errors into a clear line and an exit code.
// Each command's work is in src/admin/ and src/stack/launcher/, loaded only when it is called, so that
// `status` answers fast. With --json stdout contains only JSON.

import { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { SluiceError } from "../core/errors.ts";
import { COMMIT } from "../platform/commit.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { EX_IOERR, OutputError } from "../platform/output.ts";
import { declareAdminTokens } from "../admin/admin-tokens.ts";
import { declareAudit } from "../admin/audit.ts";
import { declareCaps } from "../admin/caps.ts";
import { declareAddresses } from "../admin/addresses.ts";
import { declareAdjust, declareCustomers } from "../admin/customers.ts";
import { declareDeadLetters } from "../admin/dead-letters.ts";
import { declareExpress } from "../admin/express.ts";
import { declareKeys } from "../admin/keys.ts";
import { declareLeases } from "../admin/leases.ts";
import { declareLimits } from "../admin/limits.ts";
import { oneOf, wholeNumber } from "../admin/options.ts";
import { declareNumbers, declareOptOuts } from "../admin/numbers.ts";
import { declareMessages } from "../admin/messages.ts";
import { declarePrices } from "../admin/prices.ts";
import { declareQuiet } from "../admin/quiet.ts";
import { declareRoutes } from "../admin/routes.ts";
import { declareSenders } from "../admin/senders.ts";
import { declareWebhooks } from "../admin/webhooks.ts";
import type { StackKind } from "../stack/compose.ts";
import { declareOperators } from "../stack/launcher/operator.ts";
import { describeRoles } from "../stack/role-table.ts";
import type { OpenApiOptions } from "./openapi.ts";

/** Exported so that a test can parse what the pages say. */
export const program = new Command("sluice")
  .description("An SMS gateway: durable, charged exactly once, fast.")
  .version(
    COMMIT === "" ? packageJson.version : `${packageJson.version} (${COMMIT})`,
    "-V, --version",
    "print the version and the commit",
  )
  .addHelpText("after", `\nSettings (environment variables):\n${describeSettings()}`)
  .showHelpAfterError("(run it with --help for its options)")
  .configureHelp({ showGlobalOptions: true });

program
  .command("up")
  .description("start the local stack, migrate, seed, and run every role in the foreground until Ctrl-C")
  .option("--engines-only", "start MySQL, Kafka and ClickHouse in the background and return")
  .option(
    "--edge",
    "put nginx in front of the API: TLS, HTTP/2, and whatever else Bun's HTTP server can't do",
  )
  .option("--ingest <n>", "number of ingest processes, all on the API port", wholeNumber(1, 16), 1)
  .option(
    "--operators <profile>",
    "how the three simulated operators behave (bun src/main/operator.ts --help)",
    "default",
  )
  .option(
    "--stack <kind>",
    "local: processes; compose: the containers of docker-compose.yml",
    oneOf("local", "compose"),
    "local",
  )
  .action(
    async (options: {
      enginesOnly?: true;
      edge?: true;
      ingest: number;
      operators: string;
      stack: StackKind;
    }) => {
      const { up } = await import("../stack/launcher/up.ts");
      const { seed } = await import("../admin/seed.ts");
      await up(loadConfig(process.env), {
        ...options,
        enginesOnly: options.enginesOnly === true,
        edge: options.edge === true,
        seed,
      });
    },
  );

program
  .command("down")
  .description(
    "stop everything of this state folder: `up`, engines in the background, and what a killed `up` left",
  )
  .option("--stack <kind>", "compose: stop the containers too", oneOf("local", "compose"), "local")
  .action(async (options: { stack: StackKind }) => {
    const { down } = await import("../stack/launcher/down.ts");
    await down(loadConfig(process.env), options.stack);
  });

program
  .command("status")
  .description(
    "show what is running, and whether a message sent now would reach the report: exit 0 if so, 3 if not",
  )
  .option("--json", "print JSON")
  .action(async (options: { json?: true }) => {
    const { status } = await import("../stack/launcher/status.ts");
    process.exitCode = await status(loadConfig(process.env), options.json === true);
  });

program
  .command("logs")
  .description("print the log of a role or engine")
  .argument("<role>", "a role, a process (ingest-1 …) or an engine (mysql, kafka, clickhouse)")
  .addHelpText("after", `\nRoles:\n${describeRoles()}`)
  .option("-f, --follow", "keep printing new lines")
  .option("-n, --lines <n>", "how many lines from the end", wholeNumber(0, 100_000), 50)
  .action(async (role: string, options: { follow?: true; lines: number }) => {
    const { logs } = await import("../stack/launcher/logs.ts");
    await logs(loadConfig(process.env), role, { lines: options.lines, follow: options.follow === true });
  });

program
  .command("migrate")
  .description("create the Kafka topics and apply new migrations to both databases; safe at any time")
  .option(
    "--stack <kind>",
    "compose: ClickHouse is the container of docker-compose.yml, which has an address of its own for Kafka's",
    oneOf("local", "compose"),
    "local",
  )
  .action(async (options: { stack: StackKind }) => {
    const { migrate } = await import("../stack/launcher/migrate.ts");
    const { migrateEnv } = await import("../stack/compose.ts");
    const { findTools } = await import("../stack/tools.ts");
    const env = migrateEnv(options.stack);
    await migrate(findTools(process.env), (line) => console.log(line), { env });
  });

program
  .command("seed")
  .description("create the demo customers and the demo API key if they are missing")
  .action(async () => {
    const { seedCommand } = await import("../admin/seed.ts");
    await seedCommand(loadConfig(process.env));
  });

declareCustomers(program);
declareAdjust(program);
declarePrices(program);
declareCaps(program);
declareLimits(program);
declareQuiet(program);
declareSenders(program);
declareKeys(program);
declareAddresses(program);
declareLeases(program);
declareDeadLetters(program);
declareMessages(program);
declareExpress(program);
declareWebhooks(program);
declareAdminTokens(program);
declareAudit(program);
declareNumbers(program);
declareOptOuts(program);
declareRoutes(program, async () => {
  const { reload } = await import("../stack/launcher/reload.ts");
  process.exitCode = await reload(loadConfig(process.env));
});
declareOperators(program);

// Exit code 1 says that the books drift, so whatever keeps them from being read ends with another one.
const COULD_NOT_CHECK = 2;
type ReconcileOptions = {
  customer?: number;
  settled?: true;
  resend?: true;
  maxMinutes?: number;
  json?: true;
};

program
  .command("reconcile")
  .description(
    "prove that wallets, entries, messages and the report agree: exit 0 clean, 1 drift, 2 could not check",
  )
  .option("--customer <id>", "only this customer", wholeNumber(1, Number.MAX_SAFE_INTEGER))
  .option("--settled", "also require that nothing is queued, sending or pending")
  .option("--resend", "send events again that should be in the report by now but are missing")
  .option("--max-minutes <n>", "how long the check may take: 10 unless given", wholeNumber(1, 120))
  .option("--json", "print JSON")
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : COULD_NOT_CHECK))
  .action(async (options: ReconcileOptions) => {
    const { customer = null, settled = false, resend = false, maxMinutes = 10, json = false } = options;
    try {
      const { reconcileCommand } = await import("../admin/reconcile.ts");
      process.exitCode = await reconcileCommand(loadConfig(process.env), {
        customerId: customer,
        settled,
        resend,
        json,
        maxMs: maxMinutes * 60_000,
      });
    } catch (error) {
      fail(error, COULD_NOT_CHECK);
    }
  });

program
  .command("openapi")
  .description("print the OpenAPI 3.1 document of the API, the same as GET /openapi.json answers")
  .option("--admin", "that of the admin API")
  .option("--postman", "print it as a Postman collection (v2.1)")
  .option("--postman-environment", "print the environment of that collection")
  .option("--base-url <url>", "of the environment: where the API is", "http://127.0.0.1:8080")
  .option("--api-key <key>", "of the environment; to be filled in if absent", "")
  .action(async (options: OpenApiOptions) => {
    const { printOpenApi } = await import("./openapi.ts");
    printOpenApi(options);
  });

function describeError(error: unknown): string {
  if (!(error instanceof SluiceError)) return error instanceof Error ? error.message : String(error);
  // The API says "errors names every field"; this prints them.
  if (error.errors.length === 0) return error.detail;
  return error.errors.map(({ field, reason }) => `${field} ${reason}`).join("; ");
}

function fail(error: unknown, exitCode: number): void {
  process.stderr.write(`sluice: ${describeError(error)}\n`);
  process.exitCode = error instanceof OutputError ? EX_IOERR : exitCode;
}

if (import.meta.main) await program.parseAsync().catch((error: unknown) => fail(error, 1));
