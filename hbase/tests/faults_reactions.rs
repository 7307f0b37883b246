//! Every class of exception at every place where a server can throw it, and what the client makes of it.

use std::time::Duration;

use hbase::client::WriteError;
use hbase::mutation::Durability;
use hbase::server::{Condition, Config, Reaction, Refusal, Rule};

use crate::support::world::{World, all_at, key, puts, run};

/// Where an exception stands.
const PLACES: [fn(Refusal) -> Reaction; 4] =
    [Reaction::Refuse, Reaction::RefuseRegions, Reaction::RefuseActions, Reaction::Poison];

/// Descendants of `DoNotRetryIOException` that a write may meet in any version; those that one bad row brings upon its
/// neighbours come below.
const FINAL: &[&str] = &[
    "ConcurrentTableModificationException",
    "InvalidFamilyOperationException",
    "NamespaceExistException",
    "NamespaceNotFoundException",
    "NotAllMetaRegionsOnlineException",
    "ReadOnlyTransitionException",
    "ReplicationPeerNotFoundException",
    "TableExistsException",
    "TableNotDisabledException",
    "TableNotEnabledException",
    "TableNotFoundException",
    "UnknownRegionException",
    "WriteAttemptedOnReadOnlyClusterException",
    "client.DoNotRetryRegionException",
    "client.NoServerForRegionException",
    "client.OperationTimeoutExceededException",
    "constraint.ConstraintException",
    "coprocessor.CoprocessorException",
    "exceptions.MasterStoppedException",
    "exceptions.MergeRegionException",
    "exceptions.RequestTooBigException",
    "exceptions.UnknownProtocolException",
    "io.hfile.CorruptHFileException",
    "ipc.BadAuthException",
    "ipc.EmptyServiceNameException",
    "ipc.FatalConnectionException",
    "ipc.ServerTooBusyException",
    "ipc.StoppedRpcClientException",
    "ipc.UnknownServiceException",
    "ipc.UnsupportedCellCodecException",
    "ipc.UnsupportedCompressionCodecException",
    "ipc.UnsupportedCryptoException",
    "ipc.WrongVersionException",
    "quotas.QuotaExceededException",
    "quotas.ThrottlingException",
    "regionserver.InvalidMutationDurabilityException",
    "regionserver.NoSuchColumnFamilyException",
    "security.AccessDeniedException",
    "security.visibility.InvalidLabelException",
    "security.visibility.LabelAlreadyExistsException",
    "snapshot.CorruptedSnapshotException",
    "snapshot.ExportSnapshotException",
    "snapshot.HBaseSnapshotException",
    "snapshot.RestoreSnapshotException",
    "snapshot.SnapshotCreationException",
    "snapshot.SnapshotDoesNotExistException",
    "snapshot.SnapshotExistsException",
    "snapshot.SnapshotTTLExpiredException",
    "snapshot.UnknownSnapshotException",
];

/// Final classes that the server's checks copy from one row onto all that came with it.
const COPIED: &[&str] =
    &["DoNotRetryIOException", "client.RowTooBigException", "exceptions.FailedSanityCheckException"];

/// Whether the place of the region stays known after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Kept,
    Dropped,
}

fn transient() -> Vec<(Refusal, Known)> {
    let kept = [
        "RegionTooBusyException",
        "PleaseHoldException",
        "exceptions.RegionOpeningException",
        "CallQueueTooBigException",
        "CallDroppedException",
        "RetryImmediatelyException",
        "MultiActionResultTooLarge",
        "java.io.IOException",
        "of.the.FutureException",
    ];
    let dropped = [
        "NotServingRegionException",
        "exceptions.RegionMovedException",
        "regionserver.RegionServerStoppedException",
        "regionserver.RegionServerAbortedException",
        "ipc.ServerNotRunningYetException",
    ];
    let throttled = (Refusal::throttled(Duration::from_millis(30)), Known::Kept);
    let kept = kept.map(|class| (Refusal::new(class), Known::Kept));
    let dropped = dropped.map(|class| (Refusal::new(class), Known::Dropped));
    kept.into_iter().chain([throttled]).chain(dropped).collect()
}

fn refused(error: WriteError) -> (Vec<usize>, String) {
    match error {
        WriteError::Refused { rows, exception, .. } => (rows, exception.class),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_transient_refusal_anywhere_is_outlived_and_costs_a_look_up_only_if_the_place_is_in_doubt() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let mut version = 0;
        world.client.write(&world.table, &puts(0..10, version), Durability::SyncWal).await.expect("the place is known");
        for (refusal, known) in transient() {
            for at in PLACES {
                version += 1;
                let before = world.cluster.counts();
                let condition = Condition::table(&world.table).and(Condition::rows(key(4), key(5)));
                let rule = world.cluster.inject_while(Rule::new(condition.first(1), at(refusal.clone())));
                let report = world.client.write(&world.table, &puts(0..10, version), Durability::SyncWal).await;
                let report = report.unwrap_or_else(|error| panic!("{refusal:?}: {error:?}"));
                assert_eq!((rule.hits(), report.rows, report.calls), (1, 10, 2), "{refusal:?}");
                assert_eq!(world.rows(), all_at(0..10, version), "{refusal:?}");
                let look_ups = world.cluster.counts().meta_scans - before.meta_scans;
                assert_eq!(look_ups, u64::from(known == Known::Dropped), "look-ups after {refusal:?}");
            }
        }
    });
}

#[test]
fn a_hint_is_followed_without_a_look_up() {
    run(async {
        let world = World::new(Config { region_servers: 2, ..Config::default() }, &[]).await;
        world.client.write(&world.table, &puts(0..10, 1), Durability::SyncWal).await.expect("the place is known");
        let before = world.cluster.counts();
        let old = world.client.regions(&world.table).await.expect("regions").remove(0).server;
        let is_elsewhere = |server| {
            world.cluster.move_region(&world.table, b"", server);
            server
        };
        let addresses = async |server| {
            is_elsewhere(server);
            world.address().await
        };
        let server = if addresses(0).await == old { 1 } else { 0 };
        is_elsewhere(server);
        let own_look_ups = world.cluster.counts().meta_scans - before.meta_scans;
        world.client.write(&world.table, &puts(0..10, 2), Durability::SyncWal).await.expect("written");
        let after = world.cluster.counts();
        assert_eq!((after.meta_scans - before.meta_scans, after.multis - before.multis), (own_look_ups, 2));
    });
}

#[test]
fn a_final_refusal_of_a_call_or_a_region_ends_the_write_at_once() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        world.client.write(&world.table, &puts(0..1, 1), Durability::SyncWal).await.expect("the place is known");
        for class in FINAL {
            for at in [Reaction::refuse(class), Reaction::refuse_regions(class)] {
                let before = world.cluster.counts();
                let rule = world.cluster.inject_while(Rule::new(Condition::table(&world.table), at));
                let written = world.client.write(&world.table, &puts(0..10, 2), Durability::SyncWal).await;
                let (rows, found) = refused(written.expect_err("refused"));
                assert_eq!((rows, found), ((0..10).collect(), format!("org.apache.hadoop.hbase.{class}")));
                let look_ups = world.cluster.counts().meta_scans - before.meta_scans;
                assert_eq!((rule.hits(), look_ups), (1, 0), "one try, no look-up after {class}");
            }
        }
        assert_eq!(world.rows(), all_at(0..1, 1));
    });
}

#[test]
fn a_final_refusal_of_an_action_names_its_row_and_spares_the_others() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let mut version = 0;
        for class in FINAL.iter().chain(COPIED) {
            version += 1;
            let of_row = Condition::rows(key(4), key(5));
            let rule = world.cluster.inject_while(Rule::new(of_row, Reaction::refuse_actions(class)));
            let written = world.client.write(&world.table, &puts(0..10, version), Durability::SyncWal).await;
            assert_eq!(refused(written.expect_err("refused")).0, [4], "{class}");
            assert_eq!(rule.hits(), 1, "{class}");
            let written: Vec<_> = all_at(0..10, version).into_iter().filter(|(row, _)| *row != key(4)).collect();
            assert_eq!(world.rows(), written, "{class}");
        }
    });
}

#[test]
fn a_flag_of_the_server_makes_an_unknown_class_final() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let refusal = Refusal::new("of.the.FutureException").with_do_not_retry(true);
        world.cluster.inject(Rule::new(Condition::method("Multi"), Reaction::Refuse(refusal)));
        let written = world.client.write(&world.table, &puts(0..10, 1), Durability::SyncWal).await;
        assert_eq!(refused(written.expect_err("refused")).0.len(), 10);
    });
}

#[test]
fn a_row_that_poisons_its_neighbours_is_found_by_halving() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let mut version = 0;
        for class in COPIED {
            version += 1;
            let before = world.cluster.counts();
            let poisonous = Condition::rows(key(100), key(101)).or(Condition::rows(key(301), key(302)));
            let _rule = world.cluster.inject_while(Rule::new(poisonous, Reaction::Poison(Refusal::new(class))));
            let written = world.client.write(&world.table, &puts(0..512, version), Durability::SyncWal).await;
            assert_eq!(refused(written.expect_err("refused")).0, [100, 301], "{class}");
            let after = world.cluster.counts();
            assert_eq!(after.mutations - before.mutations, 510, "{class}: nothing that was taken is sent again");
            let written = world.rows().iter().filter(|(_, at)| *at == version).count();
            assert_eq!(written, 510, "{class}");
            // One region, one call at a time: the whole, two halves, and for each bad row the halves down to it.
            assert_eq!(after.multis - before.multis, 1 + 2 + 2 * 2 * 8, "{class}");
        }
    });
}

#[test]
fn a_master_that_is_not_there_yet_is_waited_for() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        for class in ["PleaseHoldException", "ipc.ServerNotRunningYetException"] {
            let rule = Rule::new(Condition::service("MasterService").first(2), Reaction::refuse(class));
            let rule = world.cluster.inject_while(rule);
            assert_eq!(
                world.client.admin().list_tables().await.expect("tables"),
                std::slice::from_ref(&world.table),
                "{class}"
            );
            assert_eq!(rule.hits(), 2);
        }
    });
}
