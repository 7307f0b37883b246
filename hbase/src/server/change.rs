//! Changes of a cluster while it serves, and storms of them from a seed. Pure: a change says what, not how.

use bytes::Bytes;

use super::condition::draw;
use crate::table_name::TableName;

/// A change of where rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The region that has the row is cut in two at it.
    Split {
        /// The table.
        table: TableName,
        /// First row of the upper half.
        row: Bytes,
    },
    /// The region that has the row is joined with the one behind it.
    Merge {
        /// The table.
        table: TableName,
        /// Any row of the first region.
        row: Bytes,
    },
    /// The region that has the row goes to another server.
    Move {
        /// The table.
        table: TableName,
        /// Any row of the region.
        row: Bytes,
        /// Index of the region server.
        server: usize,
    },
    /// A region server stops; its regions go to the others.
    Stop {
        /// Index of the region server.
        server: usize,
    },
    /// A stopped region server starts again as a new process at its old address.
    Start {
        /// Index of the region server.
        server: usize,
    },
}

/// What a storm looks at before it blows on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// First rows of a table's regions, in order; the first one is empty.
    pub starts: Vec<Bytes>,
    /// Whether each region server runs.
    pub is_up: Vec<bool>,
}

/// A storm of changes over one table, the same for the same seed and topology: splits at given rows, merges, moves, and
/// restarts that always leave one server running.
#[derive(Clone, Debug)]
pub struct Storm {
    table: TableName,
    /// Rows at which regions may be cut, in order.
    cuts: Vec<Bytes>,
    /// Regions that the storm drives at.
    regions_wanted: usize,
    state: u64,
}

impl Storm {
    /// A storm over a table whose regions may be cut at these rows. It begins with no number of regions in mind.
    #[must_use]
    pub fn new(seed: u64, table: &TableName, mut cuts: Vec<Bytes>) -> Self {
        cuts.sort();
        cuts.dedup();
        let regions_wanted = cuts.len() / 2 + 1;
        Self { table: table.clone(), cuts, regions_wanted, state: seed }
    }

    /// From now on the storm drives at this number of regions: it merges while there are more and splits while there
    /// are fewer, moving regions and restarting servers on the way.
    pub fn drive_at(&mut self, regions: usize) {
        self.regions_wanted = regions.clamp(1, self.cuts.len() + 1);
    }

    /// The next change for a cluster that looks like this.
    pub fn next(&mut self, topology: &Topology) -> Option<Change> {
        match self.below(8) {
            0 => self.restart(topology),
            1 | 2 => self.relocate(topology),
            _ => match topology.starts.len().cmp(&self.regions_wanted) {
                std::cmp::Ordering::Greater => self.merge(topology),
                std::cmp::Ordering::Less => self.split(topology),
                std::cmp::Ordering::Equal => self.relocate(topology),
            },
        }
    }

    fn below(&mut self, count: usize) -> usize {
        (draw(&mut self.state) % count.max(1) as u64) as usize
    }

    fn merge(&mut self, topology: &Topology) -> Option<Change> {
        let first = self.below(topology.starts.len().saturating_sub(1));
        let row = topology.starts.get(first)?.clone();
        Some(Change::Merge { table: self.table.clone(), row })
    }

    fn split(&mut self, topology: &Topology) -> Option<Change> {
        let free: Vec<&Bytes> = self.cuts.iter().filter(|cut| topology.starts.binary_search(cut).is_err()).collect();
        let count = free.len();
        let chosen = (draw(&mut self.state) % count.max(1) as u64) as usize;
        let row = (*free.get(chosen)?).clone();
        Some(Change::Split { table: self.table.clone(), row })
    }

    fn relocate(&mut self, topology: &Topology) -> Option<Change> {
        let region = self.below(topology.starts.len());
        let row = topology.starts.get(region)?.clone();
        let up: Vec<usize> =
            (0..).zip(&topology.is_up).filter(|(_, is_up)| **is_up).map(|(server, _)| server).collect();
        let server = *up.get(self.below(up.len()))?;
        Some(Change::Move { table: self.table.clone(), row, server })
    }

    /// Starts what is stopped; stops one only if another runs.
    fn restart(&mut self, topology: &Topology) -> Option<Change> {
        if let Some(server) = topology.is_up.iter().position(|is_up| !is_up) {
            return Some(Change::Start { server });
        }
        let count = topology.is_up.len();
        if count < 2 {
            return self.relocate(topology);
        }
        Some(Change::Stop { server: self.below(count) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(number: usize) -> Bytes {
        format!("{number:04}").into()
    }

    /// What a cluster would look like after a change.
    fn after(mut topology: Topology, change: &Change) -> Topology {
        match change {
            Change::Split { row, .. } => {
                let place = topology.starts.binary_search(row).expect_err("a new border");
                topology.starts.insert(place, row.clone());
            }
            Change::Merge { row, .. } => {
                let place = topology.starts.binary_search(row).expect("a border");
                topology.starts.remove(place + 1);
            }
            Change::Move { server, .. } => assert!(topology.is_up[*server], "a move to a server that runs"),
            Change::Stop { server } => topology.is_up[*server] = false,
            Change::Start { server } => topology.is_up[*server] = true,
        }
        topology
    }

    proptest! {
        #[test]
        fn a_storm_reaches_its_number_of_regions_and_never_stops_the_last_server(
            seed in any::<u64>(),
            wanted in 1_usize..60,
            servers in 1_usize..4,
        ) {
            let mut storm = Storm::new(seed, &TableName::new("t"), (1..50).map(cut).collect());
            storm.drive_at(wanted);
            let mut topology = Topology { starts: vec![Bytes::new()], is_up: vec![true; servers] };
            let mut twin = storm.clone();
            for _ in 0..1000 {
                let change = storm.next(&topology);
                prop_assert_eq!(&change, &twin.next(&topology), "the seed decides");
                topology = after(topology, &change.expect("always something to do"));
                prop_assert!(topology.is_up.contains(&true));
            }
            prop_assert_eq!(topology.starts.len(), wanted.min(50));
        }
    }
}
