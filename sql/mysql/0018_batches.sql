-- Keys of POST /v1/sms/batches, whose owner is the first message of the batch. Their answers name up to a thousand messages: what is
-- longer than `answer` is in `long_answer`, and `answer` is then empty. Both changes leave the rows as they are.
ALTER TABLE idempotency_keys
  MODIFY operation ENUM ('send', 'topup', 'batch') CHARACTER SET ascii COLLATE ascii_bin NOT NULL;

ALTER TABLE idempotency_keys
  ADD COLUMN long_answer MEDIUMBLOB NULL,
  ALGORITHM = INSTANT;
