-- Whether nothing was reserved for the message at that change: then it costs nothing, whatever its `cost` says. Nothing is read from
-- the broker until 0031 has made its table anew.
DROP VIEW IF EXISTS mv_kafka_status;

ALTER TABLE messages_log
  ADD COLUMN IF NOT EXISTS unreserved UInt8;

DROP VIEW IF EXISTS mv_messages_log;

ALTER TABLE status_events
  ADD COLUMN IF NOT EXISTS unreserved UInt8;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_messages_log TO messages_log AS
SELECT customer_id, id, sequence, status, type, phone, parts, cost, reference, operator, operator_message_id, attempt,
       last_error, refused_by, refused_why, refused_at_ms, relayed_ago, claimed_ago, taken_ago, unreserved,
       fromUnixTimestamp64Milli(created_at_ms, 'UTC') AS created_at,
       fromUnixTimestamp64Milli(updated_at_ms, 'UTC') AS updated_at
FROM status_events WHERE error = '';
