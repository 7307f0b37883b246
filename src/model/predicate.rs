//! Conditions over the fields of an event, as values. (Parsed in `topology`, evaluated in `project`.)
//!
//! The logic is SQL's: a comparison with an absent or null field is unknown, `not unknown` is unknown, and a rule
//! applies only to events for which it is true.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::field::FieldType;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Both hold.
    And(Box<Predicate>, Box<Predicate>),
    /// At least one holds.
    Or(Box<Predicate>, Box<Predicate>),
    /// It does not hold.
    Not(Box<Predicate>),
    /// A field compared with a literal.
    Compare {
        /// Path of the field.
        field: String,
        /// How.
        operator: Comparison,
        /// With what.
        literal: Literal,
    },
    /// A field is one of several literals of one type.
    In {
        /// Path of the field.
        field: String,
        /// The literals.
        literals: Vec<Literal>,
    },
    /// A text is of a pattern: `%` stands for any text, `_` for one character, `\` takes the next character as it is.
    Like {
        /// Path of the field.
        field: String,
        /// The pattern.
        pattern: String,
    },
    /// A field is absent or null.
    IsNull {
        /// Path of the field.
        field: String,
    },
    /// A truth value on its own.
    IsTrue {
        /// Path of the field.
        field: String,
    },
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds for values in this order.
    #[must_use]
    pub const fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// As it is written.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A value written in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `'text'`
    Text(String),
    /// `42`, `-1`; wide enough for every integer type.
    Integer(i128),
    /// `0.5`
    Float(f64),
    /// `true`, `false`
    Bool(bool),
}

impl Literal {
    /// The type of a field that is known only by being compared with this literal.
    #[must_use]
    pub const fn natural_type(&self) -> FieldType {
        match self {
            Self::Text(_) => FieldType::Utf8,
            Self::Integer(number) if *number > i64::MAX as i128 => FieldType::U64,
            Self::Integer(_) => FieldType::I64,
            Self::Float(_) => FieldType::F64,
            Self::Bool(_) => FieldType::Bool,
        }
    }

    /// Whether a field of this type can be compared with it.
    #[must_use]
    pub const fn fits(&self, field: FieldType) -> bool {
        match self {
            Self::Text(_) => matches!(field, FieldType::Utf8),
            Self::Integer(_) => field.is_integer() || matches!(field, FieldType::F64),
            Self::Float(_) => matches!(field, FieldType::F64),
            Self::Bool(_) => matches!(field, FieldType::Bool),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(truth) => truth.fmt(f),
        }
    }
}

impl Predicate {
    /// The fields it reads, each with the type assumed when nothing else in the topology types it.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<&str, FieldType> {
        let mut fields = BTreeMap::new();
        self.collect_fields(&mut fields);
        fields
    }

    fn collect_fields<'a>(&'a self, into: &mut BTreeMap<&'a str, FieldType>) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.collect_fields(into);
                right.collect_fields(into);
            }
            Self::Not(inner) => inner.collect_fields(into),
            Self::Compare { field, literal, .. } => assume(into, field, literal.natural_type()),
            Self::In { field, literals } => {
                for literal in literals {
                    assume(into, field, literal.natural_type());
                }
            }
            // Only its presence matters, which any JSON value has.
            Self::IsNull { field } => assume(into, field, FieldType::Json),
            Self::Like { field, .. } => assume(into, field, FieldType::Utf8),
            Self::IsTrue { field } => assume(into, field, FieldType::Bool),
        }
    }
}

/// Notes the type of a field; where several are assumed, the one that can hold the values of the others.
fn assume<'a>(into: &mut BTreeMap<&'a str, FieldType>, field: &'a str, assumed: FieldType) {
    let known = into.entry(field).or_insert(assumed);
    *known = known.wider(assumed);
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(left, right) => write!(f, "({left} and {right})"),
            Self::Or(left, right) => write!(f, "({left} or {right})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Compare { field, operator, literal } => {
                write!(f, "{} {} {literal}", Name(field), operator.sign())
            }
            Self::In { field, literals } => {
                write!(f, "{} in (", Name(field))?;
                for (index, literal) in literals.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{literal}")?;
                }
                f.write_str(")")
            }
            Self::Like { field, pattern } => write!(f, "{} like '{}'", Name(field), pattern.replace('\'', "''")),
            Self::IsNull { field } => write!(f, "{} is null", Name(field)),
            Self::IsTrue { field } => Name(field).fmt(f),
        }
    }
}

/// A field as a condition names it: quoted unless it is a plain word.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(field) = self;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '-');
        let starts = |c: char| c.is_alphabetic() || matches!(c, '_' | '$');
        if field.starts_with(starts) && field.chars().all(plain) {
            return f.write_str(field);
        }
        write!(f, "\"{}\"", field.replace('"', "\"\""))
    }
}
