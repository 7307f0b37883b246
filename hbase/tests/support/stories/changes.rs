//! Gets and changes of single rows.

use bytes::Bytes;
use hbase::cell::{Cell, LATEST_TIMESTAMP};
use hbase::client::Client;
use hbase::error::Error;
use hbase::filter::{CompareOperator, Filter};
use hbase::misuse::Misuse;
use hbase::mutation::{Append, Condition, Delete, Durability, Increment, Mutation, Put, counter};
use hbase::scan::{Get, Versions};
use hbase::table_name::TableName;

use super::block;

fn put(row: &'static str, qualifier: &'static str, timestamp: i64, value: &'static str) -> Mutation {
    Put::new(row).cell(("f", qualifier), timestamp, value).into()
}

fn show(cells: &[Cell]) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    cells.iter().map(|cell| format!("{}@{}={}", text(&cell.qualifier), cell.timestamp, text(&cell.value))).collect()
}

async fn all_versions(client: &Client, table: &TableName, row: &'static str) -> Vec<String> {
    let get = Get { versions: Versions::all(), ..Get::new(row) };
    show(&client.get(table, &get).await.expect("a row"))
}

pub(crate) async fn many_gets_are_answered_each_at_its_place(client: Client, table: TableName) {
    client.write(&table, &block(0..900, 5), Durability::SyncWal).await.expect("written");
    // Backwards, with rows that are not there and one get that is wrong.
    let mut gets: Vec<Get> = (0..1000).rev().map(|row| Get::new(format!("r{row:05}"))).collect();
    gets.push(Get::new(""));
    gets.push(Get { filter: Some(Filter::ColumnPrefix("b".into())), ..Get::new("r00001") });
    let results = client.get_all(&table, &gets).await;
    assert_eq!(results.len(), 1002);
    for (row, result) in (0..1000).rev().zip(&results) {
        let cells = result.as_ref().expect("an answer");
        let expected = if row < 900 { vec![format!("a@5=a{row}@5"), "b@5=".to_owned()] } else { Vec::new() };
        assert_eq!(show(cells), expected);
    }
    let misuse = results[1000].as_ref().expect_err("no row key");
    assert!(matches!(misuse, Error::Misuse { misuse: Misuse::EmptyRow, .. }), "{misuse:?}");
    assert_eq!(show(results[1001].as_ref().expect("an answer")), ["b@5="]);
    assert!(client.get_all(&table, &[]).await.is_empty());
}

pub(crate) async fn gets_that_do_not_fit_one_answer_are_asked_again(client: Client, table: TableName) {
    let names = ["large0", "large1", "large2", "large3", "large4"];
    let large = Bytes::from(vec![7; 5 << 20]);
    for row in names {
        let put = Put::new(row).cell(("f", "a"), 1, large.clone());
        client.mutate(&table, &put.into()).await.expect("written");
    }
    let results = client.get_all(&table, &names.map(Get::new)).await;
    for result in results {
        assert_eq!(result.expect("an answer")[0].value, large);
    }
}

pub(crate) async fn existence_is_told_without_cells(client: Client, table: TableName) {
    client.mutate(&table, &put("here", "q", 5, "x")).await.expect("written");
    assert!(client.exists(&table, &Get::new("here")).await.expect("an answer"));
    assert!(!client.exists(&table, &Get::new("there")).await.expect("an answer"));
    let earlier = Get { versions: Versions::between(0, 5), ..Get::new("here") };
    assert!(!client.exists(&table, &earlier).await.expect("an answer"));
}

pub(crate) async fn every_shape_of_delete_deletes_what_it_says(client: Client, table: TableName) {
    let shapes: [(Delete, &[&str]); 8] = [
        (Delete::new("r"), &[]),
        (Delete::new("r").at(2), &["a@3=3", "b@3=3"]),
        (Delete::new("r").family("f", LATEST_TIMESTAMP), &[]),
        (Delete::new("r").family("f", 1), &["a@3=3", "a@2=2", "b@3=3", "b@2=2"]),
        (Delete::new("r").family_version("f", 2), &["a@3=3", "a@1=1", "b@3=3", "b@1=1"]),
        (Delete::new("r").column(("f", "a"), 2), &["a@3=3", "b@3=3", "b@2=2", "b@1=1"]),
        (Delete::new("r").version(("f", "a"), 2), &["a@3=3", "a@1=1", "b@3=3", "b@2=2", "b@1=1"]),
        (Delete::new("r").version(("f", "a"), LATEST_TIMESTAMP), &["a@2=2", "a@1=1", "b@3=3", "b@2=2", "b@1=1"]),
    ];
    for (number, (delete, left)) in (0..).zip(shapes) {
        // Each shape in a table of its own, as markers stay.
        let own = TableName::new(&format!("{table}_{number}"));
        let mut descriptor = client.admin().describe_table(&table).await.expect("an answer").expect("the table");
        descriptor.name = own.clone();
        client.admin().create_table(&descriptor, &[]).await.expect("created");
        for (version, value) in [(1, "1"), (2, "2"), (3, "3")] {
            for qualifier in ["a", "b"] {
                client.mutate(&own, &put("r", qualifier, version, value)).await.expect("written");
            }
        }
        client.mutate(&own, &delete.clone().into()).await.expect("deleted");
        assert_eq!(all_versions(&client, &own, "r").await, left, "{delete:?}");
        client.admin().disable_table(&own).await.expect("disabled");
        client.admin().drop_table(&own).await.expect("dropped");
    }
}

pub(crate) async fn a_condition_decides_whether_a_row_changes(client: Client, table: TableName) {
    let tried = async |condition: Condition, value: &'static str| {
        let changed = client.check_and_mutate(&table, &condition, &put("c", "q", LATEST_TIMESTAMP, value)).await;
        changed.expect("an answer")
    };
    let compared = |operator, value: &'static str| Condition::Value {
        family: "f".into(),
        qualifier: "q".into(),
        operator,
        value: value.into(),
    };
    assert!(!tried(Condition::equal("f", "q", "m"), "no").await, "an absent column equals nothing");
    assert!(!tried(compared(NotEqual, "m"), "no").await, "nor does it differ");
    assert!(tried(Condition::absent("f", "q"), "m").await);
    assert!(!tried(Condition::absent("f", "q"), "no").await);
    assert!(tried(Condition::equal("f", "q", "m"), "m").await);
    use CompareOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    // The stored value is `m`.
    let cases = [
        (Less, [false, false, true]),
        (LessOrEqual, [false, true, true]),
        (Equal, [false, true, false]),
        (NotEqual, [true, false, true]),
        (GreaterOrEqual, [true, true, false]),
        (Greater, [true, false, false]),
    ];
    for (operator, expected) in cases {
        for (value, expected) in ["l", "m", "n"].into_iter().zip(expected) {
            assert_eq!(tried(compared(operator, value), "m").await, expected, "m {operator:?} {value}");
        }
    }
    let delete: Mutation = Delete::new("c").into();
    assert!(client.check_and_mutate(&table, &Condition::equal("f", "q", "m"), &delete).await.expect("an answer"));
    assert!(!client.exists(&table, &Get::new("c")).await.expect("an answer"));
}

pub(crate) async fn a_filter_is_a_condition_or_is_refused_by_old_servers(client: Client, table: TableName) {
    client.mutate(&table, &put("c", "q", 5, "m")).await.expect("written");
    let condition = |value: &'static str| Condition::Filter {
        filter: Filter::value("f", "q", CompareOperator::Equal, value),
        versions: Versions::default(),
    };
    match client.check_and_mutate(&table, &condition("m"), &put("c", "q", 6, "n")).await {
        Ok(changed) => {
            assert!(changed);
            assert_eq!(all_versions(&client, &table, "c").await, ["q@6=n", "q@5=m"]);
            assert!(
                !client.check_and_mutate(&table, &condition("m"), &put("c", "q", 7, "o")).await.expect("an answer")
            );
        }
        // Before 2.4.
        Err(error) => {
            assert!(error.chain().contains("a filter as a condition needs HBase 2.4"), "{}", error.chain());
            assert_eq!(all_versions(&client, &table, "c").await, ["q@5=m"]);
        }
    }
}

pub(crate) async fn mutations_of_a_row_are_made_together_or_not_at_all(client: Client, table: TableName) {
    let both = [put("m", "a", 5, "1"), Delete::new("m").column(("f", "b"), 9).into(), put("m", "b", 10, "2")];
    client.mutate(&table, &put("m", "b", 4, "old")).await.expect("written");
    client.mutate_row(&table, &both).await.expect("written");
    assert_eq!(all_versions(&client, &table, "m").await, ["a@5=1", "b@10=2"]);
    let unknown: Mutation = Put::new("m").cell(("g", "q"), 11, "x").into();
    let error = client.mutate_row(&table, &[put("m", "a", 11, "x"), unknown]).await.expect_err("no family g");
    let Error::RowRefused { exception, row, .. } = &error else { panic!("{error:?}") };
    assert_eq!((exception.simple_class(), row.as_str()), ("NoSuchColumnFamilyException", "m"));
    assert_eq!(all_versions(&client, &table, "m").await, ["a@5=1", "b@10=2"], "nothing was written");
    let more = [put("m", "a", 12, "3"), put("m", "c", 12, "3")];
    let held = client.check_and_mutate_row(&table, &Condition::equal("f", "a", "1"), &more).await;
    assert!(held.expect("an answer"));
    let again = client.check_and_mutate_row(&table, &Condition::equal("f", "a", "1"), &more).await;
    assert!(!again.expect("an answer"), "the condition has ended");
    assert_eq!(all_versions(&client, &table, "m").await, ["a@12=3", "a@5=1", "b@10=2", "c@12=3"]);
}

pub(crate) async fn counters_count_and_values_grow(client: Client, table: TableName) {
    let increment = Increment::new("n").add(("f", "x"), 5).add(("f", "y"), -2);
    let counters = |cells: Vec<Cell>| cells.iter().map(|cell| counter(cell).expect("a counter")).collect::<Vec<_>>();
    assert_eq!(counters(client.increment(&table, &increment).await.expect("added")), [5, -2]);
    assert_eq!(counters(client.increment(&table, &increment).await.expect("added")), [10, -4]);
    let append = Append::new("n").add(("f", "z"), "ab");
    client.append(&table, &append).await.expect("appended");
    assert_eq!(client.append(&table, &append).await.expect("appended")[0].value, "abab");
    client.mutate(&table, &put("n", "text", 1, "text")).await.expect("written");
    let error = client.increment(&table, &Increment::new("n").add(("f", "text"), 1)).await.expect_err("no counter");
    assert!(matches!(error, Error::RowRefused { .. }), "{error:?}");
}

pub(crate) async fn wrong_requests_name_table_region_row_and_remedy(client: Client, table: TableName) {
    let negative = client.mutate(&table, &put("w\u{1}", "q", -1, "x")).await.expect_err("below zero");
    let chain = negative.chain();
    assert!(chain.contains(table.as_str()) && chain.contains("w\\x01") && chain.contains("from 0 on"), "{chain}");
    let unknown = client.mutate(&table, &Put::new("w").cell(("nope", "q"), 1, "x").into()).await;
    let error = unknown.expect_err("no such family");
    let Error::RowRefused { region, .. } = &error else { panic!("{error:?}") };
    assert_eq!(region.len(), 32, "the region's hash");
    let chain = error.chain();
    assert!(chain.contains(table.as_str()) && chain.contains("add the family") && chain.contains("nope"), "{chain}");
    assert!(!error.is_transient());
    let unknown =
        Get { columns: vec![hbase::scan::Selection { family: "nope".into(), qualifier: None }], ..Get::new("w") };
    assert!(matches!(client.get(&table, &unknown).await, Err(Error::RowRefused { .. })));
    let missing = client.get(&TableName::new("nowhere"), &Get::new("w")).await.expect_err("no such table");
    assert!(matches!(missing, Error::TableMissing { .. }), "{missing:?}");
}
