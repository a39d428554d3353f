-- Who may call, what they pay, and their wallet.
CREATE TABLE customers (
  customer_id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name          VARCHAR(200) NOT NULL,
  price_normal  BIGINT UNSIGNED NOT NULL,
  price_express BIGINT UNSIGNED NOT NULL,
  currency      CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'IRR',
  region        CHAR(2) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'IR',
  rate_limit    INT UNSIGNED NULL COMMENT 'message parts a minute; NULL: none',
  created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  KEY by_update (updated_at),
  CHECK (price_normal > 0), CHECK (price_express > 0), CHECK (rate_limit IS NULL OR rate_limit > 0)
) ENGINE = InnoDB;

CREATE TABLE api_keys (
  key_id      CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  key_hash    BINARY(32) NOT NULL COMMENT 'SHA-256 of the key; the key itself is shown once',
  customer_id BIGINT UNSIGNED NOT NULL,
  scopes      VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'comma-separated: send, read, billing, admin',
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  revoked_at  DATETIME(3) NULL,
  updated_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  KEY by_update (updated_at),
  UNIQUE KEY by_hash (key_hash),
  KEY by_customer (customer_id),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- balance: credit nobody holds. reserved: credit in leases or in messages that are not settled yet.
CREATE TABLE wallet_accounts (
  customer_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  balance     BIGINT NOT NULL DEFAULT 0,
  reserved    BIGINT NOT NULL DEFAULT 0,
  CHECK (balance >= 0), CHECK (reserved >= 0),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- A top-up's request_id is kept for ever, so its repeat never has an effect.
CREATE TABLE topups (
  customer_id BIGINT UNSIGNED NOT NULL,
  request_id  VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  amount      BIGINT NOT NULL,
  entry_id    CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at  DATETIME(3) NOT NULL,
  PRIMARY KEY (customer_id, request_id),
  CHECK (amount > 0)
) ENGINE = InnoDB;
