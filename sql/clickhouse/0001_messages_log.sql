-- Every change of a message's status, as often as it was delivered: rows with the same key are one event (event_id), and what
-- reads it takes the row of the highest sequence. Days are partitions, so that a report of a day opens one and an old day is
-- dropped whole.
CREATE TABLE IF NOT EXISTS messages_log (
  customer_id         UInt64,
  id                  String,
  sequence            UInt16,
  status              LowCardinality(String),
  type                LowCardinality(String),
  phone               String,
  parts               UInt16,
  cost                Int64,
  reference           String,
  operator            LowCardinality(String),
  operator_message_id String,
  attempt             UInt16,
  created_at          DateTime64(3, 'UTC'),
  updated_at          DateTime64(3, 'UTC'),
  event_id            String ALIAS concat(id, ':', toString(sequence))
) ENGINE = ReplacingMergeTree
PARTITION BY toDate(created_at)
ORDER BY (customer_id, id, sequence);

-- How far the events of each topic have come; a redelivered record changes no maximum.
CREATE TABLE IF NOT EXISTS freshness (
  topic        LowCardinality(String),
  newest_at    SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  ingested_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY topic;

-- Records that are not rows, as they came, until someone has looked.
CREATE TABLE IF NOT EXISTS bad_records (
  topic    LowCardinality(String),
  part     UInt64,
  position UInt64,
  error    String,
  raw      String,
  at       DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree
ORDER BY (topic, part, position)
TTL toDateTime(at) + INTERVAL 90 DAY;

-- What the broker's table hands on. One view reads the broker and others read this, so a block reaches all of them or none.
CREATE TABLE IF NOT EXISTS status_events (
  id                  String,
  customer_id         UInt64,
  phone               String,
  type                LowCardinality(String),
  status              LowCardinality(String),
  parts               UInt16,
  cost                Int64,
  reference           String,
  operator            LowCardinality(String),
  operator_message_id String,
  attempt             UInt16,
  sequence            UInt16,
  created_at_ms       Int64,
  updated_at_ms       Int64,
  topic               LowCardinality(String),
  part                UInt64,
  position            UInt64,
  error               String,
  raw                 String
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_messages_log TO messages_log AS
SELECT customer_id, id, sequence, status, type, phone, parts, cost, reference, operator, operator_message_id, attempt,
       fromUnixTimestamp64Milli(created_at_ms, 'UTC') AS created_at,
       fromUnixTimestamp64Milli(updated_at_ms, 'UTC') AS updated_at
FROM status_events WHERE error = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_status_freshness TO freshness AS
SELECT 'sms.status' AS topic, fromUnixTimestamp64Milli(max(updated_at_ms), 'UTC') AS newest_at, now64(3) AS ingested_at
FROM status_events WHERE error = '' HAVING count() > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_status_bad TO bad_records AS
SELECT topic, part, position, error, raw FROM status_events WHERE error <> '';
