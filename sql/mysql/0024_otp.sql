-- The code that belongs into a message's text, sealed, until the message can't be submitted any more. NULL: its text is whole.
ALTER TABLE messages
  ADD COLUMN sealed_code VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ALGORITHM = INSTANT;

-- The one code of a customer and a phone that can be verified: a new one takes the place of the old. tries counts those that were begun.
CREATE TABLE otps (
  customer_id BIGINT UNSIGNED NOT NULL,
  phone       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  otp_id      CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_id  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  code_hash   BINARY(32) NULL COMMENT 'an HMAC; NULL once it was verified',
  tries       TINYINT UNSIGNED NOT NULL DEFAULT 0,
  expires_at  DATETIME(3) NOT NULL,
  verified_at DATETIME(3) NULL,
  PRIMARY KEY (customer_id, phone),
  UNIQUE KEY by_otp (otp_id),
  KEY by_expiry (expires_at),
  CHECK (tries <= 5)
) ENGINE = InnoDB;

-- How many codes a customer sent, and how many were verified, to the numbers that begin with `prefix`: all of them, those of a network,
-- of a range, one number. The counts are of the window that began at from_ms.
CREATE TABLE otp_counts (
  customer_id BIGINT UNSIGNED NOT NULL,
  prefix      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  from_ms     BIGINT NOT NULL DEFAULT 0 COMMENT 'Unix ms',
  sent        INT UNSIGNED NOT NULL DEFAULT 0,
  verified    INT UNSIGNED NOT NULL DEFAULT 0,
  last_ms     BIGINT NOT NULL DEFAULT 0 COMMENT 'Unix ms: when the last one was sent',
  PRIMARY KEY (customer_id, prefix),
  KEY by_age (from_ms)
) ENGINE = InnoDB;

-- Whether the answer to the request for a code has the code.
ALTER TABLE customers
  ADD COLUMN otp_code BOOLEAN NOT NULL DEFAULT FALSE,
  ALGORITHM = INSTANT;

-- Keys of POST /v1/otp, whose owner is the message. A code in their answers is sealed.
ALTER TABLE idempotency_keys
  MODIFY operation ENUM ('send', 'topup', 'batch', 'otp') CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
