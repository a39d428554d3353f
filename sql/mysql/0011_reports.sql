-- Delivery reports as operators sent them, stored before they are acknowledged; one row per group commit. A report whose message is
-- not found yet gets a row with a later run_at. `dead`: why it can't be read; such a row only waits to be looked at, then goes.
CREATE TABLE inbox (
  id      BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  run_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  dead    VARCHAR(200) NULL,
  payload MEDIUMBLOB NOT NULL,
  KEY due (run_at, id)
) ENGINE = InnoDB;

-- One row for each submit that an operator accepted, if its reports don't name our id: the way from its id to the message.
-- id_key: that id in the form in which responses and reports are equal. status, error and done_at: what was reported on this part,
-- kept only for messages of several submits, which end when the last part does.
CREATE TABLE submissions (
  message_id          CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  part                TINYINT UNSIGNED NOT NULL,
  submits             TINYINT UNSIGNED NOT NULL COMMENT 'how many this message took',
  operator            VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  id_key              VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  operator_message_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status              ENUM ('delivered', 'undelivered') CHARACTER SET ascii COLLATE ascii_bin NULL,
  error               VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  done_at             DATETIME(3) NULL,
  PRIMARY KEY (message_id, part),
  KEY by_operator_id (operator, id_key)
) ENGINE = InnoDB
  PARTITION BY RANGE COLUMNS (message_id) (PARTITION p_future VALUES LESS THAN (MAXVALUE));
