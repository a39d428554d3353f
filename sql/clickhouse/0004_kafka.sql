-- Reads the event topics. The words in braces come from the settings; when one of them changes, the migrator runs this file
-- again, so every statement may be repeated. The view comes last: the broker is read only while one is attached. A record holds
-- many rows. Flushing once a second keeps reports fresh at half the parts of twice; 65,536 rows bound the memory of one block.
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
  created_at_ms       Int64,
  updated_at_ms       Int64
) ENGINE = Kafka
SETTINGS kafka_broker_list = '{{kafka_broker}}', kafka_topic_list = '{{topic_prefix}}sms.status',
         kafka_group_name = '{{topic_prefix}}{{database}}-clickhouse-status', kafka_format = 'JSONEachRow',
         kafka_num_consumers = 1, kafka_handle_error_mode = 'stream', kafka_flush_interval_ms = 1000,
         kafka_poll_timeout_ms = 250, kafka_poll_max_batch_size = 256, kafka_max_block_size = 65536,
         input_format_skip_unknown_fields = 1;

DROP VIEW IF EXISTS mv_kafka_ledger;

DROP TABLE IF EXISTS kafka_ledger;

CREATE TABLE kafka_ledger (
  event_id      String,
  customer_id   UInt64,
  op            LowCardinality(String),
  amount        Int64,
  created_at_ms Int64
) ENGINE = Kafka
SETTINGS kafka_broker_list = '{{kafka_broker}}', kafka_topic_list = '{{topic_prefix}}wallet.ledger',
         kafka_group_name = '{{topic_prefix}}{{database}}-clickhouse-ledger', kafka_format = 'JSONEachRow',
         kafka_num_consumers = 1, kafka_handle_error_mode = 'stream', kafka_flush_interval_ms = 1000,
         kafka_poll_timeout_ms = 250, kafka_poll_max_batch_size = 256, kafka_max_block_size = 65536,
         input_format_skip_unknown_fields = 1;

CREATE MATERIALIZED VIEW mv_kafka_status TO status_events AS
SELECT id, customer_id, phone, type, status, parts, cost, reference, operator, operator_message_id, attempt, sequence,
       created_at_ms, updated_at_ms, _topic AS topic, _partition AS part, _offset AS position, _error AS error,
       _raw_message AS raw
FROM kafka_status;

CREATE MATERIALIZED VIEW mv_kafka_ledger TO ledger_events AS
SELECT event_id, customer_id, op, amount, created_at_ms, _topic AS topic, _partition AS part, _offset AS position,
       _error AS error, _raw_message AS raw
FROM kafka_ledger;
