-- Until when a message may be sent, and its operator may try to deliver it. NULL: for the usual time after it was accepted.
ALTER TABLE messages
  ADD COLUMN valid_until DATETIME(3) NULL,
  ALGORITHM = INSTANT;

-- What operators reported first about messages that can't end yet, because they are being sent or because nobody knows the operator's
-- id: whichever report ends such a message, it ends like this. about: our id of the message, or the key of the operator's id.
CREATE TABLE waiting_ends (
  operator    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  about       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status      ENUM ('delivered', 'undelivered') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  error       VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  done_at     DATETIME(3) NULL,
  phone       VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'its digits, where the report has them',
  received_at DATETIME(3) NOT NULL,
  PRIMARY KEY (operator, about),
  KEY by_age (received_at)
) ENGINE = InnoDB;

-- What operators reported about messages that had ended, or otherwise than they ended; each thing once, as it was said first.
CREATE TABLE late_reports (
  message_id  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  operator    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  part        TINYINT UNSIGNED NOT NULL,
  status      ENUM ('delivered', 'undelivered') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  error       VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
  received_at DATETIME(3) NOT NULL,
  PRIMARY KEY (message_id, operator, part, status)
) ENGINE = InnoDB
  PARTITION BY RANGE COLUMNS (message_id) (PARTITION p_future VALUES LESS THAN (MAXVALUE));

-- Whether an express message whose answer was lost is sent once more, through another operator, while its promise can be kept. Its
-- recipient may then get it twice.
ALTER TABLE customers
  ADD COLUMN express_resend_unknown BOOLEAN NOT NULL DEFAULT FALSE,
  ALGORITHM = INSTANT;

-- Submits whose answer was lost, of messages that were submitted to another operator as well: their operator may report on them, and
-- nothing else says that it may have them.
CREATE TABLE lost_submits (
  message_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  operator   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  phone      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  lost_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (message_id, operator),
  KEY by_age (lost_at)
) ENGINE = InnoDB;
