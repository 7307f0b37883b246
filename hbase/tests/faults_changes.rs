//! Faults and limits of atomic, conditional and derived changes: the whole of a change or nothing of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hbase::cell::{Cell, CellKind};
use hbase::client::ClientConfig;
use hbase::error::Error;
use hbase::mutation::{Append, Condition as Check, Durability, Mutation, Put};
use hbase::scan::Visibility;
use hbase::server::{Change, Condition, Config, Reaction, Refusal, Rule};
use hbase::wire::cell_block;
use hbase::wire::message::{
    ActionMessage, MultiRequest, MultiResponse, MutationProto, RegionAction, RegionActionResult, RegionSpecifier,
};

use crate::support::raw::Raw;
use crate::support::world::{World, key, puts, run};

/// How a part of a Multi can be refused.
const PARTS: [fn(Refusal) -> Reaction; 3] = [Reaction::RefuseRegions, Reaction::RefuseActions, Reaction::Poison];

fn put(qualifier: &'static str, version: i64) -> Mutation {
    Put::new(key(1)).cell(("f", qualifier), version, "v").into()
}

/// Qualifier and version of every cell.
fn columns(world: &World) -> Vec<(String, i64)> {
    let cells = world.cluster.cells(&world.table, Visibility::Live);
    cells.iter().map(|cell| (String::from_utf8_lossy(&cell.qualifier).into_owned(), cell.timestamp)).collect()
}

fn at(version: i64) -> Vec<(String, i64)> {
    ["a", "b"].map(|qualifier| (qualifier.to_owned(), version)).into()
}

#[test]
fn atomic_changes_of_which_one_is_refused_change_nothing() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let (client, table) = (&world.client, &world.table);
        client.mutate_row(table, &[put("a", 1), put("b", 1)]).await.expect("written");
        let mut version = 1;
        for part in PARTS {
            let second = || Condition::method("Multi").and(Condition::actions(1..2));
            let is_v = Check::equal("f", "a", "v");
            let for_good = part(Refusal::new("constraint.ConstraintException"));
            let rule = world.cluster.inject_while(Rule::new(second(), for_good.clone()));
            let next = [put("a", version + 1), put("b", version + 1)];
            client.mutate_row(table, &next).await.expect_err("refused");
            client.check_and_mutate_row(table, &is_v, &next).await.expect_err("refused");
            assert_eq!((rule.hits(), columns(&world)), (2, at(version)), "{for_good:?}");
            drop(rule);
            let once = part(Refusal::new("RegionTooBusyException"));
            let rule = world.cluster.inject_while(Rule::new(second().first(1), once.clone()));
            assert!(client.check_and_mutate_row(table, &is_v, &next).await.expect("an answer"));
            version += 1;
            assert_eq!((rule.hits(), columns(&world)), (1, at(version)), "{once:?}");
        }
    });
}

#[test]
fn a_conditional_change_follows_a_region_that_moves_in_its_call() {
    run(async {
        let world = World::new(Config { region_servers: 2, ..Config::default() }, &[]).await;
        let (client, table) = (&world.client, &world.table);
        for (version, server) in [(1, 1), (2, 0)] {
            let next = [put("a", version), put("b", version)];
            let check = if version == 1 { Check::absent("f", "a") } else { Check::equal("f", "a", "v") };
            let moved = Change::Move { table: table.clone(), row: key(1).into(), server };
            for method in ["Multi", "Mutate"] {
                let rule = Rule::new(Condition::method(method).first(1), Reaction::Change(moved.clone()));
                let rule = world.cluster.inject_while(rule);
                let made = match method {
                    "Multi" => client.check_and_mutate_row(table, &check, &next).await,
                    _ => client.check_and_mutate(table, &Check::equal("f", "b", "v"), &next[0]).await,
                };
                assert_eq!((made.expect("an answer"), rule.hits()), (true, 1), "{method} to {server}");
            }
            assert_eq!(columns(&world), at(version));
        }
    });
}

/// Changes of one column of one row, in this order: kind and value. Their cells stand in the block.
async fn action(world: &World, changes: &[(i32, Vec<u8>)]) -> (RegionAction, Bytes) {
    let mut block = BytesMut::new();
    let mut actions = Vec::new();
    for (index, (kind, value)) in (0..).zip(changes) {
        let cell = Cell {
            row: key(1).into(),
            family: "f".into(),
            qualifier: "n".into(),
            timestamp: 1,
            kind: CellKind::Put,
            value: value.clone().into(),
        };
        cell_block::encode(&cell, &mut block);
        let mutation =
            MutationProto { mutate_type: Some(*kind), associated_cell_count: Some(1), ..MutationProto::default() };
        actions.push(ActionMessage { index: Some(index), mutation: Some(mutation), ..ActionMessage::default() });
    }
    let region = world.client.regions(&world.table).await.expect("regions").remove(0);
    let region = RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: region.name };
    (RegionAction { region, action: actions, ..RegionAction::default() }, block.freeze())
}

/// A Multi of one region, past the client.
async fn call(world: &World, action: RegionAction, block: &[u8]) -> RegionActionResult {
    let request = MultiRequest { region_action: vec![action], nonce_group: Some(1), ..MultiRequest::default() };
    let mut raw = Raw::open(&world.address().await, "ClientService").await;
    raw.call("Multi", &request, (block, 0)).await;
    let mut result = raw.message::<MultiResponse>().await.region_action_result.remove(0);
    result.result_or_exception.sort_by_key(|result| result.index);
    result
}

/// Which of these changes are refused.
async fn refused(world: &World, changes: &[(i32, Vec<u8>)]) -> Vec<bool> {
    let (action, block) = action(world, changes).await;
    let result = call(world, action, &block).await;
    result.result_or_exception.iter().map(|result| result.exception.is_some()).collect()
}

/// Increments of one row with nonces, all or none: by how much.
async fn increments(world: &World, amounts: &[Vec<u8>]) -> RegionActionResult {
    let changes: Vec<_> = amounts.iter().map(|amount| (MutationProto::INCREMENT, amount.clone())).collect();
    let (mut action, block) = action(world, &changes).await;
    action.atomic = Some(true);
    for (nonce, action) in (1..).zip(&mut action.action) {
        action.mutation.as_mut().expect("a mutation").nonce = Some(nonce);
    }
    call(world, action, &block).await
}

fn number(world: &World) -> Bytes {
    world.cluster.cells(&world.table, Visibility::Live)[0].value.clone()
}

#[test]
fn what_stands_before_an_increment_in_a_multi_is_written_before_it() {
    run(async {
        let world = World::new(Config { cell_bytes_max: 100, ..Config::default() }, &[]).await;
        let five = (MutationProto::PUT, 5_i64.to_be_bytes().to_vec());
        let one = (MutationProto::INCREMENT, 1_i64.to_be_bytes().to_vec());
        assert_eq!(refused(&world, &[five.clone(), one.clone(), one.clone()]).await, [false; 3]);
        assert_eq!(number(&world), 7_i64.to_be_bytes()[..]);
        // A cell that is too large refuses the puts that it is written with, and no more than those.
        let large = (MutationProto::PUT, vec![0; 100]);
        assert_eq!(refused(&world, &[five.clone(), large, one, five]).await, [true, true, false, false]);
        assert_eq!(number(&world), 8_i64.to_be_bytes()[..], "the increment has the newer time");
    });
}

#[test]
fn a_nonce_is_used_up_by_a_change_that_was_made_and_by_no_other() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let one = 1_i64.to_be_bytes().to_vec();
        let failed = increments(&world, &[one.clone(), b"no number".to_vec()]).await;
        assert!(failed.exception.is_some(), "{failed:?}");
        assert_eq!(columns(&world), []);
        for _ in 0..3 {
            let made = increments(&world, std::slice::from_ref(&one)).await;
            assert_eq!((made.exception, made.processed), (None, Some(true)));
            assert_eq!(number(&world), 1_i64.to_be_bytes()[..]);
        }
    });
}

#[test]
fn no_change_makes_a_cell_larger_than_the_longest() {
    run(async {
        // 32 bytes beside the value.
        let world = World::new(Config { cell_bytes_max: 60, ..Config::default() }, &[]).await;
        let (client, table) = (&world.client, &world.table);
        let grow = Append::new(key(1)).add(("f", "n"), "0123456789");
        for bytes in [10, 20] {
            assert_eq!(client.append(table, &grow).await.expect("appended")[0].value.len(), bytes);
        }
        client.append(table, &grow).await.expect_err("refused");
        let large = Put::new(key(1)).cell(("f", "b"), 1, vec![0; 29]).into();
        client.mutate(table, &large).await.expect_err("refused");
        client.mutate_row(table, &[put("a", 1), large]).await.expect_err("refused");
        assert_eq!((columns(&world).len(), number(&world).len()), (1, 20));
    });
}

#[test]
fn a_full_memstore_refuses_every_sort_of_change_until_the_table_is_flushed() {
    run(async {
        let config = Config { memstore_bytes_max: Some(1000), ..Config::default() };
        let operation_timeout = Duration::from_millis(200);
        let world = World::with(config, &[], |config| ClientConfig { operation_timeout, ..config }).await;
        let (client, table) = (&world.client, &world.table);
        client.write(table, &puts(0..30, 1), Durability::SyncWal).await.expect("written");
        let before = world.rows();
        let (next, absent) = ([put("a", 2)], Check::absent("f", "a"));
        let grow = Append::new(key(1)).add(("f", "a"), "v");
        let refused = [
            client.mutate(table, &next[0]).await,
            client.mutate_row(table, &next).await,
            client.check_and_mutate(table, &absent, &next[0]).await.map(|_| ()),
            client.check_and_mutate_row(table, &absent, &next).await.map(|_| ()),
            client.append(table, &grow).await.map(|_| ()),
        ];
        assert!(refused.iter().all(|made| matches!(made, Err(Error::TimedOut { .. }))), "{refused:?}");
        assert_eq!(world.rows(), before);
        client.admin().flush(table).await.expect("flushed");
        assert!(client.check_and_mutate_row(table, &absent, &next).await.expect("an answer"));
    });
}
