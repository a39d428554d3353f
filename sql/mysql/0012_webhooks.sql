-- What a customer wants to be told, and where: every change of a message's status that is among `statuses` is posted to `url`, or to
-- the message's own callback_url. Secrets are kept as they are, because each call is signed with them.
CREATE TABLE webhooks (
  customer_id      BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  url              VARCHAR(500) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: only messages with a callback_url',
  statuses         SMALLINT UNSIGNED NOT NULL COMMENT 'bits, src/core/callback.ts',
  secret           VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'whsec_ and base64',
  old_secret       VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'signs too, until old_secret_until',
  old_secret_until DATETIME(3) NULL,
  created_at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- What a message's customer wanted when it was accepted; both NULL: nothing.
ALTER TABLE messages
  ADD COLUMN callback_statuses SMALLINT UNSIGNED NULL,
  ADD COLUMN callback_url VARCHAR(500) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ALGORITHM = INSTANT;

-- Status changes that somebody wants to be told, written by the transaction that makes them, one row a transaction.
CREATE TABLE webhook_events (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  payload    MEDIUMBLOB NOT NULL
) ENGINE = InnoDB;

-- One row an event: what is posted, and what became of it. run_at is NULL unless it is pending.
CREATE TABLE webhook_deliveries (
  customer_id BIGINT UNSIGNED NOT NULL,
  event_id    CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'follows from message_id and sequence',
  endpoint    VARCHAR(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'origin of url, empty if that is NULL',
  url         VARCHAR(500) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: that of webhooks',
  message_id  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence    SMALLINT UNSIGNED NOT NULL,
  status      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  occurred_at DATETIME(3) NOT NULL,
  body        VARCHAR(2000) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  state       ENUM ('pending', 'delivered', 'failed') CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'pending',
  attempts    SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  run_at      DATETIME(3) NULL,
  give_up_at  DATETIME(3) NOT NULL,
  code        SMALLINT UNSIGNED NULL COMMENT 'of the last answer',
  error       VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  changed_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (customer_id, event_id),
  KEY due (customer_id, endpoint, run_at),
  KEY by_state (customer_id, state)
) ENGINE = InnoDB
  PARTITION BY RANGE COLUMNS (event_id) (PARTITION p_future VALUES LESS THAN (MAXVALUE));

-- Where deliveries go, and when the next one is due: one process at a time works on an endpoint, until run_at under `lease`.
-- failures: in a row, since failing_since.
CREATE TABLE webhook_endpoints (
  customer_id   BIGINT UNSIGNED NOT NULL,
  endpoint      VARCHAR(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state         ENUM ('active', 'paused', 'gone') CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'active',
  is_slow       BOOLEAN NOT NULL DEFAULT FALSE,
  failures      INT UNSIGNED NOT NULL DEFAULT 0,
  failing_since DATETIME(3) NULL,
  error         VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  run_at        DATETIME(3) NULL COMMENT 'NULL: nothing is pending',
  lease         CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NULL,
  changed_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (customer_id, endpoint),
  KEY due (is_slow, run_at)
) ENGINE = InnoDB;
