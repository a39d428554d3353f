-- One immutable row per change. (entry_id, leg) is the idempotency key: a message has one open leg (reserve) and at most one
-- close leg (capture or refund), so the database itself refuses a second settlement. The key is led by customer_id, which
-- serves statements and reconcile without a second index; entry_id alone decides the partition.
CREATE TABLE wallet_ledger (
  customer_id     BIGINT UNSIGNED NOT NULL,
  entry_id        CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  leg             ENUM ('open', 'close') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  op              ENUM ('topup', 'grant', 'reserve', 'capture', 'refund', 'release')
                  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  amount          BIGINT NOT NULL,
  created_at      DATETIME(3) NOT NULL COMMENT 'time of the transaction that wrote it',
  idempotency_key VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin
                  GENERATED ALWAYS AS (CONCAT(entry_id, ':', IF(leg = 'open', 'open', 'close'))) VIRTUAL,
  PRIMARY KEY (customer_id, entry_id, leg),
  CHECK (amount > 0)
) ENGINE = InnoDB
  PARTITION BY RANGE COLUMNS (entry_id) (PARTITION p_future VALUES LESS THAN (MAXVALUE));

-- Credit that one ingest process took from the wallet in advance. The group commit moves `spent` under the same node_id and
-- epoch; a lease that was reaped is gone, so its late owner can't commit.
CREATE TABLE credit_leases (
  node_id     CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  customer_id BIGINT UNSIGNED NOT NULL,
  epoch       BIGINT UNSIGNED NOT NULL,
  granted     BIGINT NOT NULL,
  spent       BIGINT NOT NULL DEFAULT 0,
  expires_at  DATETIME(3) NOT NULL,
  recall      BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (customer_id, node_id, epoch),
  KEY by_node (node_id),
  KEY by_expiry (expires_at),
  CHECK (spent >= 0), CHECK (spent <= granted)
) ENGINE = InnoDB;
