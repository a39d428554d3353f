-- What a part costs, by destination, for the customers of a plan. updated_at changes with the plan's rates: processes compare these
-- times to see which plans they have to read again, so two changes of one plan never share one.
CREATE TABLE price_plans (
  plan_id    BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  KEY by_update (updated_at),
  UNIQUE KEY by_name (name)
) ENGINE = InnoDB;

-- The prices of numbers that begin with `prefix`, from valid_from until the next rate of that prefix.
CREATE TABLE price_rates (
  plan_id    BIGINT UNSIGNED NOT NULL,
  prefix     VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'a plus and up to 15 digits',
  valid_from DATETIME(3) NOT NULL,
  normal     BIGINT UNSIGNED NULL COMMENT 'minor units a part; NULL, as express is then: the destination is refused',
  express    BIGINT UNSIGNED NULL,
  PRIMARY KEY (plan_id, prefix, valid_from),
  FOREIGN KEY (plan_id) REFERENCES price_plans (plan_id) ON DELETE CASCADE,
  CHECK ((normal IS NULL) = (express IS NULL)), CHECK (normal IS NULL OR normal > 0), CHECK (express IS NULL OR express > 0)
) ENGINE = InnoDB;

ALTER TABLE customers
  ADD COLUMN price_plan BIGINT UNSIGNED NULL COMMENT 'NULL, or nothing in it about a number: price_normal and price_express',
  ALGORITHM = INSTANT;

-- How much a customer may spend in a UTC day and month (src/ledger/spend-caps.ts). Changed only while its wallet is locked.
-- taken - unspent leases - day_base is what was spent in the day that began at day_from.
CREATE TABLE spend_caps (
  customer_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  daily       BIGINT UNSIGNED NULL COMMENT 'minor units; NULL: no cap',
  monthly     BIGINT UNSIGNED NULL,
  taken       BIGINT NOT NULL DEFAULT 0 COMMENT 'granted to leases, less what they released, since the row exists',
  day_from    BIGINT NOT NULL DEFAULT 0 COMMENT 'Unix ms',
  day_base    BIGINT NOT NULL DEFAULT 0,
  month_from  BIGINT NOT NULL DEFAULT 0 COMMENT 'Unix ms',
  month_base  BIGINT NOT NULL DEFAULT 0,
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- Below which credit a customer is told so by an event, and whether it was told since it had that much.
ALTER TABLE webhooks
  ADD COLUMN low_balance BIGINT UNSIGNED NULL COMMENT 'minor units; NULL: never told',
  ADD COLUMN is_low BOOLEAN NOT NULL DEFAULT FALSE,
  ALGORITHM = INSTANT;
