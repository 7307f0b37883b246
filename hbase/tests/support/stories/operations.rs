//! What operators do: families, regions, snapshots, namespaces, switches.

use bytes::Bytes;
use hbase::client::Client;
use hbase::client::admin::{CompactionState, Family, Namespace, RegionsAfter, Switch, TableDescriptor};
use hbase::error::Error;
use hbase::mutation::{Delete, Durability, Put};
use hbase::scan::{Get, Scan, Versions, Visibility};
use hbase::table_name::TableName;

use super::{block, keys, rows};

fn class(error: &Error) -> &str {
    match error {
        Error::Refused(exception) => exception.simple_class(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn families_come_change_and_go(client: Client, table: TableName) {
    let admin = client.admin();
    client.write(&table, &block(0..700, 1), Durability::SyncWal).await.expect("written");
    admin.add_family(&table, &Family::new("g").with("VERSIONS", "2")).await.expect("added");
    client.mutate(&table, &Put::new("r00650").cell(("g", "q"), 1, "x").into()).await.expect("written");
    let again = admin.add_family(&table, &Family::new("g")).await.expect_err("it is there");
    assert_eq!(class(&again), "InvalidFamilyOperationException");
    admin.modify_family(&table, &Family::new("g").with("VERSIONS", "7")).await.expect("modified");
    let described = admin.describe_table(&table).await.expect("an answer").expect("the table");
    assert_eq!(described.families[1].attribute("VERSIONS"), Some("7"));
    admin.drop_family(&table, "g").await.expect("dropped");
    let cells = client.get(&table, &Get::new("r00650")).await.expect("a row");
    assert!(cells.iter().all(|cell| cell.family == "f"), "{cells:?}");
    let gone = admin.drop_family(&table, "g").await.expect_err("it is gone");
    assert_eq!(class(&gone), "InvalidFamilyOperationException");
    let two = TableDescriptor {
        name: table.clone(),
        families: vec![described.families[0].clone().with("VERSIONS", "5"), Family::new("h")],
    };
    admin.alter_table(&two).await.expect("altered");
    let described = admin.describe_table(&table).await.expect("an answer").expect("the table");
    let names: Vec<&str> = described.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!((names, described.families[0].attribute("VERSIONS")), (vec!["f", "h"], Some("5")));
    assert_eq!(rows(&client, &table, Scan::default()).await.len(), 700);
}

pub(crate) async fn a_truncated_table_is_empty_and_keeps_its_regions_or_not(client: Client, table: TableName) {
    let admin = client.admin();
    for (after, regions) in [(RegionsAfter::Stay, 3), (RegionsAfter::BecomeOne, 1)] {
        client.write(&table, &block(0..700, 1), Durability::SyncWal).await.expect("written");
        let in_service = admin.truncate_table(&table, after).await.expect_err("it is in service");
        assert_eq!(class(&in_service), "TableNotDisabledException");
        admin.disable_table(&table).await.expect("disabled");
        admin.truncate_table(&table, after).await.expect("emptied");
        assert_eq!(client.regions(&table).await.expect("regions").len(), regions);
        assert!(rows(&client, &table, Scan::default()).await.is_empty());
    }
}

pub(crate) async fn merged_regions_have_the_rows_of_both(client: Client, table: TableName) {
    client.write(&table, &block(0..1000, 1), Durability::SyncWal).await.expect("written");
    client.admin().merge(&table, b"r00100").await.expect("merged");
    let starts: Vec<Bytes> = client.regions(&table).await.expect("regions").into_iter().map(|it| it.start).collect();
    assert_eq!(starts, ["", "r00600"]);
    assert_eq!(rows(&client, &table, Scan::default()).await.len(), 1000);
    client.write(&table, &block(0..1000, 2), Durability::SyncWal).await.expect("written");
    let last = client.admin().merge(&table, b"r00700").await.expect_err("nothing is behind the last region");
    assert!(matches!(last, Error::RegionOffline { .. }), "{last:?}");
}

pub(crate) async fn a_major_compaction_drops_markers_and_what_they_mask(client: Client, table: TableName) {
    let admin = client.admin();
    client.write(&table, &block(0..2, 5), Durability::SyncWal).await.expect("written");
    admin.flush(&table).await.expect("flushed");
    client.mutate(&table, &Delete::new("r00000").at(5).into()).await.expect("deleted");
    admin.flush(&table).await.expect("flushed");
    let raw = || Scan { visibility: Visibility::Raw, versions: Versions::all(), ..Scan::default() };
    assert_eq!(keys(&rows(&client, &table, raw()).await), ["r00000", "r00001"]);
    admin.major_compact(&table).await.expect("asked");
    let compacted = async {
        loop {
            let is_idle = admin.compaction_state(&table).await.expect("a state") == CompactionState::None;
            if is_idle && keys(&rows(&client, &table, raw()).await) == ["r00001"] {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::OPERATION, compacted).await.expect("compacted");
    client.mutate(&table, &Put::new("r00000").cell(("f", "a"), 4, "late").into()).await.expect("written");
    assert_eq!(client.get(&table, &Get::new("r00000")).await.expect("a row").len(), 1, "a late value is back");
}

pub(crate) async fn a_snapshot_is_kept_cloned_and_restored(client: Client, table: TableName) {
    let admin = client.admin();
    client.write(&table, &block(0..700, 1), Durability::SyncWal).await.expect("written");
    let name = format!("s_{table}");
    admin.snapshot(&name, &table).await.expect("taken");
    let taken = admin.snapshot(&name, &table).await.expect_err("the name is taken");
    assert_eq!(class(&taken), "SnapshotExistsException");
    let listed = admin.list_snapshots().await.expect("snapshots");
    let found = listed.iter().find(|snapshot| snapshot.name == name).expect("it is listed");
    assert_eq!(found.table, table);
    assert!(found.created_ms > 0);
    client.write(&table, &block(0..800, 2), Durability::SyncWal).await.expect("written");
    let copy = TableName::new(&format!("{table}_copy"));
    admin.clone_snapshot(&name, &copy).await.expect("cloned");
    let cloned = rows(&client, &copy, Scan::default()).await;
    assert_eq!(cloned.len(), 700);
    assert!(cloned.iter().flatten().all(|cell| cell.timestamp == 1), "as it was when the snapshot was taken");
    assert_eq!(client.regions(&copy).await.expect("regions").len(), 3);
    assert!(admin.restore_snapshot(&name, &table).await.is_err(), "the table is in service");
    admin.disable_table(&table).await.expect("disabled");
    admin.restore_snapshot(&name, &table).await.expect("restored");
    admin.enable_table(&table).await.expect("enabled");
    assert_eq!(rows(&client, &table, Scan::default()).await.len(), 700);
    admin.delete_snapshot(&name).await.expect("deleted");
    let gone = admin.delete_snapshot(&name).await.expect_err("it is gone");
    assert_eq!(class(&gone), "SnapshotDoesNotExistException");
    admin.disable_table(&copy).await.expect("disabled");
    admin.drop_table(&copy).await.expect("dropped");
}

pub(crate) async fn namespaces_hold_tables(client: Client, table: TableName) {
    let admin = client.admin();
    let name = format!("n_{table}");
    let inside = TableName::new(&format!("{name}:t"));
    let descriptor = TableDescriptor { name: inside.clone(), families: vec![Family::new("f")] };
    let missing = admin.create_table(&descriptor, &[]).await.expect_err("no such namespace");
    assert_eq!(class(&missing), "NamespaceNotFoundException");
    let namespace = Namespace { configuration: vec![("k".to_owned(), "v".to_owned())], ..Namespace::new(&name) };
    admin.create_namespace(&namespace).await.expect("created");
    let again = admin.create_namespace(&namespace).await.expect_err("it is there");
    assert_eq!(class(&again), "NamespaceExistException");
    assert_eq!(admin.describe_namespace(&name).await.expect("an answer"), Some(namespace));
    let names: Vec<String> = admin.list_namespaces().await.expect("all").into_iter().map(|it| it.name).collect();
    assert!(["default", "hbase", name.as_str()].iter().all(|wanted| names.iter().any(|it| it == wanted)), "{names:?}");
    admin.create_table(&descriptor, &[]).await.expect("created");
    client.write(&inside, &block(0..3, 1), Durability::SyncWal).await.expect("written");
    assert_eq!(rows(&client, &inside, Scan::default()).await.len(), 3);
    let full = admin.drop_namespace(&name).await.expect_err("it has a table");
    assert_eq!(class(&full), "ConstraintException");
    admin.disable_table(&inside).await.expect("disabled");
    admin.drop_table(&inside).await.expect("dropped");
    admin.drop_namespace(&name).await.expect("dropped");
    assert_eq!(admin.describe_namespace(&name).await.expect("an answer"), None);
}

/// The switches are the cluster's: one story for all of them, so that no other test finds them off.
pub(crate) async fn the_cluster_tells_its_state_and_obeys_its_switches(client: Client, table: TableName) {
    let admin = client.admin();
    let before = admin.set_balancer(false).await.expect("off");
    assert!(!admin.is_balancer_on().await.expect("an answer"));
    assert!(!admin.balance().await.expect("an answer"), "a balancer that is off does not run");
    assert!(!admin.set_balancer(before).await.expect("back"));
    for switch in [Switch::Split, Switch::Merge] {
        assert!(admin.is_switch_on(switch).await.expect("an answer"));
        assert!(admin.set_switch(switch, true).await.expect("on"), "it was on");
    }
    client.write(&table, &block(0..700, 1), Durability::SyncWal).await.expect("written");
    let names: Vec<Bytes> = client.regions(&table).await.expect("regions").into_iter().map(|it| it.name).collect();
    let told = async {
        loop {
            let status = admin.cluster_status().await.expect("a status");
            assert!(!status.version.is_empty() && status.master.is_some() && !status.servers.is_empty());
            let loads: Vec<&Bytes> =
                status.servers.iter().flat_map(|server| &server.regions).map(|load| &load.region).collect();
            if names.iter().all(|name| loads.contains(&name)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::OPERATION, told).await.expect("every region has its load");
}
