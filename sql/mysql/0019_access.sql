-- From when on a customer is refused, and from where it and its keys may be used: addresses and CIDR blocks, comma-separated.
ALTER TABLE customers
  ADD COLUMN suspended_at DATETIME(3) NULL,
  ADD COLUMN addresses VARCHAR(3200) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: from anywhere',
  ALGORITHM = INSTANT;

-- last_used_at is written without touching updated_at, or every process would look the key up again.
ALTER TABLE api_keys
  ADD COLUMN expires_at DATETIME(3) NULL,
  ADD COLUMN last_used_at DATETIME(3) NULL COMMENT 'up to a minute behind',
  ADD COLUMN addresses VARCHAR(3200) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: from anywhere',
  ADD COLUMN signing_salt BINARY(32) NULL COMMENT 'requests must be signed, with a secret made of this and the key itself',
  ALGORITHM = INSTANT;

-- Nonces of signed requests, until their timestamps are too old to be accepted anyway.
CREATE TABLE request_nonces (
  key_id     CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  nonce      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  PRIMARY KEY (key_id, nonce),
  KEY by_expiry (expires_at)
) ENGINE = InnoDB;
