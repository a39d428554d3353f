// A small run against an SMPP operator that isn't ours, where scripts/peer.sh has installed it. `make peer`
// sends 100,000 messages and cuts the links 20 times, with the same checks. On a stack of its own.

import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../src/stack/tools.ts";
import { isPeerInstalled } from "./peer.ts";
import { runProof } from "./proof.ts";

const MESSAGES = 300;
const CUTS = 2;
const RATE_PER_S = 100;

test.skipIf(!isPeerInstalled())(
  "a foreign operator takes and reports messages while its links are cut: each ends as it says, money exact",
  async () => {
    const folder = join(projectRoot, ".sluice-peer", "make-test");
    const result = await runProof({
      folder,
      messages: MESSAGES,
      cuts: CUTS,
      ratePerS: RATE_PER_S,
      report: (line) => console.log(line),
      progress: () => undefined,
    });
    console.log(JSON.stringify(result.verdict));
    expect(result.failures).toEqual([]);
    expect(result.linksCut).toBeGreaterThanOrEqual(CUTS);
    const { statuses } = result.verdict;
    for (const status of ["delivered", "undelivered", "failed"])
      expect([status, (statuses[status] ?? 0) > 0]).toEqual([status, true]);
    rmSync(folder, { recursive: true });
  },
  600_000,
);
