-- Which messages were refunded, for as long as their statuses are kept: wallet_ledger forgets its entries after 30 days, and a
-- status doesn't always say it, because an express message that was taken after its promised time is sent, and refunded.
CREATE TABLE IF NOT EXISTS refunds (
  customer_id UInt64,
  id          String,
  created_at  DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(created_at)
ORDER BY (customer_id, id);

-- Takes each refund over in its last week in wallet_ledger, once a day: seven times, so that days on which ClickHouse is away
-- don't matter, and anything late has come by then. What is there twice is one row. Until then it is read from wallet_ledger.
CREATE MATERIALIZED VIEW IF NOT EXISTS mv_refunds
REFRESH EVERY 1 DAY APPEND TO refunds AS
SELECT customer_id, substring(event_id, 1, 26) AS id, created_at
FROM wallet_ledger
WHERE op = 'refund'
  AND toDate(created_at) BETWEEN toDate(now('UTC')) - 28 AND toDate(now('UTC')) - 22;
