-- Why a message came to a status: its last_error then, and the operators that refused it at that attempt, with their reasons and
-- times. Empty where nothing went wrong. Nothing is read from the broker until 0006 has made its table anew.
DROP VIEW IF EXISTS mv_kafka_status;

ALTER TABLE messages_log
  ADD COLUMN IF NOT EXISTS last_error String,
  ADD COLUMN IF NOT EXISTS refused_by Array(String),
  ADD COLUMN IF NOT EXISTS refused_why Array(String),
  ADD COLUMN IF NOT EXISTS refused_at_ms Array(Int64);

DROP VIEW IF EXISTS mv_messages_log;

ALTER TABLE status_events
  ADD COLUMN IF NOT EXISTS last_error String,
  ADD COLUMN IF NOT EXISTS refused_by Array(String),
  ADD COLUMN IF NOT EXISTS refused_why Array(String),
  ADD COLUMN IF NOT EXISTS refused_at_ms Array(Int64);

CREATE MATERIALIZED VIEW IF NOT EXISTS mv_messages_log TO messages_log AS
SELECT customer_id, id, sequence, status, type, phone, parts, cost, reference, operator, operator_message_id, attempt,
       last_error, refused_by, refused_why, refused_at_ms,
       fromUnixTimestamp64Milli(created_at_ms, 'UTC') AS created_at,
       fromUnixTimestamp64Milli(updated_at_ms, 'UTC') AS updated_at
FROM status_events WHERE error = '';
