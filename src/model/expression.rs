//! Values that are made of the fields of an event: constants, casts, `coalesce`, `concat`. Typed throughout: the loader
//! puts a cast wherever two types meet, or says that there is none.
//!
//! | expression | value | null | absent |
//! |---|---|---|---|
//! | field | as in the event | as in the event | as in the event |
//! | constant | always | never | never |
//! | cast | of what fits; what does not is a null, or makes the event bad | of a null | of an absent |
//! | `coalesce` | the first part that has one | if no part has one and one is null | if all parts are absent |
//! | `concat` | the parts' texts joined | if no part is absent and one is null | if a part is absent |

use std::fmt;

use crate::model::cast::{Fit, fit};
use crate::model::field::FieldType;
use crate::model::value::Value;

/// An expression of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A field.
    Field {
        /// Its path.
        path: String,
        /// Its type.
        data_type: FieldType,
    },
    /// The same value for every event.
    Constant(Constant),
    /// The first part that has a value; all have one type.
    Coalesce(Vec<Expression>),
    /// The parts joined; all are `utf8`.
    Concat(Vec<Expression>),
    /// A value as one of another type.
    Cast {
        /// What is cast.
        inner: Box<Expression>,
        /// To which type.
        to: FieldType,
        /// What happens to a value that does not fit.
        unfit: Unfit,
    },
}

/// What happens to a value that does not fit the type it is cast to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfit {
    /// The event is bad.
    #[default]
    Bad,
    /// It is a null.
    Null,
}

/// A value that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `utf8`
    Text(String),
    /// `u64`
    U64(u64),
    /// `i64`
    I64(i64),
    /// `u32`
    U32(u32),
    /// `i32`
    I32(i32),
    /// `f64`
    F64(f64),
    /// `bool`
    Bool(bool),
}

impl Constant {
    /// The same value, borrowed.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::U64(number) => Value::U64(*number),
            Self::I64(number) => Value::I64(*number),
            Self::U32(number) => Value::U32(*number),
            Self::I32(number) => Value::I32(*number),
            Self::F64(number) => Value::F64(*number),
            Self::Bool(truth) => Value::Bool(*truth),
        }
    }

    /// Its type.
    #[must_use]
    pub const fn data_type(&self) -> FieldType {
        match self {
            Self::Text(_) => FieldType::Utf8,
            Self::U64(_) => FieldType::U64,
            Self::I64(_) => FieldType::I64,
            Self::U32(_) => FieldType::U32,
            Self::I32(_) => FieldType::I32,
            Self::F64(_) => FieldType::F64,
            Self::Bool(_) => FieldType::Bool,
        }
    }
}

impl Expression {
    /// The type of its values.
    #[must_use]
    pub fn data_type(&self) -> FieldType {
        match self {
            Self::Field { data_type, .. } => *data_type,
            Self::Constant(constant) => constant.data_type(),
            Self::Coalesce(parts) => parts.first().map_or(FieldType::Utf8, Self::data_type),
            Self::Concat(_) => FieldType::Utf8,
            Self::Cast { to, .. } => *to,
        }
    }
}

/// As `describe` shows it. It names the expression too: equal texts are equal expressions of equal types, since a field
/// of a topic has one type.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { path, .. } => f.write_str(path),
            Self::Constant(Constant::Text(text)) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Constant(Constant::Bool(truth)) => truth.fmt(f),
            Self::Constant(Constant::F64(number)) => write!(f, "{number:?}"),
            Self::Constant(constant) => {
                let mut text = String::new();
                crate::model::cast::append(constant.value(), &mut text);
                write!(f, "{}({text})", constant.data_type())
            }
            Self::Coalesce(parts) => list(f, "coalesce", parts),
            Self::Concat(parts) => list(f, "concat", parts),
            Self::Cast { inner, to, unfit } => match (fit(inner.data_type(), *to), unfit) {
                (Fit::Always, _) => write!(f, "{to}({inner})"),
                (_, Unfit::Bad) => write!(f, "{to}({inner}, else bad)"),
                (_, Unfit::Null) => write!(f, "{to}({inner}, else null)"),
            },
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, name: &str, parts: &[Expression]) -> fmt::Result {
    write!(f, "{name}(")?;
    for (index, part) in parts.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{part}")?;
    }
    f.write_str(")")
}
