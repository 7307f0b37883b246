//! Conditions over columns against the same conditions over one event at a time.

use proptest::prelude::*;

use super::*;
use crate::decode::Decoder;
use crate::model::batch::{RawBatch, RawRecord};
use crate::model::field::{Field, FieldType};
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::topology::Format;

/// An event with a text, a number, a float and a truth value, each of which may be absent.
#[derive(Clone, Debug)]
struct Event {
    t: Option<String>,
    n: Option<u64>,
    f: Option<f64>,
    b: Option<bool>,
}

fn events(all: &[Event]) -> Events {
    let field = |path: &str, data_type| Field { path: path.into(), data_type, quoted_number: false };
    let fields = vec![
        field("b", FieldType::Bool),
        field("f", FieldType::F64),
        field("n", FieldType::U64),
        field("t", FieldType::Utf8),
    ];
    let fields = FieldSet::new(fields).expect("the fields agree");
    let mut arena = Vec::new();
    let mut records = Vec::new();
    for (index, event) in all.iter().enumerate() {
        let start = arena.len() as u32;
        let json = serde_json::json!({"t": event.t, "n": event.n, "f": event.f, "b": event.b});
        arena.extend_from_slice(json.to_string().as_bytes());
        let payload = Some(start..arena.len() as u32);
        records.push(RawRecord { offset: Offset(index as i64), timestamp_ms: -1, key: None, payload });
    }
    let raw = RawBatch {
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        span: Span::new(Offset(0), Offset(1 + all.len() as i64)).expect("not empty"),
        records,
        arena,
        headers: Vec::new(),
    };
    let mut bad = Vec::new();
    let events = Decoder::new(Format::Json, fields).expect("JSON has all fields").decode(&raw, &mut bad);
    assert_eq!(bad, []);
    events
}

/// SQL's logic, one event at a time; `None` is unknown.
fn naive(predicate: &Predicate, event: &Event) -> Option<bool> {
    match predicate {
        Predicate::And(left, right) => match (naive(left, event), naive(right, event)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Predicate::Or(left, right) => match (naive(left, event), naive(right, event)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Predicate::Not(inner) => naive(inner, event).map(|truth| !truth),
        Predicate::Compare { field, operator, literal } => {
            let order = order(event, field, literal)?;
            Some(match operator {
                Comparison::Equal => order == Ordering::Equal,
                Comparison::NotEqual => order != Ordering::Equal,
                Comparison::Less => order == Ordering::Less,
                Comparison::LessOrEqual => order != Ordering::Greater,
                Comparison::Greater => order == Ordering::Greater,
                Comparison::GreaterOrEqual => order != Ordering::Less,
            })
        }
        Predicate::In { field, literals } => {
            let mut any = false;
            for literal in literals {
                any |= order(event, field, literal)? == Ordering::Equal;
            }
            Some(any)
        }
        Predicate::Like { pattern, .. } => event.t.as_ref().map(|text| match pattern.as_str() {
            "a%" => text.starts_with('a'),
            "%b" => text.ends_with('b'),
            _ => text.chars().count() == 1,
        }),
        Predicate::IsNull { field } => Some(match field.as_str() {
            "t" => event.t.is_none(),
            "n" => event.n.is_none(),
            "f" => event.f.is_none(),
            _ => event.b.is_none(),
        }),
        Predicate::IsTrue { .. } => event.b,
    }
}

fn order(event: &Event, field: &str, literal: &Literal) -> Option<Ordering> {
    match (field, literal) {
        ("t", Literal::Text(text)) => event.t.as_ref().map(|value| value.as_str().cmp(text.as_str())),
        ("n", Literal::Integer(number)) => event.n.map(|value| i128::from(value).cmp(number)),
        ("f", Literal::Integer(number)) => event.f.and_then(|value| value.partial_cmp(&(*number as f64))),
        ("f", Literal::Float(number)) => event.f.and_then(|value| value.partial_cmp(number)),
        ("b", Literal::Bool(truth)) => event.b.map(|value| value.cmp(truth)),
        other => panic!("{other:?} is never made"),
    }
}

fn event() -> impl Strategy<Value = Event> {
    let t = proptest::option::of("[a-c]{0,1}");
    let n = proptest::option::of(0..4_u64);
    let f = proptest::option::of((0..4_u8).prop_map(|number| f64::from(number) / 2.0));
    (t, n, f, any::<Option<bool>>()).prop_map(|(t, n, f, b)| Event { t, n, f, b })
}

fn operator() -> impl Strategy<Value = Comparison> {
    proptest::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let text = || "[a-c]{0,1}".prop_map(Literal::Text);
    let integer = || (-1..4_i64).prop_map(|number| Literal::Integer(number.into()));
    let float = (0..4_u8).prop_map(|number| Literal::Float(f64::from(number) / 2.0));
    let of = |field: &'static str, literal: BoxedStrategy<Literal>| {
        (operator(), literal).prop_map(move |(operator, literal)| Predicate::Compare {
            field: field.to_owned(),
            operator,
            literal,
        })
    };
    let leaf = prop_oneof![
        of("t", text().boxed()),
        of("n", integer().boxed()),
        of("f", prop_oneof![integer(), float].boxed()),
        of("b", any::<bool>().prop_map(Literal::Bool).boxed()),
        proptest::collection::vec(text(), 1..3).prop_map(|literals| Predicate::In { field: "t".to_owned(), literals }),
        proptest::collection::vec(integer(), 1..3)
            .prop_map(|literals| Predicate::In { field: "n".to_owned(), literals }),
        proptest::sample::select(vec!["t", "n", "f", "b"])
            .prop_map(|field| Predicate::IsNull { field: field.to_owned() }),
        Just(Predicate::IsTrue { field: "b".to_owned() }),
        proptest::sample::select(vec!["a%", "%b", "_"])
            .prop_map(|pattern| Predicate::Like { field: "t".to_owned(), pattern: pattern.to_owned() }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Predicate::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Predicate::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|inner| Predicate::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn columns_give_the_truth_of_each_event(predicate in predicate(), all in proptest::collection::vec(event(), 0..20)) {
        let events = events(&all);
        let condition = Condition::bind(&predicate, events.fields()).expect("the fields are decoded");
        let expected: Vec<Truth> =
            all.iter().map(|event| naive(&predicate, event).map_or(UNKNOWN, truth)).collect();
        prop_assert_eq!(condition.evaluate(&events), expected, "{}", predicate);
    }

    #[test]
    fn a_condition_reads_back_as_it_is_shown(predicate in predicate(), all in proptest::collection::vec(event(), 1..9)) {
        let again = crate::topology::parse_condition(&predicate.to_string()).expect("it was shown as a condition");
        for event in &all {
            prop_assert_eq!(naive(&again, event), naive(&predicate, event), "{}", predicate);
        }
    }
}

#[test]
fn a_field_that_is_not_decoded_is_named() {
    let predicate = Predicate::IsTrue { field: "x".to_owned() };
    assert_eq!(Condition::bind(&predicate, events(&[]).fields()).expect_err("there is no such field"), "x");
}
