-- Corrections of a wallet by whoever runs Sluice, in either direction. Appended, so no row changes.
ALTER TABLE wallet_ledger
  MODIFY op ENUM ('topup', 'grant', 'reserve', 'capture', 'refund', 'release', 'adjust_up', 'adjust_down')
    CHARACTER SET ascii COLLATE ascii_bin NOT NULL;

-- Who changed what, when and from where, one row a change, written by its transaction (src/control/audit.ts). entry_id: of the entry that it
-- posted to the wallet. idem_key, request_hash and answer: of a request that may be repeated.
CREATE TABLE audit_log (
  audit_id     BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  created_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  via          ENUM ('api', 'cli') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  who          VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'name of the admin token, or of the OS user',
  origin       VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'IP address, or host',
  action       VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'src/core/audit.ts',
  customer_id  BIGINT UNSIGNED NULL,
  subject      VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL COMMENT 'a key, a plan, a token',
  entry_id     CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NULL,
  amount       BIGINT NULL COMMENT 'minor units, below 0 if taken from the wallet',
  reason       VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  old_values   MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL COMMENT 'what changed, as JSON, and what it is now',
  new_values   MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  idem_key     VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  request_hash BINARY(32) NULL,
  answer       MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  UNIQUE KEY by_key (idem_key, who, via),
  UNIQUE KEY by_entry (entry_id),
  KEY by_customer (customer_id),
  KEY by_who (who),
  KEY by_action (action, customer_id)
) ENGINE = InnoDB;

CREATE TRIGGER IF NOT EXISTS audit_log_never_changes BEFORE UPDATE ON audit_log FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only';

CREATE TRIGGER IF NOT EXISTS audit_log_never_shrinks BEFORE DELETE ON audit_log FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only';

-- Who may use the admin API. A token is shown once; here is its SHA-256.
CREATE TABLE admin_tokens (
  token_id   CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  token_hash BINARY(32) NOT NULL,
  name       VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'of who uses it, as the audit log names it',
  scope      ENUM ('read', 'write') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  revoked_at DATETIME(3) NULL
) ENGINE = InnoDB;
