-- Bytes that can't be read or sent, with the reason (src/core/dead-letter.ts), for `sluice dlq`. fingerprint: a letter that is found
-- again, because its finder was killed before it could note that it had stored it, is still one letter.
CREATE TABLE dead_letters (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  source      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  place       VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  reason      VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  fingerprint BINARY(32) NOT NULL,
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  payload     MEDIUMBLOB NOT NULL,
  UNIQUE KEY by_fingerprint (fingerprint),
  KEY by_source (source, id),
  KEY by_age (created_at)
) ENGINE = InnoDB;

-- Reports that can't be read were kept in the inbox, due when their time was over. Without this column no process can put them there,
-- and those that are there are read again: what still can't be read becomes a dead letter. No other row is put off for a day.
ALTER TABLE inbox DROP COLUMN dead;

UPDATE inbox SET run_at = NOW(3) WHERE run_at > NOW(3) + INTERVAL 1 DAY;
