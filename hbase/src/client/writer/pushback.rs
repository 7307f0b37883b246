//! How long a lane pauses for the load that its region reports. Pure.
//!
//! The measure is that of `ExponentialClientBackoffPolicy`: the worst of memstore, heap and compaction load, to the
//! fourth power, of a longest pause. Heap counts only from 95 % on, and is full at 98 %. Servers report loads only with
//! `hbase.client.backpressure.enabled`; Java's longest pause of five minutes is far above any operation's time, so the
//! longest one is a setting.

use std::time::Duration;

use crate::wire::multi_answer::RegionLoad;

/// Below this heap occupancy (percent) nothing is wrong (`hbase.heap.occupancy.low_water_mark`).
const HEAP_LOW: f64 = 95.0;
/// At this one the server is about to block (`hbase.heap.occupancy.high_water_mark`).
const HEAP_HIGH: f64 = 98.0;
/// What the low mark counts as.
const HEAP_FROM: f64 = 0.1;

/// The pause before the next batch of a region with this load.
pub(super) fn pause(load: RegionLoad, longest: Duration) -> Duration {
    let share = |percent: u32| f64::from(percent.min(100)) / 100.0;
    let heap = f64::from(load.heap);
    let heap = if heap < HEAP_LOW {
        0.0
    } else {
        HEAP_FROM + (heap.min(HEAP_HIGH) - HEAP_LOW) / (HEAP_HIGH - HEAP_LOW) * (1.0 - HEAP_FROM)
    };
    let worst = share(load.memstore).max(share(load.compaction)).max(heap);
    longest.mul_f64(worst.powi(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(300);

    fn seconds(memstore: u32, heap: u32, compaction: u32) -> f64 {
        pause(RegionLoad { memstore, heap, compaction }, LONGEST).as_secs_f64()
    }

    #[test]
    fn an_idle_region_is_not_paused_and_a_full_one_for_the_longest_time() {
        assert_eq!(seconds(0, 0, 0), 0.0);
        assert_eq!(seconds(100, 0, 0), 300.0);
        assert_eq!(seconds(0, 0, 100), 300.0);
    }

    #[test]
    fn the_pause_grows_with_the_fourth_power_of_the_worst_load() {
        assert_eq!(seconds(50, 0, 0), 300.0 * 0.0625);
        assert_eq!(seconds(50, 94, 20), 300.0 * 0.0625, "the worst of all counts, and a heap below 95 % does not");
    }

    #[test]
    fn the_heap_counts_from_95_percent_and_is_full_at_98() {
        assert!((seconds(0, 95, 0) - 300.0 * 0.0001).abs() < 1e-6);
        assert_eq!(seconds(0, 98, 0), 300.0);
        assert_eq!(seconds(0, 100, 0), 300.0);
    }
}
