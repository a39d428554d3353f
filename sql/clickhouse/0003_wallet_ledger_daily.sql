-- Sums by customer, day and op. A closed day is summed once, from FINAL, when it has been quiet for a minute; if a late entry
-- comes after that, it is summed again. An insert-triggered sum would count a redelivered block twice.
CREATE TABLE IF NOT EXISTS wallet_ledger_closed_days (
  day         Date,
  customer_id UInt64,
  op          LowCardinality(String),
  amount      Int64,
  entries     UInt64,
  summed_at   DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(summed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (day, customer_id, op);

-- One row a summed day, written with its sums: small enough to be read whole.
CREATE VIEW IF NOT EXISTS ledger_days_summed AS
SELECT day, max(summed_at) AS summed_at FROM wallet_ledger_closed_days GROUP BY day;

-- Days whose sums are true: a minute of quiet before the sum, because a block is stamped shortly before it can be read.
CREATE VIEW IF NOT EXISTS ledger_days_closed AS
SELECT s.day AS day
FROM ledger_days_summed AS s
INNER JOIN (SELECT day, max(ingested_at) AS ingested_at FROM ledger_days GROUP BY day) AS d ON d.day = s.day
WHERE s.summed_at > d.ingested_at + INTERVAL 60 SECOND;

-- Only days that ended ten minutes ago, and none whose rows the 30 days of wallet_ledger may have begun to drop.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_wallet_ledger_closed_days
REFRESH EVERY 1 MINUTE APPEND TO wallet_ledger_closed_days AS
SELECT toDate(created_at) AS day, customer_id, op, sum(amount) AS amount, count() AS entries, now64(3) AS summed_at
FROM wallet_ledger FINAL
WHERE toDate(created_at) < toDate(now('UTC') - INTERVAL 10 MINUTE)
  AND toDate(created_at) > toDate(now('UTC')) - 29
  AND toDate(created_at) IN (
    SELECT day FROM ledger_days GROUP BY day HAVING max(ingested_at) < now64(3) - INTERVAL 60 SECOND)
  AND toDate(created_at) NOT IN (SELECT day FROM ledger_days_closed)
GROUP BY day, customer_id, op;

-- What everyone reads: closed days from their sums, open ones through FINAL.
CREATE VIEW IF NOT EXISTS mv_wallet_ledger_daily AS
SELECT day, customer_id, op, amount, entries
FROM wallet_ledger_closed_days FINAL
WHERE day IN (SELECT day FROM ledger_days_closed)
   OR day <= toDate(now('UTC')) - 29
UNION ALL
SELECT toDate(created_at) AS day, customer_id, op, sum(amount) AS amount, count() AS entries
FROM wallet_ledger FINAL
WHERE toDate(created_at) NOT IN (SELECT day FROM ledger_days_closed)
  AND toDate(created_at) > toDate(now('UTC')) - 29
GROUP BY day, customer_id, op;
