// Prints the settings of the tests' stack as shell lines, for scripts/test.sh.

import { testSettings } from "../src/stack/test-env.ts";

for (const [name, value] of Object.entries(testSettings(process.env)))
  console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
