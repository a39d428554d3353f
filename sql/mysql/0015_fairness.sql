-- The outbox of customers that have more waiting than their share of a lane: rows of records like those of `outbox`, each of one
-- customer. No relay takes them: the lane's senders do, a customer at a time.
CREATE TABLE outbox_held (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  lane        ENUM ('express', 'normal') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  customer_id BIGINT UNSIGNED NOT NULL,
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  payload     MEDIUMBLOB NOT NULL,
  KEY by_customer (lane, customer_id, id)
) ENGINE = InnoDB;

-- How long messages of a lane have to wait, as each of its senders measures it twice a second. Ingest reads it before it promises a
-- time: a sender that says nothing any more is as far behind as its row is old.
CREATE TABLE lane_senders (
  lane       ENUM ('express', 'normal') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  instance   VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  wait_ms    BIGINT UNSIGNED NOT NULL,
  renewed_at DATETIME(3) NOT NULL,
  PRIMARY KEY (lane, instance)
) ENGINE = InnoDB;
