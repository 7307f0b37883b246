use super::*;

use std::collections::BTreeSet;

use hbase::mutation::Durability;
use hbase::registry::Registry;
use hbase::security::{Authentication, Identity, Kerberos, Protection, Security, Tls};

use crate::model::key::{Direction, Extent, KeyColumn, KeyPart, Order};
use crate::topology::{DeadLetterStore, Setting};

const CHAT: &str = include_str!("../../../topology/chat.toml");
const STACK: &str = include_str!("../../../topology/stack.toml");

/// A topology without any mistake, to put mistakes into.
const SMALL: &str = r#"
name = "small"
[kafka]
brokers = ["k:9092"]
[topic.t]
name = "t"
format = "json"
[model.m]
topic = "t"
table = "m"
key = [{column = "id", as = "u64"}]
version = {column = "v"}
[model.m.columns]
"f:a" = {from = "a", as = "utf8"}
[cluster.c]
hbase = {registry = ["h:16000"]}
[dead_letter]
halt = true
"#;

fn environment(name: &str) -> Option<String> {
    (name == "BROKERS").then(|| "a:1, b:2".to_owned())
}

fn mistakes(text: &str) -> Vec<String> {
    match parse("t.toml", text, &environment) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.0.iter().map(ToString::to_string).collect(),
    }
}

/// The one mistake of [`SMALL`] with this change.
fn mistake(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    let found = mistakes(&SMALL.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{to}: {found:#?}");
    found.into_iter().next().unwrap_or_default()
}

fn loaded(from: &str, to: &str) -> Loaded {
    let text = SMALL.replacen(from, to, 1);
    parse("t.toml", &text, &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn good(from: &str, to: &str) -> Topology {
    loaded(from, to).topology
}

#[test]
fn the_examples_load_without_a_warning() {
    for (file, text) in [("chat.toml", CHAT), ("stack.toml", STACK), ("small.toml", SMALL)] {
        let loaded = parse(file, text, &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(loaded.warnings, [], "{file}");
    }
}

#[test]
fn the_chat_example_is_read_whole() {
    let topology = parse("chat.toml", CHAT, &environment).expect("the example has no mistake").topology;
    assert_eq!(topology.name, "chat");
    assert_eq!(topology.kafka.properties["client.rack"], Setting::Plain("local".into()));
    assert_eq!(topology.topics["receipts"].quoted_numbers, BTreeSet::from(["room_id".to_owned()]));
    let message = &topology.models["message"];
    let column = |field: &str, order| {
        let (field, data_type, extent) = (field.to_owned(), FieldType::U64, Extent::Fixed);
        KeyPart::Column(KeyColumn { field, data_type, extent, order, direction: Direction::Forward })
    };
    let salt = KeyPart::Salt { field: "room_id".into(), data_type: FieldType::U64, buckets: 16 };
    let expected = [salt, column("room_id", Order::Ascending), column("message_id", Order::Descending)];
    assert_eq!(message.key.parts, expected);
    assert_eq!(message.fields["version"], FieldType::I64);
    let names: Vec<String> = message.columns.iter().map(|one| one.name()).collect();
    assert_eq!(names, ["m:account", "m:body", "m:message", "m:room", "m:sent_at", "m:type"]);
    let receipt = &topology.models["receipt"];
    let expected = VersionRule::TimeSequence { time: "read_at".into(), sequence: "seq".into() };
    assert_eq!(receipt.version, expected);
    assert_eq!(receipt.fields["left"], FieldType::Bool);
    assert_eq!(receipt.fields["read_at"], FieldType::Utf8);
    assert_eq!(topology.tables["message"].splits, (1..16).map(|bucket| vec![bucket]).collect::<Vec<_>>());
    assert_eq!(topology.tables["receipt"].splits, [[0x40, 0], [0x80, 0], [0xc0, 0]]);
    assert_eq!(topology.clusters["green"].durability, Durability::AsyncWal);
    let quorum = vec!["127.0.0.1:2181".to_owned()];
    assert_eq!(topology.clusters["blue"].registry, Registry::ZooKeeper { quorum, znode: "/hbase".into() });
    assert_eq!(topology.dead_letter.to, DeadLetterStore::File("chat.dead-letters.jsonl".into()));
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    let text = SMALL
        .replacen("brokers =", "brokrs =", 1)
        .replacen("version = {column = \"v\"}\n", "", 1)
        .replacen("topic = \"t\"", "topic = \"tt\"", 1)
        .replacen("as = \"utf8\"", "as = \"string\"", 1);
    let found = mistakes(&text);
    assert_eq!(
        found,
        [
            "t.toml:3:2: `kafka` lacks `brokers`\n    brokers = [\"host:9092\"] or [\"env:KAFKA_BROKERS\"]",
            "t.toml:4:1: unknown key `brokrs` in `kafka`\n    did you mean `brokers`?",
            &format!("t.toml:8:8: `model.m` lacks `version`\n    {}", model::VERSION_HINT),
            "t.toml:9:9: topic `tt` does not exist\n    did you mean `t`?",
            "t.toml:13:27: `model.m.columns.f:a.as` has no value `string`\n    \
             known are `utf8`, `u64`, `i64`, `u32`, `i32`, `f64`, `bool`, `bytes`, `json`",
        ]
    );
}

#[test]
fn several_syntax_errors_are_reported_at_once() {
    let found = mistakes("name = \n[kafka\nbrokers = [\"a:1\"]\n");
    assert!(found.len() >= 2, "{found:#?}");
    assert!(found.iter().all(|mistake| mistake.contains("not TOML")), "{found:#?}");
    assert!(found[0].starts_with("t.toml:1:"), "{found:#?}");
}

#[test]
fn what_is_missing_altogether_is_named() {
    let found = mistakes("");
    let what: Vec<&str> = found.iter().filter_map(|mistake| mistake.lines().next()).collect();
    let expected = [
        "t.toml:1:1: the topology lacks `name`",
        "t.toml:1:1: the topology lacks `kafka`",
        "t.toml:1:1: the topology lacks `dead_letter`",
        "t.toml:1:1: the topology has no topic",
        "t.toml:1:1: the topology has no model",
        "t.toml:1:1: the topology has no cluster",
    ];
    assert_eq!(what, expected);
}

#[test]
#[rustfmt::skip]
fn each_mistake_says_what_and_where() {
    let key = r#"{column = "id", as = "u64"}"#;
    let version = r#"{column = "v"}"#;
    let hbase = r#"{registry = ["h:16000"]}"#;
    let cases = [
        ("\"small\"", r#""a b""#, "2:8: `a b` cannot be the name of a topology"),
        ("[kafka]", "colour = 1\n[kafka]", "3:1: unknown key `colour`"),
        ("[\"k:9092\"]", r#""k:9092""#, "4:11: `kafka.brokers` must be an array, but is a string"),
        ("[\"k:9092\"]", r#"["k"]"#, "4:12: `k` is not an address"),
        ("[\"k:9092\"]", "[]", "4:11: `kafka.brokers` is empty"),
        ("[\"k:9092\"]", r#"["env:NOT"]"#, "4:12: environment variable `NOT` is not set"),
        ("[topic.t]", "[kafka.properties]\n\"group.id\" = \"x\"\n[topic.t]", "6:1: property `group.id` is halcyon's own"),
        ("[topic.t]", "[kafka.properties]\n\"sasl.password\" = \"x\"\n[topic.t]", "6:19: property `sasl.password` is a secret"),
        ("[topic.t]", "[kafka.properties]\nlinger = 5\n[topic.t]", "6:10: `kafka.properties.linger` must be a string"),
        ("name = \"t\"", r#"name = "t/u""#, "6:8: `t/u` is not a name that Kafka takes for a topic"),
        ("\"json\"", r#""jsn""#, "7:10: `topic.t.format` has no value `jsn`"),
        ("\"json\"", "\"json\"\nstart = \"later\"", "8:9: `later` is no place to start"),
        ("\"json\"", "\"json\"\nstart = \"sink:d\"", "5:8: `topic.t` starts at sink `d`, which does not exist"),
        ("\"json\"", "\"json\"\nstart = {a = 1}", "8:10: `a` is no partition"),
        ("table = \"m\"", r#"table = "-m""#, "10:9: `-m` is not a name that HBase takes for a table"),
        ("[{column = \"id\", as = \"u64\"}]", "[]", "11:7: the row key has no parts"),
        (key, r#"{literal = "a"}"#, "11:7: the row key holds no field"),
        (key, r#"{column = "id", as = "u64", oder = "ascending"}"#, "11:36: unknown key `oder` in `model.m.key[0]`"),
        (key, r#"{column = "id", as = "f64"}"#, "11:29: a f64 cannot be part of a row key"),
        (key, r#"{column = "id", as = "u64", width = 3}"#, "11:36: `model.m.key[0].width` is only for utf8 and bytes; u64 has its width"),
        (key, r#"{column = "id", as = "utf8", order = "descending"}"#, "11:8: a descending text needs an end"),
        (key, r#"{column = "id", as = "utf8", delimiter = "ab"}"#, "11:49: a delimiter is one ASCII character"),
        ("key = [", r#"key = [{salt = "x", buckets = 300}, "#, "11:31: `model.m.key[0].buckets` must be 1 to 256, but is 300"),
        ("key = [", r#"key = [{salt = "x", buckets = 3}, "#, "11:16: the type of `x` is not stated anywhere"),
        (version, "{}", "12:1: `model.m.version` must say one of `column`, `coalesce`, `time` and `kafka`, but says 0"),
        (version, r#"{column = "a"}"#, "12:11: the version is made of `a`, which is utf8"),
        (version, r#"{kafka = "ofset"}"#, "12:20: `model.m.version.kafka` has no value `ofset`"),
        (version, r#"{column = "v", sequence = "s"}"#, "12:26: `model.m.version.sequence` is only for a version by `time`"),
        ("[model.m.columns]", "when = \"a = 5\"\n[model.m.columns]", "13:8: in the condition: `a` is utf8 and cannot be compared with 5"),
        ("[model.m.columns]", "when = \"a = \"\n[model.m.columns]", "13:13: in the condition: expected a value"),
        ("[model.m.columns]", "when = \"a\"\n[model.m.columns]", "13:8: in the condition: `a` stands alone, but is utf8"),
        ("[model.m.columns]", "delete = {as = \"marker\"}\n[model.m.columns]", "13:1: `model.m.delete` lacks `when`"),
        ("\"f:a\"", "\"fa\"", "14:1: `fa` is not a column"),
        ("\"f:a\"", "\"f:_deleted\"", "14:1: the qualifier `_deleted` is taken by the tombstones of deleted rows"),
        ("from = \"a\"", r#"from = "id""#, "14:1: field `id` is utf8 here, but u64 at t.toml:11"),
        ("from = \"a\"", r#"from = "a..b""#, "14:17: `a..b` is not the path of a field"),
        ("from = \"a\"", r#"from = "id.x""#, "14:1: field `id.x` is within `id`, which is read as a whole elsewhere"),
        (hbase, "{}", "16:1: `cluster.c.hbase` must say one of `zookeeper` and `registry`, but says neither"),
        (hbase, r#"{registry = ["h:1"], znode = "/x"}"#, "16:30: `znode` is only for `zookeeper`"),
        ("[dead_letter]", "tls = {certificate = \"a\", key = \"b\"}\n[dead_letter]", "17:1: `cluster.c.tls` lacks `ca`"),
        ("[dead_letter]", "tls = {ca = \"a\", key = \"b\"}\n[dead_letter]", "17:1: `cluster.c.tls` has `key` but lacks `certificate`"),
        ("[dead_letter]", "tls = {ca = \"env:UNSET_CA\"}\n[dead_letter]", "17:13: environment variable `UNSET_CA` is not set"),
        ("[dead_letter]", "tls = {ca = \"\"}\n[dead_letter]", "17:13: `cluster.c.tls.ca` is not the path of a file"),
        ("[dead_letter]", "kerberos = {}\n[dead_letter]", "17:1: `cluster.c.kerberos` lacks `principals`"),
        ("[dead_letter]", "kerberos = {principals = []}\n[dead_letter]", "17:26: `cluster.c.kerberos.principals` is empty"),
        ("[dead_letter]", "kerberos = {principals = [\"hbase\"]}\n[dead_letter]", "17:27: `hbase` is not the principal of a server"),
        ("[dead_letter]", "kerberos = {principals = [\"hbase/_HOST\"], protection = \"auth\"}\n[dead_letter]", "17:56: `cluster.c.kerberos.protection` has no value `auth`"),
        ("[dead_letter]", "durability = \"sync\"\n[dead_letter]", "17:14: `cluster.c.durability` has no value `sync`"),
        ("halt = true", "halt = true\nfile = \"x\"", "17:2: `dead_letter` must say one of `topic`, `file` and `halt`, but says 2"),
        ("halt = true", "halt = false", "18:8: `halt = false` says nothing"),
        ("halt = true", "halt = true\nbudget = {share = 2.0}", "19:19: `dead_letter.budget.share` must be 0 to 1, but is 2"),
        ("[cluster.c]", "[table.n]\n[cluster.c]", "15:8: no model writes table `n`"),
        ("[cluster.c]", "[table.m]\nregions = 4\n[cluster.c]", "16:11: 4 regions cannot be derived from the row key"),
        ("[cluster.c]", "[table.m]\nsplits = [\"02\", \"01\"]\n[cluster.c]", "16:17: split keys must ascend"),
        ("[cluster.c]", "[table.m]\nsplits = [\"0\"]\n[cluster.c]", "16:11: this is not a key"),
        ("[cluster.c]", "[table.m.family.g]\n[cluster.c]", "15:17: no model writes family `g` of this table"),
        ("[cluster.c]", "[table.m.family.f]\nttl = \"soon\"\n[cluster.c]", "16:7: `soon` is not a time to live"),
        ("[cluster.c]", "[topic.u]\nname = \"t\"\nformat = \"json\"\n[cluster.c]", "15:8: topic `t` of Kafka is already `topic.t`"),
    ];
    for (from, to, expected) in cases {
        let found = mistake(from, to);
        assert_eq!(found.lines().next(), Some(format!("t.toml:{expected}").as_str()), "{to}");
    }
}

#[test]
fn two_models_cannot_write_one_table() {
    let second = "[model.n]\ntopic = \"t\"\ntable = \"m\"\nkey = [{column = \"id\", as = \"u64\"}]\n\
                  version = {column = \"v\"}\n[model.n.columns]\n\"f:b\" = {from = \"b\", as = \"utf8\"}\n[cluster.c]";
    let found = mistake("[cluster.c]", second);
    assert!(found.starts_with("t.toml:17:9: table `m` is already written by `model.m`"), "{found}");
}

#[test]
#[rustfmt::skip]
fn doubtful_choices_are_warned_about() {
    let version = r#"{column = "v"}"#;
    let cases = [
        (version, r#"{kafka = "offset"}"#, "t.toml:12:1: versions are Kafka offsets"),
        (version, r#"{kafka = "timestamp"}"#, "t.toml:12:1: versions are Kafka timestamps"),
        ("[model.m.columns]", "delete = {when = \"gone\", as = \"marker\"}\n[model.m.columns]", "t.toml:13:1: deletes are HBase delete markers"),
        ("key = [", r#"key = [{salt = "x", buckets = 3, as = "u64"}, "#, "t.toml:11:9: the row key is salted by `x`"),
        ("[cluster.c]", "[table.m.family.f]\nttl = \"30d\"\n[cluster.c]", "t.toml:15:8: with `ttl`, HBase takes versions"),
    ];
    for (from, to, expected) in cases {
        let warnings = loaded(from, to).warnings;
        assert!(warnings.len() == 1 && warnings[0].to_string().starts_with(expected), "{to}: {warnings:#?}");
    }
}

#[test]
fn a_time_to_live_fits_only_versions_that_are_times() {
    let warnings = |version: &str| {
        let text = SMALL.replacen("{column = \"v\"}", version, 1).replacen(
            "[cluster.c]",
            "[table.m.family.f]\nttl = \"30d\"\n[cluster.c]",
            1,
        );
        parse("t.toml", &text, &environment).expect("a warning is no mistake").warnings
    };
    assert_eq!(warnings("{time = \"t\"}"), []);
    assert!(
        warnings("{time = \"t\", sequence = \"s\"}")[0].what.starts_with("a version of time and sequence is no time")
    );
}

#[test]
fn addresses_come_from_the_environment() {
    let topology = good("[\"k:9092\"]", "[\"k:9092\", \"env:BROKERS\"]");
    assert_eq!(topology.kafka.brokers, ["k:9092", "a:1", "b:2"]);
}

#[test]
fn a_cluster_is_secured_as_it_says() {
    let security = |text: &str| good("[dead_letter]", &format!("{text}\n[dead_letter]")).clusters["c"].security.clone();
    assert_eq!(security(""), Security::default());
    let tls =
        security(r#"tls = {ca = "/ca.pem", certificate = "env:BROKERS", key = "file:/c.key", server_name = "n"}"#).tls;
    let identity = Identity { certificate: "a:1, b:2".into(), key: "/c.key".into() };
    assert_eq!(tls, Some(Tls { identity: Some(identity), server_name: Some("n".into()), ..Tls::new("/ca.pem") }));
    let kerberos = security(r#"kerberos = {principals = ["hbase/_HOST@R"], client = "c@R", protection = "privacy"}"#);
    let expected =
        Kerberos { client: Some("c@R".into()), protection: Protection::Privacy, ..Kerberos::new("hbase/_HOST@R") };
    assert_eq!(kerberos.authentication, Authentication::Kerberos(expected));
}

#[test]
fn all_places_to_start_are_read() {
    let start = |text: &str| good("\"json\"", &format!("\"json\"\nstart = {text}")).topics["t"].start.clone();
    assert_eq!(start("\"earliest\""), Some(Start::Earliest));
    assert_eq!(start("\"latest\""), Some(Start::Latest));
    assert_eq!(start("2026-11-01T00:00:00Z"), Some(Start::Time(1_793_491_200_000)));
    assert_eq!(start("\"2026-11-01T00:00:00Z\""), Some(Start::Time(1_793_491_200_000)));
    assert_eq!(start("{\"0\" = 1200, \"1\" = 1350}"), Some(Start::Offsets([(0, 1200), (1, 1350)].into())));
    assert_eq!(start("\"sink:c\""), Some(Start::Sink("c".into())));
    assert_eq!(good("\"json\"", "\"json\"").topics["t"].start, None);
}

#[test]
fn the_type_of_an_undeclared_field_follows_from_its_use() {
    let when = "kind = 'x' and size > 1.5 and n > 3 and gone is null and big = 18446744073709551615";
    let fields = good("[model.m.columns]", &format!("when = \"{when}\"\n[model.m.columns]")).models["m"].fields.clone();
    assert_eq!(fields["kind"], FieldType::Utf8);
    assert_eq!(fields["size"], FieldType::F64);
    assert_eq!(fields["n"], FieldType::I64);
    assert_eq!(fields["gone"], FieldType::Json);
    assert_eq!(fields["big"], FieldType::U64);
}

#[test]
fn regions_are_cut_evenly_from_the_salt() {
    let salted = SMALL.replacen("key = [", "key = [{salt = \"id\", buckets = 10}, ", 1);
    let splits = |table: &str| {
        let text = salted.replacen("[cluster.c]", &format!("{table}[cluster.c]"), 1);
        parse("t.toml", &text, &environment).expect("no mistake").topology.tables["m"].splits.clone()
    };
    assert_eq!(splits("").len(), 9);
    assert_eq!(splits("[table.m]\nregions = 3\n"), [[3], [6]]);
    assert_eq!(splits("[table.m]\nregions = 1\n"), Vec::<Vec<u8>>::new());
}

#[test]
fn the_files_of_a_folder_are_one_topology() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (head, tail) = SMALL.split_at(SMALL.find("[model.m]").expect("it is there"));
    std::fs::write(folder.path().join("a.toml"), head).expect("a file");
    std::fs::write(folder.path().join("b.toml"), tail).expect("a file");
    std::fs::write(folder.path().join("notes.txt"), "not a topology").expect("a file");
    let loaded = load(&[folder.path().to_owned()]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.topology.models.len(), 1);

    std::fs::write(folder.path().join("c.toml"), "[cluster.c]\nhbase = {registry = [\"h:1\"]}\n").expect("a file");
    let mistakes = load(&[folder.path().to_owned()]).expect_err("cluster c stands twice");
    let shown = mistakes.to_string();
    assert!(shown.contains("c.toml:1:10: `cluster.c` stands twice"), "{shown}");
    assert!(shown.contains("b.toml:8"), "{shown}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mistakes = load(&[PathBuf::from("no/such.toml")]).expect_err("it is not there");
    let shown = mistakes.to_string();
    assert!(shown.starts_with("1 mistake in the topology\nno/such.toml: cannot be read: "), "{shown}");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let mistakes = load(&[folder.path().to_owned()]).expect_err("it is empty");
    assert!(mistakes.to_string().contains("there is no topology file"), "{mistakes}");
}
