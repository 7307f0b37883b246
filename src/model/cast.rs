//! Values of one type as values of another, without loss: what does not fit exactly does not fit.
//!
//! | from | to | fits |
//! |---|---|---|
//! | any integer | any integer | in range |
//! | any integer | `f64` | exactly representable (always up to 2^53) |
//! | `f64` | any integer | whole and in range |
//! | integer, `f64`, `bool` | `utf8` | always: decimal digits; the shortest that read back the same; `true`, `false` |
//! | `bool` | any number | always: 1, 0 |
//! | `utf8` | any integer | decimal digits, a `-` before them, nothing else, in range |
//! | `utf8` | `f64` | a finite number as JSON writes them |
//! | `utf8` | `bool` | `true`, `false` |
//! | `utf8` | `bytes` | always: UTF-8 |
//! | `bytes` | `utf8` | valid UTF-8 |
//! | `json` | `utf8` | always: the JSON text, strings in their quotes |
//!
//! Everything else is no cast, and a mistake when the topology is loaded.

use std::fmt::Write as _;

use crate::model::field::FieldType;
use crate::model::value::Value;

/// Whether values of a type can become values of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of them.
    Always,
    /// Those that fit.
    Sometimes,
    /// There is no such cast.
    Never,
}

/// A value after its cast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cast<'a> {
    /// It stands where it stood, or is a number.
    Value(Value<'a>),
    /// It was appended to the text.
    Text,
}

/// Whether values of type `from` can become values of type `to`.
#[must_use]
pub const fn fit(from: FieldType, to: FieldType) -> Fit {
    use FieldType::{Bool, Bytes, F64, I32, I64, Json, U32, U64, Utf8};
    match (from, to) {
        (Utf8, Utf8 | Bytes)
        | (Json, Json | Utf8)
        | (Bytes, Bytes)
        | (Bool, Bool | Utf8 | U64 | I64 | U32 | I32 | F64)
        | (F64, F64 | Utf8)
        | (U64, U64 | Utf8)
        | (I64, I64 | Utf8)
        | (U32, U32 | Utf8 | U64 | I64 | F64)
        | (I32, I32 | Utf8 | I64 | F64) => Fit::Always,
        (Utf8, U64 | I64 | U32 | I32 | F64 | Bool)
        | (Bytes, Utf8)
        | (F64, U64 | I64 | U32 | I32)
        | (U64, I64 | U32 | I32 | F64)
        | (I64, U64 | U32 | I32 | F64)
        | (U32, I32)
        | (I32, U64 | U32) => Fit::Sometimes,
        (Utf8, Json)
        | (Json, U64 | I64 | U32 | I32 | F64 | Bool | Bytes)
        | (Bytes, U64 | I64 | U32 | I32 | F64 | Bool | Json)
        | (Bool, Bytes | Json)
        | (F64 | U64 | I64 | U32 | I32, Bool | Bytes | Json) => Fit::Never,
    }
}

/// The value as one of type `to`; `None` if it does not fit. Texts that have to be made are appended to `text`.
#[must_use]
pub fn cast<'a>(value: Value<'a>, to: FieldType, text: &mut String) -> Option<Cast<'a>> {
    let made = |value| Some(Cast::Value(value));
    match (value, to) {
        (Value::Text(_), FieldType::Utf8 | FieldType::Json) | (Value::Bytes(_), FieldType::Bytes) => made(value),
        (Value::Text(content), FieldType::Bytes) => made(Value::Bytes(content.as_bytes())),
        (Value::Text("true"), FieldType::Bool) => made(Value::Bool(true)),
        (Value::Text("false"), FieldType::Bool) => made(Value::Bool(false)),
        (Value::Text(content), FieldType::F64) => float(content).and_then(|number| made(Value::F64(number))),
        (Value::Text(content), _) if to.is_integer() => integer(digits(content)?, to).map(Cast::Value),
        (Value::Bytes(bytes), FieldType::Utf8) => {
            std::str::from_utf8(bytes).ok().and_then(|text| made(Value::Text(text)))
        }
        (Value::F64(number), FieldType::F64) => made(Value::F64(number)),
        (Value::F64(number), _) if to.is_integer() => integer(whole(number)?, to).map(Cast::Value),
        (Value::Bool(truth), FieldType::Bool) => made(Value::Bool(truth)),
        (_, FieldType::Utf8) => {
            append(value, text);
            Some(Cast::Text)
        }
        (_, FieldType::F64) => exact(number(value)?).and_then(|number| made(Value::F64(number))),
        (_, _) if to.is_integer() => integer(number(value)?, to).map(Cast::Value),
        _ => None,
    }
}

/// The text form of a value, as concatenation uses it.
pub fn append(value: Value<'_>, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Text(content) => text.write_str(content),
        Value::U64(number) => write!(text, "{number}"),
        Value::I64(number) => write!(text, "{number}"),
        Value::U32(number) => write!(text, "{number}"),
        Value::I32(number) => write!(text, "{number}"),
        // The shortest digits that read back the same, with an exponent from 1e16 and below 1e-4 on; a form of our own
        // language, since libraries change theirs and this one stands in cells and keys.
        Value::F64(number) => write!(text, "{number:?}"),
        Value::Bool(truth) => write!(text, "{truth}"),
        Value::Bytes(_) => Ok(()),
    };
}

fn number(value: Value<'_>) -> Option<i128> {
    match value {
        Value::U64(number) => Some(number.into()),
        Value::I64(number) => Some(number.into()),
        Value::U32(number) => Some(number.into()),
        Value::I32(number) => Some(number.into()),
        Value::Bool(truth) => Some(truth.into()),
        Value::Text(_) | Value::Bytes(_) | Value::F64(_) => None,
    }
}

fn integer(number: i128, to: FieldType) -> Option<Value<'static>> {
    match to {
        FieldType::U64 => u64::try_from(number).ok().map(Value::U64),
        FieldType::I64 => i64::try_from(number).ok().map(Value::I64),
        FieldType::U32 => u32::try_from(number).ok().map(Value::U32),
        FieldType::I32 => i32::try_from(number).ok().map(Value::I32),
        FieldType::Utf8 | FieldType::F64 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
    }
}

/// Decimal digits, at most a minus before them.
fn digits(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// A number as JSON writes it: Rust would also take `inf`, `nan`, `+1`, `.5` and `1.`.
fn float(text: &str) -> Option<f64> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    // JSON allows blanks around a value.
    let is_bare =
        text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    is_bare.then(|| number.as_f64()).flatten().filter(|number| number.is_finite())
}

fn whole(number: f64) -> Option<i128> {
    // Every whole number below 2^64 is in the range of `i128`.
    (number.fract() == 0.0 && number.abs() <= 2.0_f64.powi(64)).then_some(number as i128)
}

fn exact(number: i128) -> Option<f64> {
    let float = number as f64;
    (float as i128 == number).then_some(float)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(value: Value<'_>, to: FieldType) -> Option<String> {
        let mut text = String::new();
        match cast(value, to, &mut text)? {
            Cast::Value(value) => Some(format!("{value:?}")),
            Cast::Text => Some(text),
        }
    }

    #[test]
    fn what_does_not_fit_exactly_does_not_fit() {
        use FieldType::{Bool, F64, I32, I64, U32, U64, Utf8};
        let cases = [
            (Value::U64(1 << 63), I64, None),
            (Value::I64(-1), U64, None),
            (Value::I64(-1), I32, Some("I32(-1)")),
            (Value::U64(4_294_967_296), U32, None),
            (Value::F64(1.5), I64, None),
            (Value::F64(-0.0), U32, Some("U32(0)")),
            (Value::F64(1e19), U64, Some("U64(10000000000000000000)")),
            (Value::F64(18_446_744_073_709_551_616.0), U64, None),
            (Value::F64(1e300), I64, None),
            (Value::U64((1 << 53) + 1), F64, None),
            (Value::U64(1 << 53), F64, Some("F64(9007199254740992.0)")),
            (Value::F64(1e300), Utf8, Some("1e300")),
            (Value::F64(2.0), Utf8, Some("2.0")),
            (Value::I64(-7), Utf8, Some("-7")),
            (Value::Bool(true), Utf8, Some("true")),
            (Value::Bool(true), U32, Some("U32(1)")),
            (Value::Text("42"), U32, Some("U32(42)")),
            (Value::Text("-0"), U32, Some("U32(0)")),
            (Value::Text("+42"), U32, None),
            (Value::Text(" 42"), U32, None),
            (Value::Text(""), U32, None),
            (Value::Text("-"), I64, None),
            (Value::Text("4e1"), U32, None),
            (Value::Text("4e1"), F64, Some("F64(40.0)")),
            (Value::Text("1e999"), F64, None),
            (Value::Text("inf"), F64, None),
            (Value::Text(" 1"), F64, None),
            (Value::Text("TRUE"), Bool, None),
            (Value::Bytes(b"\xff"), Utf8, None),
            (Value::Bytes(b"a"), Utf8, Some("Text(\"a\")")),
        ];
        for (value, to, expected) in cases {
            assert_eq!(shown(value, to).as_deref(), expected, "{value:?} to {to}");
        }
    }

    fn values() -> impl Strategy<Value = (FieldType, Value<'static>)> {
        const TEXTS: &[&str] = &["", "0", "-1", "18446744073709551616", "1.5", "true", "x", "1e2"];
        const BYTES: &[&[u8]] = &[b"a", b"\xff"];
        prop_oneof![
            any::<u64>().prop_map(|n| (FieldType::U64, Value::U64(n))),
            any::<i64>().prop_map(|n| (FieldType::I64, Value::I64(n))),
            any::<u32>().prop_map(|n| (FieldType::U32, Value::U32(n))),
            any::<i32>().prop_map(|n| (FieldType::I32, Value::I32(n))),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| (FieldType::F64, Value::F64(n))),
            (-100..100_i32).prop_map(|n| (FieldType::F64, Value::F64(f64::from(n)))),
            any::<bool>().prop_map(|t| (FieldType::Bool, Value::Bool(t))),
            proptest::sample::select(TEXTS).prop_map(|t| (FieldType::Utf8, Value::Text(t))),
            proptest::sample::select(TEXTS).prop_map(|t| (FieldType::Json, Value::Text(t))),
            proptest::sample::select(BYTES).prop_map(|b| (FieldType::Bytes, Value::Bytes(b))),
        ]
    }

    proptest! {
        #[test]
        fn the_table_of_casts_is_what_casts_do((from, value) in values(), to in proptest::sample::select(&FieldType::ALL[..])) {
            let fits = shown(value, to).is_some();
            match fit(from, to) {
                Fit::Always => prop_assert!(fits),
                Fit::Sometimes => {}
                // Text and JSON are one kind of value; the table tells them apart at load time.
                Fit::Never => prop_assert!(!fits || matches!(value, Value::Text(_))),
            }
        }

        #[test]
        fn a_number_that_became_text_becomes_the_same_number((from, value) in values()) {
            if fit(from, FieldType::Utf8) != Fit::Always || matches!(value, Value::Text(_)) {
                return Ok(());
            }
            let text = shown(value, FieldType::Utf8).expect("always fits");
            prop_assert_eq!(shown(Value::Text(&text), from), Some(format!("{:?}", value)));
        }
    }
}
