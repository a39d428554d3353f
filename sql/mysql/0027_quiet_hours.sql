-- When a customer's normal messages wait, and which sender ids it may use: lines, as src/core/quiet-hours.ts and senders.ts write them.
ALTER TABLE customers
  ADD COLUMN quiet_hours VARCHAR(3000) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: none',
  ADD COLUMN senders VARCHAR(1800) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL COMMENT 'NULL: any',
  ALGORITHM = INSTANT;

-- Texts of customers with places for parameters, a row for each version; none is ever changed. Whoever adds or deletes some changes the
-- customer's row too, by whose updated_at processes see that what they remember is over.
CREATE TABLE templates (
  customer_id BIGINT UNSIGNED NOT NULL,
  template_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'chosen by the customer',
  version     SMALLINT UNSIGNED NOT NULL COMMENT 'from 1 on',
  text        VARCHAR(4000) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (customer_id, template_id, version),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;
