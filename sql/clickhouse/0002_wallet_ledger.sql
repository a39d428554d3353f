-- Ledger entries, one row an event_id. Sums of closed days outlive them, so they stay 30 days only. The day leads the key because
-- FINAL prunes by nothing else; an event's day never changes, so the key still tells events apart by event_id alone.
CREATE TABLE IF NOT EXISTS wallet_ledger (
  customer_id UInt64,
  event_id    String,
  op          LowCardinality(String),
  amount      Int64,
  created_at  DateTime64(3, 'UTC'),
  entry_id    String ALIAS substring(event_id, 1, 26),
  leg         String ALIAS substring(event_id, 28)
) ENGINE = ReplacingMergeTree
PARTITION BY toDate(created_at)
ORDER BY (toDate(created_at), customer_id, event_id)
TTL toDateTime(created_at) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;

-- When rows last came for a day: tells which sums are still true.
CREATE TABLE IF NOT EXISTS ledger_days (
  day         Date,
  ingested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY day;

CREATE TABLE IF NOT EXISTS ledger_events (
  event_id      String,
  customer_id   UInt64,
  op            LowCardinality(String),
  amount        Int64,
  created_at_ms Int64,
  topic         LowCardinality(String),
  part          UInt64,
  position      UInt64,
  error         String,
  raw           String
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_wallet_ledger TO wallet_ledger AS
SELECT customer_id, event_id, op, amount, fromUnixTimestamp64Milli(created_at_ms, 'UTC') AS created_at
FROM ledger_events WHERE error = '';

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_ledger_days TO ledger_days AS
SELECT toDate(fromUnixTimestamp64Milli(created_at_ms, 'UTC')) AS day, now64(3) AS ingested_at
FROM ledger_events WHERE error = '' GROUP BY day;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_ledger_freshness TO freshness AS
SELECT 'wallet.ledger' AS topic, fromUnixTimestamp64Milli(max(created_at_ms), 'UTC') AS newest_at, now64(3) AS ingested_at
FROM ledger_events WHERE error = '' HAVING count() > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_ledger_bad TO bad_records AS
SELECT topic, part, position, error, raw FROM ledger_events WHERE error <> '';
