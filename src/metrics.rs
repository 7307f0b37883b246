//! Every metric: name, unit and meaning, once.
//!
//! Counters end in `_total`; the unit is the last word before it. Labels: `topic` (Kafka's name), `partition`, `sink`
//! (a cluster of the topology), `group`, `stage`, `state`, `cause`, `reason`, `code`,
//! `kind`, `unit`.

use std::sync::Arc;

use metrics::{SharedString, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Records read, by topic.
pub const EVENTS_TOTAL: &str = "halcyon_events_total";
/// Records that could not become rows, by topic and stage.
pub const EVENTS_BAD_TOTAL: &str = "halcyon_events_bad_total";
/// Events that no model wanted, by topic.
pub const EVENTS_FILTERED_TOTAL: &str = "halcyon_events_filtered_total";
/// Mutations made, by topic.
pub const ROWS_TOTAL: &str = "halcyon_rows_total";
/// Cells made, by topic.
pub const CELLS_TOTAL: &str = "halcyon_cells_total";
/// Cells of two different events with one version, by topic.
pub const VERSION_TIES_TOTAL: &str = "halcyon_version_ties_total";
/// Batches projected, by topic.
pub const BATCHES_TOTAL: &str = "halcyon_batches_total";
/// Time to decode, project, fold and encode one batch, by topic.
pub const BATCH_PROJECT_SECONDS: &str = "halcyon_batch_project_seconds";
/// Mutations durable, by sink.
pub const SINK_ROWS_TOTAL: &str = "halcyon_sink_rows_total";
/// Cells durable, by sink.
pub const SINK_CELLS_TOTAL: &str = "halcyon_sink_cells_total";
/// Encoded bytes durable, by sink.
pub const SINK_BYTES_TOTAL: &str = "halcyon_sink_bytes_total";
/// Rows that the cluster refused for good and that became dead letters, by sink.
pub const SINK_ROWS_REFUSED_TOTAL: &str = "halcyon_sink_rows_refused_total";
/// Time of one batch's write, by sink.
pub const SINK_WRITE_SECONDS: &str = "halcyon_sink_write_seconds";
/// Writes of a batch tried again, by sink and reason.
pub const SINK_RETRIES_TOTAL: &str = "halcyon_sink_retries_total";
/// 1 for the state that a sink is in, by sink and state.
pub const SINK_STATE: &str = "halcyon_sink_state";
/// Times a sink was taken off the shared read, by sink and cause (window, stalled, behind, operator).
pub const SINK_DETACHES_TOTAL: &str = "halcyon_sink_detaches_total";
/// Records read by private readers, by sink.
pub const PRIVATE_RECORDS_TOTAL: &str = "halcyon_private_reader_records_total";
/// Bytes of keys and payloads read by private readers, by sink.
pub const PRIVATE_BYTES_TOTAL: &str = "halcyon_private_reader_bytes_total";
/// Bytes of the memory budget held by a sink's private reader, by sink.
pub const PRIVATE_MEMORY_BYTES: &str = "halcyon_private_reader_memory_bytes";
/// How fast a sink may write, by sink and unit (rows, bytes); 0 is as fast as it can.
pub const SINK_LIMIT_PER_SECOND: &str = "halcyon_sink_limit_per_second";
/// Records between the log's start and the sink's durable end, by topic, partition and sink.
pub const HEADROOM_OFFSETS: &str = "halcyon_retention_headroom_offsets";
/// Time until the sink's next record is old enough for retention, by topic, partition and sink.
pub const HEADROOM_SECONDS: &str = "halcyon_retention_headroom_seconds";
/// 1 while retention comes close to what the sink has not read, by topic, partition and sink.
pub const HEADROOM_SHORT: &str = "halcyon_retention_headroom_short";
/// Bytes of the memory budget held by what a sink has not finished, by sink.
pub const SINK_WINDOW_BYTES: &str = "halcyon_sink_window_bytes";
/// Records between the durable end and the end of the log, by topic, partition and sink.
pub const LAG_OFFSETS: &str = "halcyon_lag_offsets";
/// Age of the last durable record while there are newer ones, by topic, partition and sink.
pub const LAG_SECONDS: &str = "halcyon_lag_seconds";
/// How long the transaction at a partition's last stable offset has been open, by topic and partition; 0 is none.
pub const TRANSACTION_OPEN_SECONDS: &str = "halcyon_transaction_open_seconds";
/// Questions to the schema registry, by outcome (ok, failed).
pub const SCHEMA_FETCHES_TOTAL: &str = "halcyon_schema_fetches_total";
/// Partitions that are not read on because a schema is not there.
pub const SCHEMA_WAITS: &str = "halcyon_schema_waits";
/// Commits accepted, by group.
pub const COMMITS_TOTAL: &str = "halcyon_commits_total";
/// Commits refused, by group and code.
pub const COMMIT_FAILURES_TOTAL: &str = "halcyon_commit_failures_total";
/// Rebalances, by kind (assign, revoke, lost).
pub const REBALANCES_TOTAL: &str = "halcyon_rebalances_total";
/// Partitions that this process holds.
pub const PARTITIONS_ASSIGNED: &str = "halcyon_partitions_assigned";
/// Partitions that stood still and were taken anew, or cost their client its place, by kind (partition, client).
pub const WATCHDOG_TOTAL: &str = "halcyon_watchdog_total";
/// The budget of data in flight.
pub const MEMORY_BUDGET_BYTES: &str = "halcyon_memory_budget_bytes";
/// Data in flight.
pub const MEMORY_USED_BYTES: &str = "halcyon_memory_used_bytes";

/// Upper bounds of histogram buckets, in seconds: from one small batch to a write that waits for a region.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// A label value.
#[must_use]
pub fn label(value: &str) -> SharedString {
    SharedString::from(Arc::<str>::from(value))
}

/// Installs the recorder of this process and describes every metric.
///
/// # Errors
/// A sentence, if a recorder was installed before.
pub fn install() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(|error| error.to_string())?;
    let handle = builder.install_recorder().map_err(|error| error.to_string())?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_counter!(EVENTS_TOTAL, "records read");
    describe_counter!(EVENTS_BAD_TOTAL, "records that could not become rows");
    describe_counter!(EVENTS_FILTERED_TOTAL, "events that no model wanted");
    describe_counter!(ROWS_TOTAL, "mutations made");
    describe_counter!(CELLS_TOTAL, "cells made");
    describe_counter!(VERSION_TIES_TOTAL, "cells of two different events with one version");
    describe_counter!(BATCHES_TOTAL, "batches projected");
    describe_histogram!(BATCH_PROJECT_SECONDS, "time to decode, project, fold and encode one batch");
    describe_counter!(SINK_ROWS_TOTAL, "mutations durable");
    describe_counter!(SINK_CELLS_TOTAL, "cells durable");
    describe_counter!(SINK_BYTES_TOTAL, "encoded bytes durable");
    describe_counter!(SINK_ROWS_REFUSED_TOTAL, "rows refused for good that became dead letters");
    describe_histogram!(SINK_WRITE_SECONDS, "time of one batch's write");
    describe_counter!(SINK_RETRIES_TOTAL, "writes of a batch tried again");
    describe_gauge!(SINK_STATE, "1 for the state that the sink is in");
    describe_counter!(SINK_DETACHES_TOTAL, "times the sink was taken off the shared read");
    describe_counter!(PRIVATE_RECORDS_TOTAL, "records read by private readers");
    describe_counter!(PRIVATE_BYTES_TOTAL, "bytes of keys and payloads read by private readers");
    describe_gauge!(PRIVATE_MEMORY_BYTES, "bytes held by the sink's private reader");
    describe_gauge!(SINK_LIMIT_PER_SECOND, "how fast the sink may write; 0 is as fast as it can");
    describe_gauge!(HEADROOM_OFFSETS, "records between the log's start and the sink's durable end");
    describe_gauge!(HEADROOM_SECONDS, "time until the sink's next record is old enough for retention");
    describe_gauge!(HEADROOM_SHORT, "1 while retention comes close to what the sink has not read");
    describe_gauge!(SINK_WINDOW_BYTES, "bytes held by what the sink has not finished");
    describe_gauge!(LAG_OFFSETS, "records between the durable end and the end of the log");
    describe_gauge!(LAG_SECONDS, "age of the last durable record while there are newer ones");
    describe_gauge!(TRANSACTION_OPEN_SECONDS, "age of the transaction at the last stable offset, 0 if there is none");
    describe_counter!(SCHEMA_FETCHES_TOTAL, "questions to the schema registry");
    describe_gauge!(SCHEMA_WAITS, "partitions that wait for a schema");
    describe_counter!(COMMITS_TOTAL, "commits accepted");
    describe_counter!(COMMIT_FAILURES_TOTAL, "commits refused");
    describe_counter!(REBALANCES_TOTAL, "rebalances");
    describe_gauge!(PARTITIONS_ASSIGNED, "partitions held");
    describe_counter!(
        WATCHDOG_TOTAL,
        "partitions that stood still and were taken anew, or cost their client its place"
    );
    describe_gauge!(MEMORY_BUDGET_BYTES, "budget of data in flight");
    describe_gauge!(MEMORY_USED_BYTES, "data in flight");
}
