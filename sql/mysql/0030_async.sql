-- Mode `async`: messages are accepted before their credit is checked, and reserved by their first claim (docs/decisions/0027).
ALTER TABLE customers
  MODIFY COLUMN mode ENUM ('lease', 'strict', 'async') CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'lease';

-- Nothing is reserved for the message: it waits for its first claim, or it ended without one.
ALTER TABLE messages
  ADD COLUMN unreserved BOOLEAN NOT NULL DEFAULT FALSE,
  ALGORITHM = INSTANT;

-- The unreserved messages of each customer. All others are found by their reserve entries, whose key is led by customer_id.
CREATE TABLE unreserved_messages (
  customer_id BIGINT UNSIGNED NOT NULL,
  message_id  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (customer_id, message_id)
) ENGINE = InnoDB;
