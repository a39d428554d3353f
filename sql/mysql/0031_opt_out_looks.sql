-- How often scheduled messages to it were looked for. Counted, because ages are wrong once the clock has jumped.
ALTER TABLE opt_outs
  ADD COLUMN looks TINYINT UNSIGNED NOT NULL DEFAULT 0,
  ALGORITHM = INSTANT;
