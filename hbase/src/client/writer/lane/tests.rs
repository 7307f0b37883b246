//! Lanes against naive models.

use proptest::prelude::*;

use super::super::slice::tests::block;
use super::*;
use crate::mutation::Durability;

const NOW: Duration = Duration::from_millis(1);

/// Rows as a list: what a lane must give out, in this order.
fn rows_of(slices: &[Slice]) -> Vec<(u64, usize)> {
    slices.iter().flat_map(|slice| (0..slice.len()).map(|place| (slice.ticket, slice.callers_row(place)))).collect()
}

fn slice(ticket: TicketId, rows: usize, durability: Durability) -> Slice {
    let keys: Vec<String> = (0..rows).map(|row| format!("k{row:03}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    Slice::whole(block(&keys, 1), ticket, durability).expect("rows")
}

fn batch_of(slices: Vec<Slice>) -> Batch {
    let region = Region {
        name: "t,,1.".into(),
        start: Bytes::new(),
        end: Bytes::new(),
        server: "a:1".to_owned(),
        start_code: 1,
        sequence: 1,
    };
    let rows = slices.iter().map(Slice::len).sum();
    let bytes = slices.iter().map(Slice::bytes).sum();
    Batch { lane: LaneKey { table: 0, start: Bytes::new() }, region: Arc::new(region), slices, rows, bytes }
}

#[test]
fn halves_are_batches_of_their_own_and_hold_all_rows() {
    let mut lane = Lane::new(Bytes::new(), Duration::ZERO);
    let whole = batch_of(vec![slice(1, 3, Durability::SyncWal), slice(2, 4, Durability::SyncWal)]);
    let wanted = rows_of(&whole.slices);
    lane.push_front(whole.halves(), NOW);
    lane.push_back(slice(3, 5, Durability::SyncWal), NOW);
    let first = lane.take_batch((100, 1 << 20), NOW);
    let second = lane.take_batch((100, 1 << 20), NOW);
    assert_eq!((rows_of(&first), rows_of(&second)), (wanted[..3].to_vec(), wanted[3..].to_vec()));
    assert_eq!(rows_of(&lane.take_batch((100, 1 << 20), NOW)).len(), 5, "what came later goes by itself");
}

#[test]
fn cutting_ends_after_a_number_of_refusals_that_grows_with_the_logarithm() {
    let mut lane = Lane::new(Bytes::new(), Duration::ZERO);
    let mut refusals = 0;
    while lane.may_halve(4096) {
        refusals += 1;
    }
    assert_eq!(refusals, HALVINGS_FACTOR * 13 - 1);
    lane.forget_halvings();
    assert!(lane.may_halve(2), "a later refusal is a new story");
    assert!(!lane.may_halve(1), "one row has no halves");
}

proptest! {
    /// The model is the list of rows in the order in which they came.
    #[test]
    fn rows_leave_in_their_order_within_every_limit_however_often_they_come_back(
        steps in prop::collection::vec((0_u8..4, 1_usize..9, 1_usize..12, 1_usize..600), 1..60)
    ) {
        let mut lane = Lane::new(Bytes::new(), Duration::ZERO);
        let mut model: VecDeque<(u64, usize, Durability)> = VecDeque::new();
        let mut ticket = 0;
        for (action, rows, rows_max, bytes_max) in steps {
            if action == 0 || lane.is_empty() {
                ticket += 1;
                let durability = if rows % 2 == 0 { Durability::SyncWal } else { Durability::AsyncWal };
                lane.push_back(slice(ticket, rows, durability), NOW);
                model.extend((0..rows).map(|row| (ticket, row, durability)));
            } else if action == 3 && ticket > 1 {
                let gone = ticket / 2 + 1;
                let withdrawn = lane.withdraw(gone);
                prop_assert_eq!(withdrawn.rows, model.iter().filter(|row| row.0 == gone).count());
                model.retain(|row| row.0 != gone);
            } else {
                let batch = lane.take_batch((rows_max, bytes_max), NOW);
                let taken = rows_of(&batch);
                prop_assert!(!taken.is_empty() && taken.len() <= rows_max);
                let bytes: usize = batch.iter().map(Slice::bytes).sum();
                prop_assert!(bytes <= bytes_max || taken.len() == 1, "{} bytes of {}", bytes, bytes_max);
                let expected: Vec<_> = model.iter().take(taken.len()).map(|row| (row.0, row.1)).collect();
                prop_assert_eq!(&taken, &expected);
                let kinds: Vec<_> = model.iter().take(taken.len()).map(|row| row.2).collect();
                prop_assert!(kinds.windows(2).all(|pair| pair[0] == pair[1]), "one durability");
                if action == 1 {
                    model.drain(..taken.len());
                } else {
                    lane.push_front(batch, NOW);
                }
            }
            prop_assert_eq!(lane.rows, model.len());
            prop_assert_eq!(lane.bytes, lane.slices().map(Slice::bytes).sum::<usize>());
        }
    }
}
