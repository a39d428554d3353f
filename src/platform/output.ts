// The output of commands. `console.log` silently drops what can't be written, so a full disk or a closed pipe
// would look like success; here it is an error, and the command ends with an exit code of its own.

import { writeSync } from "node:fs";

/** sysexits.h: the work was done, but its output could not be written. */
export const EX_IOERR = 74;

export class OutputError extends Error {
  override readonly name = "OutputError";
}

/** Writes one line to stdout. @throws OutputError if it can't be written completely */
export function say(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // A pipe whose reader is slow.
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else throw new OutputError(`the output could not be written (${code ?? "unknown"})`, { cause });
    }
  }
}
