//! The same records in other orders: what late, early and repeated delivery does to a model.

use crate::model::hash::splitmix64;

/// The items with these indices, in that order.
pub fn in_order<T: Clone>(items: &[T], order: &[usize]) -> Vec<T> {
    order.iter().filter_map(|index| items.get(*index)).cloned().collect()
}

/// The numbers below `count` in an order that follows from the seed alone.
#[must_use]
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = splitmix64(seed);
    for last in (1..count).rev() {
        state = splitmix64(state);
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_every_number_and_a_seed_names_one() {
        for seed in 0..100 {
            let mut order = shuffled(7, seed);
            assert_eq!(order, shuffled(7, seed));
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_ne!(shuffled(7, 1), shuffled(7, 2));
        assert_eq!(shuffled(0, 1), Vec::<usize>::new());
        assert_eq!(in_order(&['a', 'b'], &[1, 0]), ['b', 'a']);
    }
}
