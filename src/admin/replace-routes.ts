// What `route replace` does: the same change as the admin API's, in the same log.

import { dirname, resolve } from "node:path";
import { replaceRoutes } from "../control/routes.ts";
import { parseRoutes, readBytes } from "../operators/routes-file.ts";
import { replacementOf } from "../operators/stored-routes.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import { byUser } from "./actor.ts";
import { withDatabase } from "./database.ts";
import { refuse } from "./show-routes.ts";

/** Whether the routes file has the text of `given` now; if not, the command has failed. */
export async function replaceBy(given: string, { ifVersion }: { ifVersion?: string }): Promise<boolean> {
  const place = { path: resolve(loadConfig(process.env).routesFile), env: process.env };
  const read = readBytes(given);
  if ("problem" in read) throw new Error(`${given} ${read.problem}`);
  const loaded = parseRoutes(read.bytes, { env: place.env, folder: dirname(place.path) });
  if (loaded.kind === "bad") {
    refuse(given, loaded.faults);
    return false;
  }
  const replacement = replacementOf(place, {
    bytes: read.bytes,
    file: loaded.file,
    expected: ifVersion ?? null,
  });
  await withDatabase(async (pool) => {
    const { version, replaced, changes } = await replaceRoutes(byUser(pool), replacement);
    for (const line of changes) say(line);
    say(version === replaced ? `${place.path} has this text already` : `${place.path} was ${replaced}`);
    say(`version ${version}`);
  });
  return true;
}
