-- A message at its present status. sequence grows by one with every change of status. No index by customer: the reserve entries of
-- wallet_ledger, whose key is led by customer_id, are that index, and one less to write for every message.
CREATE TABLE messages (
  id                  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  customer_id         BIGINT UNSIGNED NOT NULL,
  lane                ENUM ('normal', 'express') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status              ENUM ('scheduled', 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'rejected', 'expired',
                            'canceled', 'unknown') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  phone               VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  text                VARCHAR(1600) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  sender              VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL COMMENT '`from` in the API',
  reference           VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  encoding            ENUM ('gsm7', 'ucs2') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  parts               TINYINT UNSIGNED NOT NULL,
  cost                BIGINT NOT NULL,
  attempt             SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  sequence            SMALLINT UNSIGNED NOT NULL DEFAULT 1,
  operator            VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
  operator_message_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  last_error          VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  guaranteed_by       DATETIME(3) NULL,
  created_at          DATETIME(3) NOT NULL,
  updated_at          DATETIME(3) NOT NULL,
  CHECK (cost > 0)
) ENGINE = InnoDB
  PARTITION BY RANGE COLUMNS (id) (PARTITION p_future VALUES LESS THAN (MAXVALUE));

-- What the relay has to produce; one row per lane and group commit, one events row per transaction.
CREATE TABLE outbox (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  lane       ENUM ('express', 'normal', 'events') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  run_at     DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  attempts   SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  last_error VARCHAR(200) NULL,
  payload    MEDIUMBLOB NOT NULL,
  KEY due (lane, run_at, id)
) ENGINE = InnoDB;

-- A time limit on a set of messages: `sending` until expires_at, then `unknown`; `unknown` until expires_at, then failed.
CREATE TABLE claims (
  claim_id   CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  kind       ENUM ('sending', 'unknown') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  lane       ENUM ('normal', 'express') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  ids        MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ULIDs, comma-separated',
  KEY by_expiry (expires_at)
) ENGINE = InnoDB;
