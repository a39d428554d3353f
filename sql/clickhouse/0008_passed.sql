-- When a message was given to Kafka, claimed by a sender and taken by its operator before it came to a status: how many ms before
-- updated_at, plus one; 0 where nobody knows. Nothing is read from the broker until 0009 has made its table anew.
DROP VIEW IF EXISTS mv_kafka_status;

ALTER TABLE messages_log
  ADD COLUMN IF NOT EXISTS relayed_ago UInt32,
  ADD COLUMN IF NOT EXISTS claimed_ago UInt32,
  ADD COLUMN IF NOT EXISTS taken_ago UInt32;

DROP VIEW IF EXISTS mv_messages_log;

ALTER TABLE status_events
  ADD COLUMN IF NOT EXISTS relayed_ago UInt32,
  ADD COLUMN IF NOT EXISTS claimed_ago UInt32,
  ADD COLUMN IF NOT EXISTS taken_ago UInt32;

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_messages_log TO messages_log AS
SELECT customer_id, id, sequence, status, type, phone, parts, cost, reference, operator, operator_message_id, attempt,
       last_error, refused_by, refused_why, refused_at_ms, relayed_ago, claimed_ago, taken_ago,
       fromUnixTimestamp64Milli(created_at_ms, 'UTC') AS created_at,
       fromUnixTimestamp64Milli(updated_at_ms, 'UTC') AS updated_at
FROM status_events WHERE error = '';
