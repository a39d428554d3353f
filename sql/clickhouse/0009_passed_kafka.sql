-- Reads the status topic with the columns of 0008; otherwise as 0004 does, and run again when its settings change, after it.
DROP VIEW IF EXISTS mv_kafka_status;

DROP TABLE IF EXISTS kafka_status;

CREATE TABLE kafka_status (
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
  last_error          String,
  refused_by          Array(String),
  refused_why         Array(String),
  refused_at_ms       Array(Int64),
  relayed_ago         UInt32,
  claimed_ago         UInt32,
  taken_ago           UInt32,
  created_at_ms       Int64,
  updated_at_ms       Int64
) ENGINE = Kafka
SETTINGS kafka_broker_list = '{{kafka_broker}}', kafka_topic_list = '{{topic_prefix}}sms.status',
         kafka_group_name = '{{topic_prefix}}{{database}}-clickhouse-status', kafka_format = 'JSONEachRow',
         kafka_num_consumers = 1, kafka_handle_error_mode = 'stream', kafka_flush_interval_ms = 1000,
         kafka_poll_timeout_ms = 250, kafka_poll_max_batch_size = 256, kafka_max_block_size = 65536,
         input_format_skip_unknown_fields = 1;

CREATE MATERIALIZED VIEW mv_kafka_status TO status_events AS
SELECT id, customer_id, phone, type, status, parts, cost, reference, operator, operator_message_id, attempt, sequence,
       last_error, refused_by, refused_why, refused_at_ms, relayed_ago, claimed_ago, taken_ago,
       created_at_ms, updated_at_ms, _topic AS topic, _partition AS part, _offset AS position, _error AS error,
       _raw_message AS raw
FROM kafka_status;
