-- Numbers that customers are reached at: who owns what comes in there. keyword: only what begins with this word, folded
-- (src/core/fold.ts); empty: everything else.
CREATE TABLE inbound_numbers (
  number      VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'digits; or a name in lower case',
  keyword     VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL DEFAULT '',
  customer_id BIGINT UNSIGNED NOT NULL,
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (number, keyword),
  KEY by_customer (customer_id),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- Inbound messages of known numbers, kept as long as the events that tell them. id is that of the event. told: there is one, because
-- the customer had a URL.
CREATE TABLE inbound_messages (
  id                  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  customer_id         BIGINT UNSIGNED NOT NULL,
  operator            VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  operator_message_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  sender              VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  recipient           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  text                VARCHAR(4000) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  command             ENUM ('stop', 'start', 'help') CHARACTER SET ascii COLLATE ascii_bin NULL,
  told                BOOLEAN NOT NULL,
  received_at         DATETIME(3) NOT NULL,
  stored_at           DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY by_customer (customer_id, id)
) ENGINE = InnoDB;

-- Parts of long inbound messages that wait for the others. text: UTF-16LE, because a part may end within a pair of surrogates.
CREATE TABLE inbound_parts (
  join_key            CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'hash of operator, addresses, reference and total',
  part                SMALLINT UNSIGNED NOT NULL,
  total               SMALLINT UNSIGNED NOT NULL,
  operator            VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  operator_message_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NULL,
  sender              VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  recipient           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  text                VARBINARY(2000) NOT NULL,
  received_at         DATETIME(3) NOT NULL,
  stored_at           DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (join_key, part),
  KEY by_age (stored_at)
) ENGINE = InnoDB;

-- What tells a repeat: a hash of what was told, until when the same counts as one.
CREATE TABLE inbound_seen (
  seen_key   CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  expires_at DATETIME(3) NOT NULL,
  KEY by_expiry (expires_at)
) ENGINE = InnoDB;

-- Who doesn't want messages of a customer. cancel_at: when scheduled messages to it are looked for next; NULL: there are none left.
CREATE TABLE opt_outs (
  customer_id BIGINT UNSIGNED NOT NULL,
  phone       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sender      VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'folded; empty: every sender',
  source      ENUM ('inbound', 'api', 'cli') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at  DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  cancel_at   DATETIME(3) NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (customer_id, phone, sender),
  KEY by_creation (created_at),
  KEY to_cancel (cancel_at),
  FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
) ENGINE = InnoDB;

-- Finds the scheduled messages to a phone, also those that were stored before.
ALTER TABLE scheduled_messages
  ADD COLUMN customer_id BIGINT UNSIGNED NULL,
  ADD COLUMN phone VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD KEY to_phone (customer_id, phone);
UPDATE scheduled_messages AS s JOIN messages AS m ON m.id = s.message_id SET s.customer_id = m.customer_id, s.phone = m.phone;

-- The body of an event may have the text of an inbound message, each character escaped.
ALTER TABLE webhook_deliveries
  MODIFY COLUMN body VARCHAR(12000) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL;
