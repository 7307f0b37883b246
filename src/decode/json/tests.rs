//! The decoder against a naive reading of `serde_json::Value`, and against records that are none.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::decode::Decoder;
use crate::decode::events::Events;
use crate::decode::reading::Format;
use crate::model::batch::{RawBatch, RawRecord, Stage};
use crate::model::field::Field;
use crate::progress::offset::{Offset, Span, TopicPartition};

/// One field of every type, and two within objects.
fn fields() -> FieldSet {
    let field = |path: &str, data_type| Field { path: path.into(), data_type, quoted_number: path == "quoted" };
    let fields = vec![
        field("text", FieldType::Utf8),
        field("u64", FieldType::U64),
        field("i64", FieldType::I64),
        field("u32", FieldType::U32),
        field("i32", FieldType::I32),
        field("f64", FieldType::F64),
        field("bool", FieldType::Bool),
        field("bytes", FieldType::Bytes),
        field("json", FieldType::Json),
        field("quoted", FieldType::I64),
        field("o.a", FieldType::Utf8),
        field("o.p.q", FieldType::U32),
        field("o.p.r", FieldType::Bool),
    ];
    FieldSet::new(fields).expect("the fields agree")
}

fn json_decoder() -> Decoder {
    Decoder::new(Format::Json, fields()).expect("JSON has all of these fields")
}

fn batch(payloads: &[Option<&[u8]>]) -> RawBatch {
    let mut arena = Vec::new();
    let mut records = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let start = arena.len() as u32;
        arena.extend_from_slice(payload.unwrap_or_default());
        let payload = payload.map(|_| start..arena.len() as u32);
        records.push(RawRecord { offset: Offset(100 + index as i64), timestamp_ms: 5, key: None, payload });
    }
    RawBatch {
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        span: Span::new(Offset(100), Offset(101 + payloads.len() as i64)).expect("not empty"),
        records,
        arena,
        headers: Vec::new(),
    }
}

/// What a row says about each field, in slot order, as text that can be compared.
fn row(events: &Events, row: usize) -> Vec<String> {
    let slots = 0..events.fields().all().len();
    slots
        .map(|slot| match events.typed(slot).expect("every slot has a column").value(row) {
            Some(value) => format!("{value:?}"),
            None if events.explicit_nulls(slot).is_some_and(|bits| bits.value(row)) => "null".into(),
            None => "absent".into(),
        })
        .collect()
}

/// The only row of this payload, or why there is none.
fn decode(payload: &[u8]) -> Result<Vec<String>, String> {
    let mut bad = Vec::new();
    let events = json_decoder().decode(&batch(&[Some(payload)]), &mut bad);
    match bad.pop() {
        Some(bad) => {
            assert_eq!((events.len(), bad.record, bad.stage), (0, 0, Stage::Decode));
            Err(bad.cause)
        }
        None => Ok(row(&events, 0)),
    }
}

/// The fields of a payload that are not absent, by their paths.
fn said(payload: &str) -> Vec<String> {
    let row = decode(payload.as_bytes()).unwrap_or_else(|cause| panic!("{payload}: {cause}"));
    let fields = fields();
    let said = fields.all().iter().zip(row).filter(|(_, value)| value != "absent");
    said.map(|(field, value)| format!("{} {value}", field.path)).collect()
}

fn cause(payload: &str) -> String {
    match decode(payload.as_bytes()) {
        Ok(row) => panic!("{payload} is no bad record: {row:?}"),
        Err(cause) => cause,
    }
}

/// The same by way of `serde_json::Value`: slow and plain.
fn naive(payload: &Json) -> Result<Vec<String>, ()> {
    fields().all().iter().map(|field| naive_field(payload, field)).collect()
}

fn naive_field(payload: &Json, field: &Field) -> Result<String, ()> {
    let mut value = payload;
    for name in field.path.split('.') {
        match value {
            Json::Object(object) => match object.get(name) {
                None => return Ok("absent".into()),
                Some(inner) => value = inner,
            },
            Json::Null => return Ok("null".into()),
            _ => return Err(()),
        }
    }
    if value.is_null() {
        return Ok("null".into());
    }
    let quoted = value.as_str().filter(|_| field.quoted_number).and_then(|text| text.parse::<i64>().ok());
    let found = match field.data_type {
        FieldType::Utf8 => value.as_str().map(|text| format!("{:?}", Value::Text(text))),
        FieldType::U64 => value.as_u64().map(|number| format!("{:?}", Value::U64(number))),
        FieldType::I64 => value.as_i64().or(quoted).map(|number| format!("{:?}", Value::I64(number))),
        FieldType::U32 => value.as_u64().and_then(|n| n.try_into().ok()).map(|n| format!("{:?}", Value::U32(n))),
        FieldType::I32 => value.as_i64().and_then(|n| n.try_into().ok()).map(|n| format!("{:?}", Value::I32(n))),
        FieldType::F64 => value.as_f64().map(|number| format!("{:?}", Value::F64(number))),
        FieldType::Bool => value.as_bool().map(|truth| format!("{:?}", Value::Bool(truth))),
        FieldType::Bytes => value
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .map(|bytes| format!("{:?}", Value::Bytes(&bytes))),
        FieldType::Json => Some(format!("{:?}", Value::Text(&value.to_string()))),
    };
    found.ok_or(())
}

#[test]
fn every_type_is_read() {
    let payload = r#" {"text":"a\"\u00e9","u64":18446744073709551615,"i64":-9223372036854775808,"u32":4294967295,
        "i32":-1,"f64":0.1,"bool":true,"bytes":"AP8=","json":[1, {"a":null}],"quoted":"-7",
        "o":{"a":"x","p":{"q":1,"r":false},"unused":[[]]},"unused":{"deep":[1,2,{"x":"y"}]}} "#;
    let expected = [
        "bool Bool(true)",
        "bytes Bytes([0, 255])",
        "f64 F64(0.1)",
        "i32 I32(-1)",
        "i64 I64(-9223372036854775808)",
        r#"json Text("[1, {\"a\":null}]")"#,
        r#"o.a Text("x")"#,
        "o.p.q U32(1)",
        "o.p.r Bool(false)",
        "quoted I64(-7)",
        "text Text(\"a\\\"é\")",
        "u32 U32(4294967295)",
        "u64 U64(18446744073709551615)",
    ];
    assert_eq!(said(payload), expected);
}

#[test]
fn an_absent_field_and_a_null_are_different() {
    assert_eq!(said(r#"{"text":null,"json":null}"#), ["json null", "text null"]);
    assert_eq!(said(r#"{"o":null}"#), ["o.a null", "o.p.q null", "o.p.r null"]);
    assert_eq!(said(r#"{"o":{"p":null}}"#), ["o.p.q null", "o.p.r null"]);
    assert_eq!(said("{}"), Vec::<String>::new());
}

#[test]
fn of_two_equal_names_the_last_one_counts() {
    assert_eq!(said(r#"{"u64":1,"u64":2}"#), ["u64 U64(2)"]);
    assert_eq!(said(r#"{"u64":1,"u64":null}"#), ["u64 null"]);
    assert_eq!(said(r#"{"o":{"a":"x","p":{"q":1}},"o":{"p":{"r":true}}}"#), ["o.p.r Bool(true)"]);
}

#[test]
fn escaped_names_are_names() {
    assert_eq!(said(r#"{"u\u00364":1}"#), ["u64 U64(1)"]);
}

#[test]
fn wrong_types_name_the_field_and_what_it_is() {
    let cases = [
        (r#"{"u64":-1}"#, "field `u64` must be an integer in the range of u64, but is an integer out of that range"),
        (
            r#"{"i64":9223372036854775808}"#,
            "field `i64` must be an integer in the range of i64, but is an integer out of that range",
        ),
        (
            r#"{"u32":4294967296}"#,
            "field `u32` must be an integer in the range of u32, but is an integer out of that range",
        ),
        (
            r#"{"i32":2147483648}"#,
            "field `i32` must be an integer in the range of i32, but is an integer out of that range",
        ),
        (
            r#"{"u64":18446744073709551616}"#,
            "field `u64` must be an integer in the range of u64, but is a number that is no integer or is out of that range",
        ),
        (
            r#"{"u64":1.0}"#,
            "field `u64` must be an integer in the range of u64, but is a number that is no integer or is out of that range",
        ),
        (
            r#"{"u64":1e3}"#,
            "field `u64` must be an integer in the range of u64, but is a number that is no integer or is out of that range",
        ),
        (r#"{"u64":"1"}"#, "field `u64` must be an integer in the range of u64, but is a string"),
        (
            r#"{"quoted":"+1"}"#,
            "field `quoted` must be an integer in the range of i64, but is a string that is not an integer",
        ),
        (
            r#"{"quoted":"1.0"}"#,
            "field `quoted` must be an integer in the range of i64, but is a string that is not an integer",
        ),
        (
            r#"{"quoted":"18446744073709551615"}"#,
            "field `quoted` must be an integer in the range of i64, but is an integer out of that range",
        ),
        (r#"{"text":1}"#, "field `text` must be a string (utf8), but is a number"),
        (r#"{"text":["a"]}"#, "field `text` must be a string (utf8), but is an array"),
        (r#"{"bool":"true"}"#, "field `bool` must be true or false (bool), but is a string"),
        (r#"{"f64":"1"}"#, "field `f64` must be a number (f64), but is a string"),
        (r#"{"bytes":"a"}"#, "field `bytes` must be a base64 string (bytes), but is a string that is not base64"),
        (r#"{"o":1}"#, "what holds field `o.a` must be an object, but is a number"),
        (r#"{"o":{"p":"x"}}"#, "what holds field `o.p.q` must be an object, but is a string"),
        ("null", "the payload must be a JSON object, but is null"),
        ("7", "the payload must be a JSON object, but is a number"),
        (r#""x""#, "the payload must be a JSON object, but is a string"),
    ];
    for (payload, expected) in cases {
        assert_eq!(cause(payload), expected, "{payload}");
    }
}

#[test]
fn what_is_no_json_is_said_with_its_place_and_without_the_payload() {
    let cases = [
        "",
        " ",
        "{",
        r#"{"secret":}"#,
        r#"{"text":"secret"#,
        r#"{"text":"secret"} x"#,
        r#"{"u64":1}{"u64":2}"#,
        r#"{"u64":1,}"#,
        r#"{"u64":01}"#,
        r#"{"u64":+1}"#,
        r#"{"unused":[1,,2]}"#,
        r#"{"unused":tru}"#,
        "{\"text\":\"secret\u{1}\"}",
        r#"{"text":"\ud800"}"#,
        r#"{'text':'secret'}"#,
        r#"{"u64":NaN}"#,
    ];
    for payload in cases {
        let cause = cause(payload);
        assert!(cause.starts_with("the payload is not JSON: ") && cause.contains("column"), "{payload}: {cause}");
        assert!(!cause.contains("secret") && !cause.contains('\n'), "{payload}: {cause}");
    }
    assert_eq!(decode(b"{\"text\":\"\xff\"}"), Err("the payload is not UTF-8 from byte 9 on".into()));
}

#[test]
fn deep_nesting_is_a_bad_record_and_no_overflow() {
    let deep = format!("{{\"unused\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_json = format!("{{\"json\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for payload in [deep, deep_json] {
        // Whether a parser gives up or not, it must end and leave no trace of a bad row.
        let _ = decode(payload.as_bytes());
    }
}

#[test]
fn a_null_payload_is_a_bad_record() {
    let mut bad = Vec::new();
    let events = json_decoder().decode(&batch(&[None]), &mut bad);
    assert!(events.is_empty());
    assert_eq!(bad.len(), 1);
    assert!(bad[0].cause.starts_with("the payload is null (a log-compaction tombstone)"), "{}", bad[0].cause);
}

#[test]
fn an_event_cut_off_anywhere_is_bad() {
    let whole = r#"{"text":"a\u00e9","u64":12,"o":{"a":"é"},"json":[1,"x"]}"#;
    assert!(decode(whole.as_bytes()).is_ok());
    for length in 0..whole.len() {
        assert!(decode(&whole.as_bytes()[..length]).is_err(), "{length}");
    }
}

#[test]
fn offsets_and_records_of_good_rows_are_kept() {
    let mut bad = Vec::new();
    let payloads: [Option<&[u8]>; 3] = [Some(b"{\"u64\":1}"), Some(b"{"), Some(b"{\"u64\":2}")];
    let events = json_decoder().decode(&batch(&payloads), &mut bad);
    assert_eq!(events.records(), [0, 2]);
    assert_eq!(events.offsets().values()[..], [100, 102]);
    assert_eq!(events.timestamps().values()[..], [5, 5]);
    assert_eq!(bad.len(), 1);
}

/// Any value; often one that fits some field.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u32>().prop_map(Json::from),
        (-5..5_i32).prop_map(Json::from),
        (-1e9..1e9_f64).prop_map(Json::from),
        "[a-zA-Z\"\\\\/\u{1}\n\u{7f}é😀]{0,8}".prop_map(Json::from),
        "-?[0-9]{1,20}".prop_map(Json::from),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Json::from(STANDARD.encode(bytes))),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            proptest::collection::hash_map("[aprq]", inner, 0..3)
                .prop_map(|object| Json::Object(object.into_iter().collect())),
        ]
    })
}

/// A value of the type of the field, mostly.
fn fitting(name: &'static str) -> BoxedStrategy<Json> {
    match name {
        "text" => "[a-z\"\\\\é😀]{0,12}".prop_map(Json::from).boxed(),
        "u64" => any::<u64>().prop_map(Json::from).boxed(),
        "i64" | "quoted" => any::<i64>().prop_map(Json::from).boxed(),
        "u32" => any::<u32>().prop_map(Json::from).boxed(),
        "i32" => any::<i32>().prop_map(Json::from).boxed(),
        "f64" => {
            any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Json::from).boxed()
        }
        "bool" => any::<bool>().prop_map(Json::from).boxed(),
        "bytes" => proptest::collection::vec(any::<u8>(), 0..6).prop_map(|b| Json::from(STANDARD.encode(b))).boxed(),
        "o" => (any::<Option<u32>>(), any::<Option<bool>>())
            .prop_map(|(q, r)| json!({"a": "x", "p": {"q": q, "r": r}, "z": 1}))
            .boxed(),
        _ => any_json().boxed(),
    }
}

fn any_object(wrong: f64) -> impl Strategy<Value = Json> {
    let names = ["text", "u64", "i64", "u32", "i32", "f64", "bool", "bytes", "json", "quoted", "o", "unused"];
    let fields = names.map(|name| {
        let value = (proptest::bool::weighted(wrong), fitting(name), any_json());
        let value = value.prop_map(|(wrong, fitting, other)| if wrong { other } else { fitting });
        proptest::option::of(value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    });
    fields.prop_map(|fields| Json::Object(fields.into_iter().flatten().collect()))
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_reading(object in any_object(0.05)) {
        let text = object.to_string();
        prop_assert_eq!(decode(text.as_bytes()).map_err(|_| ()), naive(&object), "{}", text);
    }

    #[test]
    fn bad_records_leave_no_trace_in_their_neighbours(
        records in proptest::collection::vec(prop_oneof![
            any_object(0.2).prop_map(|object| object.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..20),
        ], 1..12),
    ) {
        let all: Vec<Option<&[u8]>> = records.iter().map(|record| Some(record.as_slice())).collect();
        let mut bad = Vec::new();
        let mut decoder = json_decoder();
        let events = decoder.decode(&batch(&all), &mut bad);
        prop_assert_eq!(events.len() + bad.len(), records.len());
        for (index, record) in events.records().iter().enumerate() {
            prop_assert_eq!(Ok(row(&events, index)), decode(&records[*record as usize]));
        }
        for bad in &bad {
            prop_assert_eq!(decode(&records[bad.record]), Err(bad.cause.clone()));
        }
    }
}
