-- When an operator took an express message, by which it is charged. Only set if it was taken by an operator that said so, and since this
-- column exists.
ALTER TABLE messages
  ADD COLUMN taken_at DATETIME(3) NULL COMMENT 'express only',
  ALGORITHM = INSTANT;
