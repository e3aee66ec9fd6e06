-- ClickHouse's Kafka engine and a materialized view, for the flat records.
--
-- `{…}` is filled in by the benchmark. Settings as the documentation advises for throughput: blocks as large as the
-- engine takes, large polls, and a thread with blocks of its own per consumer.

CREATE TABLE bench.queue
(
    id UInt64,
    ts DateTime64(3),
    country LowCardinality(String),
    user String,
    value Float64,
    n Int32,
    ok Bool,
    ref Nullable(String),
    price Decimal(18, 2),
    text String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{brokers}',
    kafka_topic_list = '{topic}',
    kafka_group_name = '{group}',
    kafka_format = 'JSONEachRow',
    kafka_num_consumers = {consumers},
    kafka_thread_per_consumer = 1,
    kafka_max_block_size = 1048576,
    kafka_poll_max_batch_size = 65536,
    kafka_flush_interval_ms = {flush_ms};

CREATE MATERIALIZED VIEW bench.pump TO bench.{table} AS
SELECT
    *,
    toUInt64(1) AS _kafka_source,
    toInt32(_partition) AS _kafka_partition,
    toInt64(_offset) AS _kafka_offset,
    assumeNotNull(_timestamp_ms) AS _kafka_timestamp
FROM bench.queue;
