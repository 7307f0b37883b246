//! Which servers the RPC registry asks, in which order, and when it asks for newer ones. Pure.
//!
//! The configured servers are only where it begins: masters and region servers come and go, and the cluster itself names
//! those that can be asked (`GetBootstrapNodes`, `RegistryEndpointsRefresher`).
//!
//! # Laws
//! 1. The configured servers stay in reserve: behind the learned ones, never forgotten. (Java forgets them.)
//! 2. Refreshes: first after 30 s, then every 300 s; after a connection failure at most once in 60 s.

use std::time::Duration;

/// First refresh (`hbase.client.bootstrap.initial_refresh_delay_secs` is 30 s).
const FIRST_REFRESH: Duration = Duration::from_secs(30);
/// Later ones (`hbase.client.bootstrap.refresh_interval_secs`).
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Least time between two, whatever happens (`hbase.client.bootstrap.min_secs_between_refreshes`).
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// The servers of an RPC registry. Times are since it was made.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    configured: Vec<String>,
    learned: Vec<String>,
    due_at: Duration,
    refreshed_at: Option<Duration>,
}

impl Endpoints {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self { configured, learned: Vec::new(), due_at: FIRST_REFRESH, refreshed_at: None }
    }

    /// The servers to ask, in an order by chance: every client begins elsewhere.
    pub(crate) fn order(&self, chance: u64) -> Vec<String> {
        let mut order = shuffled(self.learned.clone(), chance);
        let reserve = self.configured.iter().filter(|server| !self.learned.contains(server)).cloned().collect();
        order.extend(shuffled(reserve, chance));
        order
    }

    /// A server could not be reached.
    pub(crate) fn failed(&mut self, now: Duration) {
        let soonest = self.refreshed_at.map_or(now, |at| at + REFRESH_INTERVAL_MIN);
        self.due_at = self.due_at.min(soonest.max(now));
    }

    /// Whether to refresh now; if so, it counts as done.
    pub(crate) fn begin_refresh(&mut self, now: Duration) -> bool {
        if now < self.due_at {
            return false;
        }
        self.refreshed_at = Some(now);
        self.due_at = now + REFRESH_INTERVAL;
        true
    }

    /// What the cluster named; nothing is no news.
    pub(crate) fn learn(&mut self, servers: Vec<String>) {
        if !servers.is_empty() {
            self.learned = servers;
        }
    }
}

/// Fisher and Yates, by a xorshift generator.
fn shuffled(mut servers: Vec<String>, chance: u64) -> Vec<String> {
    let mut state = chance | 1;
    for behind in (1..servers.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        servers.swap(behind, (state % (behind as u64 + 1)) as usize);
    }
    servers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn servers(range: std::ops::Range<u8>) -> Vec<String> {
        range.map(|number| format!("s{number}:1")).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn refreshes_come_after_half_a_minute_and_then_every_five() {
        let mut endpoints = Endpoints::new(servers(0..3));
        let done: Vec<u64> = (0..1000).filter(|second| endpoints.begin_refresh(at(*second))).collect();
        assert_eq!(done, [30, 330, 630, 930]);
    }

    #[test]
    fn failures_bring_a_refresh_forward_but_not_within_a_minute() {
        let mut endpoints = Endpoints::new(servers(0..3));
        let mut done = Vec::new();
        for second in 0..200 {
            endpoints.failed(at(second));
            if endpoints.begin_refresh(at(second)) {
                done.push(second);
            }
        }
        assert_eq!(done, [0, 60, 120, 180]);
    }

    #[test]
    fn learned_servers_are_asked_first_and_configured_ones_stay_in_reserve() {
        let mut endpoints = Endpoints::new(servers(0..2));
        endpoints.learn(servers(1..4));
        endpoints.learn(Vec::new());
        let order = endpoints.order(7);
        assert_eq!(order.len(), 4);
        assert_eq!(order[3], "s0:1");
    }

    proptest! {
        #[test]
        fn an_order_has_every_server_once(count in 0_u8..12, chance: u64) {
            let order = Endpoints::new(servers(0..count)).order(chance);
            prop_assert_eq!(order.len(), usize::from(count));
            prop_assert_eq!(order.into_iter().collect::<BTreeSet<_>>().len(), usize::from(count));
        }
    }

    #[test]
    fn every_server_is_first_for_somebody() {
        let endpoints = Endpoints::new(servers(0..5));
        let mix = |chance: u64| chance.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let first: BTreeSet<String> =
            (0..200).filter_map(|chance| endpoints.order(mix(chance)).into_iter().next()).collect();
        assert_eq!(first.len(), 5);
    }
}
