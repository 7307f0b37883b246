//! The byte credits of one cluster: what the writer may hold on its own account. Pure.
//!
//! Rows come into a lane at once; what a credit buys is that their caller need not wait. A caller whose rows have no
//! credit yet waits (in `submit` for its admission, in `write` for the end), and while it waits, the bytes are those it
//! holds anyway: one block. So the writer's own memory is bounded by the pool, and there is no order in which waiting
//! callers could stop each other.
//!
//! One silent server or one hot region must not take all credits. The rule is that of shared-memory switches (dynamic
//! thresholds, Choudhury and Hahne 1998): nobody may hold more than a multiple of what is *free*. One hog leaves a fixed
//! share free, two hogs leave less, but no number of them leaves nothing, and nobody has to know how many there are.
//!
//! # Laws
//! 1. Credits given out never exceed the pool.
//! 2. A lane alone ends at a third of the pool, a server alone at two thirds, whatever they ask for.
//! 3. What was given is given back once.

/// A server may hold this many times what is free: two thirds of the pool if it is alone.
const SERVER_SHARE: usize = 2;
/// A lane may hold what is free divided by this: a third of the pool if it is alone.
const LANE_SHARE: usize = 2;

/// The pool.
#[derive(Clone, Debug)]
pub(super) struct Credits {
    pool: usize,
    used: usize,
}

impl Credits {
    pub(super) fn new(pool_bytes: usize) -> Self {
        Self { pool: pool_bytes, used: 0 }
    }

    /// Bytes given out.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Takes `bytes` for a lane that holds `lane` bytes on a server that holds `server` bytes, if its shares allow it.
    pub(super) fn take(&mut self, bytes: usize, (lane, server): (usize, usize)) -> bool {
        let free = self.pool - self.used;
        let fits = bytes <= free
            && lane.saturating_add(bytes) <= free / LANE_SHARE
            && server.saturating_add(bytes) <= free.saturating_mul(SERVER_SHARE);
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "more given back than was given");
        self.used = self.used.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POOL: usize = 60_000;

    /// What lane `lane` of server `server` holds in the end if it takes all it can get, `step` bytes at a time.
    fn greedy(credits: &mut Credits, (lane, server): (&mut usize, &mut usize), step: usize) {
        while credits.take(step, (*lane, *server)) {
            *lane += step;
            *server += step;
        }
    }

    #[test]
    fn one_hot_lane_ends_at_a_third_of_the_pool() {
        let mut credits = Credits::new(POOL);
        let (mut lane, mut server) = (0, 0);
        greedy(&mut credits, (&mut lane, &mut server), 100);
        assert!((POOL / 3 - 200..=POOL / 3).contains(&lane), "{lane}");
    }

    #[test]
    fn a_silent_server_of_many_lanes_leaves_a_third_to_the_others() {
        let mut credits = Credits::new(POOL);
        let mut lanes = vec![0; 50];
        let mut server = 0;
        for _ in 0..100 {
            lanes.iter_mut().for_each(|lane| {
                if credits.take(100, (*lane, server)) {
                    *lane += 100;
                    server += 100;
                }
            });
        }
        assert!((POOL * 2 / 3 - 300..=POOL * 2 / 3).contains(&server), "{server}");
        assert!(credits.take(100, (0, 0)), "another server still gets its credits");
    }

    #[test]
    fn several_silent_servers_never_leave_nothing() {
        let mut credits = Credits::new(POOL);
        for _ in 0..8 {
            let mut server = 0;
            for _ in 0..20 {
                greedy(&mut credits, (&mut 0, &mut server), 1);
            }
        }
        assert!(credits.used() < POOL);
        assert!(credits.take(1, (0, 0)) || credits.pool - credits.used < 2);
    }

    proptest! {
        /// The model: a list of what everybody holds.
        #[test]
        fn what_is_used_is_what_is_held_and_never_more_than_the_pool(
            steps in prop::collection::vec((0_usize..4, 0_usize..4, 1_usize..5000, any::<bool>()), 1..300)
        ) {
            let mut credits = Credits::new(POOL);
            let mut held: Vec<(usize, usize, usize)> = Vec::new();
            for (server, lane, bytes, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    let (.., bytes) = held.swap_remove(bytes % held.len());
                    credits.give_back(bytes);
                } else {
                    let of_server: usize = held.iter().filter(|it| it.0 == server).map(|it| it.2).sum();
                    let of_lane: usize =
                        held.iter().filter(|it| it.0 == server && it.1 == lane).map(|it| it.2).sum();
                    let free = POOL - held.iter().map(|it| it.2).sum::<usize>();
                    let fits = of_lane + bytes <= free / 2 && of_server + bytes <= free * 2 && bytes <= free;
                    prop_assert_eq!(credits.take(bytes, (of_lane, of_server)), fits);
                    if fits {
                        held.push((server, lane, bytes));
                    }
                }
                prop_assert_eq!(credits.used(), held.iter().map(|it| it.2).sum::<usize>());
                prop_assert!(credits.used() <= POOL);
            }
        }
    }
}
