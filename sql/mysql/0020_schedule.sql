-- When a message is to be sent, if that is later than its acceptance. NULL: at once.
ALTER TABLE messages
  ADD COLUMN send_at DATETIME(3) NULL,
  ALGORITHM = INSTANT;

-- Messages that wait for their time, in the order of it (src/ledger/schedule-rows.ts). moved: it has come, and run_at says when the message
-- was queued; the row stays until the sweep finds that it can't be queued again.
CREATE TABLE scheduled_messages (
  message_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  lane       ENUM ('express', 'normal') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  moved      BOOLEAN NOT NULL DEFAULT FALSE,
  run_at     DATETIME(3) NOT NULL,
  KEY due (lane, moved, run_at, message_id)
) ENGINE = InnoDB;
