-- Requests a minute; rate_limit counts message parts.
ALTER TABLE customers
  ADD COLUMN request_limit INT UNSIGNED NULL COMMENT 'requests a minute; NULL: no limit',
  ALGORITHM = INSTANT;

-- What all ingest processes together have taken from a customer's buckets (src/customers/rate-shares.ts). `used` is what was missing from a
-- full bucket at told_at; since then per_minute of it has come back each minute. More than the bucket holds is a debt.
CREATE TABLE rate_shares (
  customer_id BIGINT UNSIGNED NOT NULL,
  unit        ENUM ('parts', 'requests') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  per_minute  INT UNSIGNED NOT NULL,
  used        DOUBLE NOT NULL,
  told_at     DATETIME(6) NOT NULL,
  PRIMARY KEY (customer_id, unit)
) ENGINE = InnoDB;

-- held_for: the customer of a message whose time has come while that customer was suspended. Looks for what is due pass over it.
ALTER TABLE scheduled_messages
  ADD COLUMN held_for BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0: for nobody',
  DROP KEY due,
  ADD KEY due (lane, moved, held_for, run_at, message_id);

-- Customers that were resumed, until a relay has found that none of their messages is held any more.
CREATE TABLE resumed_customers (
  customer_id BIGINT UNSIGNED NOT NULL PRIMARY KEY
) ENGINE = InnoDB;
