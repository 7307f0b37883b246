//! How much librdkafka may hold of a partition: its limits, from one share of the memory budget.
//!
//! librdkafka counts payloads only. Beside them it holds a structure for every record, and the decompressed set that a
//! record lies in until the last record of the set is taken; a limit is looked at before a fetch, so one fetch of a
//! partition comes on top of it. Each of the three gets a part of the share.

/// What librdkafka holds for a record beside its payload (`rd_kafka_op_t` and the allocator's own).
const RECORD_BYTES: u64 = 256;
/// Bytes of a fetched set become several times as many when it is decompressed.
const COMPRESSION: u64 = 4;
/// Java producers close a batch at 16 KiB; below this a partition's fetch holds too few of them.
const PARTITION_FETCH_BYTES_MIN: u64 = 128 << 10;
/// librdkafka's and Java's default.
const PARTITION_FETCH_BYTES_MAX: u64 = 1 << 20;
const QUEUED_BYTES_MIN: u64 = 128 << 10;
const FETCH_BYTES_MIN: u64 = 1 << 20;
const FETCH_BYTES_MAX: u64 = 8 << 20;

/// librdkafka's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefetch {
    /// `queued.max.messages.kbytes`: payloads of a partition, past which it is not fetched.
    queued_kbytes: u64,
    /// `queued.min.messages`: records of a partition, past which it is not fetched.
    queued_records: u64,
    /// `fetch.message.max.bytes`: of a partition in one fetch, compressed. A larger batch still comes, alone.
    partition_fetch_bytes: u64,
    /// `fetch.max.bytes`: of all partitions in one fetch.
    fetch_bytes: u64,
}

impl Prefetch {
    /// The limits within `budget` bytes when one process has all `partitions`, the worst case: they cannot be changed
    /// once the client is made.
    pub(super) fn within(budget: u64, partitions: u64) -> Self {
        let share = budget / partitions.max(1);
        let queued = (share / 4).max(QUEUED_BYTES_MIN);
        let fetched = share / 4 / COMPRESSION;
        Self {
            queued_kbytes: queued / 1024,
            queued_records: queued / RECORD_BYTES,
            partition_fetch_bytes: fetched.clamp(PARTITION_FETCH_BYTES_MIN, PARTITION_FETCH_BYTES_MAX),
            fetch_bytes: (budget / 4).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX),
        }
    }

    /// The properties of a client that keep it so.
    pub(super) fn properties(self) -> [(&'static str, u64); 4] {
        [
            ("queued.max.messages.kbytes", self.queued_kbytes),
            ("queued.min.messages", self.queued_records),
            ("fetch.message.max.bytes", self.partition_fetch_bytes),
            ("fetch.max.bytes", self.fetch_bytes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_partitions_may_hold_stays_within_the_budget() {
        for (mib, partitions) in [(16, 1), (64, 16), (256, 16), (256, 100), (4096, 1000)] {
            let budget = mib << 20;
            let Prefetch { queued_kbytes, queued_records, partition_fetch_bytes, .. } =
                Prefetch::within(budget, partitions);
            let held = queued_kbytes * 1024 + queued_records * RECORD_BYTES + partition_fetch_bytes * COMPRESSION;
            assert!(held * partitions <= budget, "{mib} MiB for {partitions}: {held} bytes each");
        }
    }

    #[test]
    fn a_share_that_is_too_small_for_a_batch_is_passed() {
        let expected = Prefetch {
            queued_kbytes: 128,
            queued_records: 512,
            partition_fetch_bytes: 128 << 10,
            fetch_bytes: 4 << 20,
        };
        assert_eq!(Prefetch::within(16 << 20, 1000), expected);
    }
}
