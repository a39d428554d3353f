// Secrets that the launcher makes once and keeps in the state folder, readable only by its user.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../platform/config.ts";

const SECRET_BYTES = 24;

/** The secret in this file, which is made if there is none: 192 random bits in hexadecimal. */
export function keptSecret(file: string): string {
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, randomBytes(SECRET_BYTES).toString("hex"), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  return readFileSync(file, "utf8");
}

/** The secret of one-time codes: the configured one, or one kept in this state folder. */
export const otpSecret = (config: Pick<Config, "otpSecret">, stateFolder: string): string =>
  config.otpSecret === "" ? keptSecret(join(stateFolder, "otp-secret")) : config.otpSecret;
