-- How a customer's credit is taken: `lease`, ahead of need; `strict`, exactly what each message costs.
ALTER TABLE customers
  ADD COLUMN mode ENUM ('lease', 'strict') CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'lease';

-- A process asks many times a second which of its leases were recalled.
ALTER TABLE credit_leases DROP KEY by_node, ADD KEY by_recall (node_id, recall);

-- Answers to repeat. A row is written by the transaction it answers for, so a key is there exactly when its effect is.
CREATE TABLE idempotency_keys (
  customer_id  BIGINT UNSIGNED NOT NULL,
  operation    ENUM ('send', 'topup') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  idem_key     VARBINARY(255) NOT NULL,
  request_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of the body, byte for byte',
  owner        CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'the message or top-up entry it made',
  status       SMALLINT UNSIGNED NOT NULL,
  answer       VARBINARY(2000) NOT NULL,
  created_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (customer_id, operation, idem_key),
  KEY by_age (created_at)
) ENGINE = InnoDB;
