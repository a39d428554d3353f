// Planted bugs in one-time codes; bugs.ts has the list of all. One seed in seven has codes.

import { type Bug, bug } from "./bug.ts";

const OTPS = "src/ledger/otps.ts";

export const OTP_BUGS: readonly Bug[] = [
  bug("otp", "a try is not stored", OTPS, '"tries=tries+1",', '"tries=tries",'),
  bug(
    "otp",
    "a code can be tried without end",
    OTPS,
    "`verified_at IS NULL AND tries<${OTP_TRIES_MAX} AND expires_at>NOW(3)`",
    "`verified_at IS NULL AND expires_at>NOW(3)`",
  ),
  bug(
    "otp",
    "a code is right for ever",
    OTPS,
    "`verified_at IS NULL AND tries<${OTP_TRIES_MAX} AND expires_at>NOW(3)`",
    "`verified_at IS NULL AND tries<${OTP_TRIES_MAX}`",
  ),
  bug(
    "otp",
    "two processes verify a code at once",
    OTPS,
    'change("verified_at=NOW(3),code_hash=NULL", "verified_at IS NULL")',
    'change("verified_at=NOW(3),code_hash=NULL", "tries>0")',
  ),
  bug(
    "otp",
    "a success is not stored",
    OTPS,
    'change("verified_at=NOW(3),code_hash=NULL", "verified_at IS NULL")',
    'change("tries=tries", "verified_at IS NULL")',
  ),
  bug(
    "otp",
    "a new code inherits the tries of the one before",
    OTPS,
    "expires_at=n.expires_at,tries=0,",
    "expires_at=n.expires_at,",
  ),
  bug("otp", "a new code leaves the old one right", OTPS, '"code_hash=n.code_hash,', '"'),
  bug(
    "otp",
    "a code is found by its phone, whichever it is",
    OTPS,
    "const isOf = `otp_id='${ref.otpId}' AND customer_id=${ref.customerId}`;",
    "const isOf = `customer_id=${ref.customerId}`;",
  ),
  bug(
    "otp",
    "a code is stored without its message",
    "src/ingest/accept-message.ts",
    "messageId: record.id,",
    "messageId: otpId,",
  ),
  bug(
    "otp",
    "codes are not counted",
    "src/ledger/otp-counts.ts",
    'await conn.query("COMMIT");\n    return { customerId,',
    'await conn.query("ROLLBACK");\n    return { customerId,',
  ),
  bug(
    "otp",
    "codes are counted without a lock",
    "src/ledger/otp-counts.ts",
    "`BEGIN;INSERT INTO otp_counts",
    "`BEGIN;COMMIT;INSERT INTO otp_counts",
  ),
  bug(
    "otp",
    "a sealed code stays after its message was sent",
    "src/ledger/move.ts",
    'const isSealed = move.to !== "queued" &&',
    'const isSealed = move.to === "queued" &&',
  ),
  bug(
    "otp",
    "a message that is refused for now loses its code",
    "src/ledger/move.ts",
    'const isSealed = move.to !== "queued" &&',
    "const isSealed =",
  ),
  bug(
    "otp",
    "an operator gets the placeholder",
    "src/sender/dispatch.ts",
    "const given = code === undefined ? message : withText(message, code);",
    "const given = message;",
  ),
  bug(
    "otp",
    "the stored answer has the code in the clear",
    "src/ingest/otp.ts",
    "answerOf(sentAs(accepted, sealed));",
    "answerOf(sentAs(accepted, sealed + code));",
  ),
  bug(
    "otp",
    "a replay has the code sealed",
    "src/api/routes/otp.ts",
    "return isReplayed ? { ...reply, body: opened(otps, owner, reply.body) } : reply;",
    "return isReplayed ? reply : reply;",
  ),
];
