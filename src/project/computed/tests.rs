//! Expressions in columns, keys and versions, from the text of a topology to cells.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::driver::{Driver, Record};
use crate::model::key::KeyValue;
use crate::topology::load;

/// One model; `MODEL` is replaced by its key, version and columns.
const TOPOLOGY: &str = r#"
name = "t"
[kafka]
brokers = ["k:9092"]
[topic.t]
name = "t"
format = "json"
[model.m]
topic = "t"
table = "m"
MODEL
[cluster.c]
hbase = {registry = ["h:16000"]}
[dead_letter]
halt = true
"#;

const PLAIN: &str = "key = [{column = \"id\", as = \"u64\"}]\nversion = {column = \"v\"}\n";

fn driver(model: &str) -> Driver {
    let text = TOPOLOGY.replace("MODEL", model);
    let loaded = load::parse("t.toml", &text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Driver::new(&loaded.topology).expect("lanes")
}

fn mistakes(model: &str) -> String {
    let error = load::parse("t.toml", &TOPOLOGY.replace("MODEL", model), &|_| None).expect_err("a mistake");
    error.to_string()
}

/// The one column `f:q` of a model, for one event.
fn cell(column: &str, event: &str) -> Result<Option<Json>, String> {
    let mut driver =
        driver(&format!("{PLAIN}[model.m.columns]\n\"f:q\" = {column}\n\"f:id\" = {{from = \"id\", as = \"u64\"}}"));
    driver.pipe(Record::text("t", event));
    match driver.dead_letters() {
        [] => Ok(driver.table("m").expect("known").rows()[0].cell("f:q").cloned()),
        [letter] => Err(letter.cause.clone()),
        more => panic!("{more:?}"),
    }
}

#[test]
fn coalesce_takes_the_first_value_and_tells_null_from_absent() {
    let column = r#"{coalesce = ["nick", "name", {from = "number", is = "u64"}], as = "utf8"}"#;
    let of = |event: &str| cell(column, event);
    assert_eq!(of(r#"{"id":1,"v":1,"nick":"a","name":"b"}"#), Ok(Some(json!("a"))));
    assert_eq!(of(r#"{"id":1,"v":1,"nick":null,"name":"b"}"#), Ok(Some(json!("b"))));
    assert_eq!(of(r#"{"id":1,"v":1,"number":7}"#), Ok(Some(json!("7"))));
    assert_eq!(of(r#"{"id":1,"v":1,"nick":null}"#), Ok(Some(Json::Null)));
    assert_eq!(of(r#"{"id":1,"v":1}"#), Ok(None));
    let with_default = r#"{coalesce = ["nick", {value = "nobody"}], as = "utf8"}"#;
    assert_eq!(cell(with_default, r#"{"id":1,"v":1}"#), Ok(Some(json!("nobody"))));
}

#[test]
fn concat_joins_texts_and_is_absent_or_null_with_its_parts() {
    let column = r#"{concat = ["first", {value = "-"}, {coalesce = ["last", {value = "?"}]}, "id"], as = "utf8"}"#;
    let of = |event: &str| cell(column, event);
    assert_eq!(
        of(r#"{"id":18446744073709551615,"v":1,"first":"é","last":"b"}"#),
        Ok(Some(json!("é-b18446744073709551615")))
    );
    assert_eq!(of(r#"{"id":1,"v":1,"first":""}"#), Ok(Some(json!("-?1"))));
    assert_eq!(of(r#"{"id":1,"v":1,"first":null}"#), Ok(Some(Json::Null)));
    assert_eq!(of(r#"{"id":1,"v":1}"#), Ok(None));
}

#[test]
fn a_value_that_does_not_fit_is_bad_or_null_as_the_column_says() {
    let column = |unfit: &str| format!(r#"{{from = "n", is = "utf8", as = "u32", unfit = "{unfit}"}}"#);
    assert_eq!(cell(&column("bad"), r#"{"id":1,"v":1,"n":"42"}"#), Ok(Some(json!(42))));
    let cause = "model `m`: field `n` is \"4294967296\", which does not fit u32".to_owned();
    assert_eq!(cell(&column("bad"), r#"{"id":1,"v":1,"n":"4294967296"}"#), Err(cause));
    assert_eq!(cell(&column("null"), r#"{"id":1,"v":1,"n":"4294967296"}"#), Ok(Some(Json::Null)));
    assert_eq!(cell(&column("bad"), r#"{"id":1,"v":1}"#), Ok(None), "an absent field stays absent");
    assert_eq!(cell(r#"{from = "f", is = "f64", as = "i64"}"#, r#"{"id":1,"v":1,"f":-2.0}"#), Ok(Some(json!(-2))));
    let cause = "model `m`: field `f` is 2.5, which does not fit i64".to_owned();
    assert_eq!(cell(r#"{from = "f", is = "f64", as = "i64"}"#, r#"{"id":1,"v":1,"f":2.5}"#), Err(cause));
    assert_eq!(cell(r#"{from = "n", is = "i64", as = "utf8"}"#, r#"{"id":1,"v":1,"n":-7}"#), Ok(Some(json!("-7"))));
}

#[test]
fn a_part_that_was_not_needed_makes_no_event_bad() {
    let column = r#"{coalesce = ["n", {from = "text", is = "utf8"}], as = "u64"}"#;
    assert_eq!(cell(column, r#"{"id":1,"v":1,"n":3,"text":"x"}"#), Ok(Some(json!(3))));
    let cause = "model `m`: field `text` is \"x\", which does not fit u64".to_owned();
    assert_eq!(cell(column, r#"{"id":1,"v":1,"text":"x"}"#), Err(cause));
}

#[test]
fn events_that_the_model_does_not_want_are_filtered_whatever_they_hold() {
    let model = format!(
        "{PLAIN}when = \"type = 'a'\"\n[model.m.columns]\n\"f:q\" = {{from = \"n\", is = \"utf8\", as = \"u64\"}}"
    );
    let mut driver = driver(&model);
    driver.pipe(Record::text("t", r#"{"id":1,"v":1,"type":"b","n":"x"}"#));
    driver.pipe(Record::text("t", r#"{"id":2,"v":1,"type":"a","n":"x"}"#));
    assert_eq!((driver.counts().filtered, driver.dead_letters().len()), (1, 1));
    assert_eq!(driver.dead_letters()[0].offset.0, 1);
}

#[test]
fn keys_salts_and_versions_are_made_of_expressions_too() {
    let mut driver = driver(
        r#"
        key = [
            {salt = {coalesce = ["id", "old_id"]}, buckets = 16, as = "u64"},
            {coalesce = ["id", "old_id"], as = "u64", order = "descending"},
            {concat = ["tenant", {value = "/"}, "region"], as = "utf8", delimiter = "|"},
            {column = "n", is = "utf8", as = "i32"},
        ]
        version = {coalesce = ["version", "v"]}
        [model.m.columns]
        "f:kind" = {value = 7, as = "u32"}
        "#,
    );
    let events = [
        r#"{"id":5,"tenant":"t","region":"eu","n":"-3","version":9}"#,
        r#"{"old_id":5,"tenant":"t","region":"eu","n":"-3","v":11}"#,
    ];
    driver.pipe_all(events.map(|event| Record::text("t", event)));
    let rows = driver.table("m").expect("known").rows();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.key[0], crate::model::hash::bucket(crate::model::value::Value::U64(5), 16));
    let fields: Vec<&KeyValue> = row.key_fields.iter().map(|(_, value)| value).collect();
    assert_eq!(fields, [&KeyValue::U64(5), &KeyValue::Text("t/eu".to_owned()), &KeyValue::I32(-3)]);
    assert_eq!((row.cell("f:kind"), row.version("f:kind")), (Some(&json!(7)), Some(11)));
    for bad in [r#"{"tenant":"t","region":"eu","n":"1","v":1}"#, r#"{"id":5,"tenant":"t","region":"eu","n":"1"}"#] {
        driver.pipe(Record::text("t", bad));
    }
    let causes: Vec<&str> = driver.dead_letters().iter().map(|letter| letter.cause.as_str()).collect();
    assert!(causes[0].contains("field `coalesce(id, old_id)` is missing (needed for the row key)"), "{causes:?}");
    assert!(causes[1].contains("is missing (needed for the version)"), "{causes:?}");
}

#[test]
fn what_is_no_expression_is_a_mistake_when_it_is_loaded() {
    let column = |column: &str| mistakes(&format!("{PLAIN}[model.m.columns]\n\"f:q\" = {column}"));
    let cases = [
        (
            r#"{from = "a", value = "x", as = "utf8"}"#,
            "must say one of `from`, `value`, `coalesce`, `concat`, but says 2",
        ),
        (r#"{as = "utf8"}"#, "but says 0"),
        (r#"{value = "x", as = "u64"}"#, "is no constant of type u64"),
        (r#"{value = 300, as = "bytes"}"#, "is no constant of type bytes"),
        (r#"{value = -1, as = "u32"}"#, "is no constant of type u32"),
        (r#"{coalesce = [], as = "utf8"}"#, "must have 1 to 64 parts"),
        (r#"{concat = [{frm = "a"}], as = "utf8"}"#, "did you mean `from`?"),
        (r#"{from = "j", is = "json", as = "u64"}"#, "`j` is json, which cannot become u64"),
        (r#"{coalesce = ["a"], is = "utf8", as = "u64"}"#, "is only for a field"),
        (r#"{from = "a", as = "u64", unfit = "drop"}"#, "has no value `drop`"),
        (r#"{coalesce = [{from = "id", is = "utf8"}], as = "u64"}"#, "field `id` is utf8 here, but u64 at"),
    ];
    for (text, expected) in cases {
        let said = column(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let deep = (0..9).fold("\"a\"".to_owned(), |inner, _| format!("{{coalesce = [{inner}]}}"));
    assert!(column(&format!("{{coalesce = [{deep}], as = \"utf8\"}}")).contains("nested at most 8 deep"));
    let said = mistakes(
        "key = [{concat = [{value = \"x\"}], as = \"utf8\"}]\nversion = {column = \"v\"}\n[model.m.columns]\n\"f:q\" = {from = \"a\", as = \"u64\"}",
    );
    assert!(said.contains("the row key holds no field"), "{said}");
}

#[test]
fn describe_shows_expressions_and_how_they_can_fail() {
    let model = format!(
        "{PLAIN}[model.m.columns]\n\"f:a\" = {{from = \"n\", is = \"utf8\", as = \"u32\"}}\n\
         \"f:b\" = {{coalesce = [\"n\", {{value = \"it's\"}}], as = \"utf8\"}}\n\
         \"f:c\" = {{from = \"n\", is = \"utf8\", as = \"i64\", unfit = \"null\"}}\n\"f:d\" = {{value = 7, as = \"u32\"}}"
    );
    let text = TOPOLOGY.replace("MODEL", &model);
    let described = load::parse("t.toml", &text, &|_| None).expect("legal").topology.describe();
    for line in [
        "f:a = u32(n, else bad) u32",
        "f:b = coalesce(n, 'it''s') utf8",
        "f:c = i64(n, else null) i64",
        "f:d = u32(7) u32",
    ] {
        assert!(described.contains(line), "{line} in {described}");
    }
}

fn events() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![Just("null".to_owned()), "\"[0-9x]{0,3}\"".prop_map(|text| text)];
    let event = (0..4_u32, 0..6_u32, proptest::option::of(text.clone()), proptest::option::of(text)).prop_map(
        |(id, version, a, b)| {
            let field = |name: &str, value: Option<String>| {
                value.map(|value| format!(",\"{name}\":{value}")).unwrap_or_default()
            };
            format!("{{\"id\":{id},\"v\":{version}{}{}}}", field("a", a), field("b", b))
        },
    );
    proptest::collection::vec(event, 0..12)
}

proptest! {
    #[test]
    fn where_batches_end_changes_no_cell_and_no_letter(events in events(), batch in 1..8_usize) {
        let model = format!(
            "{PLAIN}[model.m.columns]\n\"f:a\" = {{concat = [\"a\", {{value = \"|\"}}, \"b\"], as = \"utf8\"}}\n\
             \"f:b\" = {{coalesce = [\"a\", \"b\"], as = \"u32\"}}\n\
             \"f:c\" = {{from = \"a\", is = \"utf8\", as = \"i32\", unfit = \"null\"}}"
        );
        let run = |batch: usize| {
            let mut driver = driver(&model);
            driver.set_batch_records(batch);
            driver.pipe_all(events.iter().map(|event| Record::text("t", event)));
            (driver.table("m").expect("known").rows(), driver.dead_letters().to_vec())
        };
        prop_assert_eq!(run(batch), run(1));
    }
}
