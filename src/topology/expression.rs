//! Reads what a column, a part of a key or a version is made of: a field, a constant, `coalesce` or `concat`.
//!
//! ```text
//! source = from = "field" [, is = "type"] | value = constant | coalesce = [item, ...] | concat = [item, ...]
//! item   = "field" | { source }
//! ```
//! First each source is read by itself; casts are put in once the types of the topic's fields are known.

use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::model::cast::{Fit, fit};
use crate::model::expression::{Constant, Expression, Unfit};
use crate::model::field::FieldType;
use crate::topology::grammar;
use crate::topology::model::{data_type, field_path};
use crate::topology::source::{Node, Section};
use crate::topology::uses::Use;

/// How deep expressions may nest, and how many parts one may have.
const DEPTH_MAX: usize = 8;
const PARTS_MAX: usize = 64;

/// A source whose types are still open.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    kind: Kind<'a>,
    node: Node<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    Field(String),
    Constant,
    Coalesce(Vec<Draft<'a>>),
    Concat(Vec<Draft<'a>>),
}

/// Which fields expressions read, with the types that they state, or that are taken if nothing else says one.
#[derive(Debug, Default)]
pub(super) struct Uses<'a> {
    pub(super) stated: Vec<Use<'a>>,
    pub(super) fallback: Vec<Use<'a>>,
}

/// The expressions of a model, by the names under which its key, version and columns have them.
pub(super) type Computed = BTreeMap<String, Expression>;

impl<'a> Draft<'a> {
    /// A field by itself.
    pub(super) fn field(path: String, node: Node<'a>) -> Self {
        Self { kind: Kind::Field(path), node }
    }

    /// The path, if it is a field by itself.
    pub(super) fn path(&self) -> Option<&str> {
        match &self.kind {
            Kind::Field(path) => Some(path),
            Kind::Constant | Kind::Coalesce(_) | Kind::Concat(_) => None,
        }
    }

    /// Whether it reads a field: a constant alone tells no rows apart.
    pub(super) fn reads_a_field(&self) -> bool {
        match &self.kind {
            Kind::Field(_) => true,
            Kind::Constant => false,
            Kind::Coalesce(parts) | Kind::Concat(parts) => parts.iter().any(Self::reads_a_field),
        }
    }

    /// The expression as one of type `to`. `None` after a mistake.
    pub(super) fn finish(
        &self,
        to: FieldType,
        unfit: Unfit,
        types: &BTreeMap<String, FieldType>,
    ) -> Option<Expression> {
        let all = |parts: &[Self], to| -> Option<Vec<Expression>> {
            let finished: Vec<_> = parts.iter().map(|part| part.finish(to, unfit, types)).collect();
            finished.into_iter().collect()
        };
        let made = match &self.kind {
            Kind::Field(path) => Expression::Field { path: path.clone(), data_type: *types.get(path)? },
            Kind::Constant => Expression::Constant(constant(&self.node, to)?),
            Kind::Coalesce(parts) => Expression::Coalesce(all(parts, to)?),
            Kind::Concat(parts) => Expression::Concat(all(parts, FieldType::Utf8)?),
        };
        let from = made.data_type();
        if from == to {
            return Some(made);
        }
        if fit(from, to) == Fit::Never {
            let possible: Vec<&str> =
                FieldType::ALL.into_iter().filter(|one| fit(from, *one) != Fit::Never).map(FieldType::name).collect();
            self.node.mistake_hint(
                format!("`{made}` is {from}, which cannot become {to}"),
                format!("{from} can become {}; `is` says what a field holds in events", possible.join(", ")),
            );
            return None;
        }
        Some(Expression::Cast { inner: Box::new(made), to, unfit })
    }
}

/// The name of an expression among the fields of its model; one that is more than a field is noted.
pub(super) fn name_of(expression: Expression, computed: &mut Computed) -> String {
    if let Expression::Field { path, .. } = expression {
        return path;
    }
    let name = expression.to_string();
    computed.insert(name.clone(), expression);
    name
}

/// The one source among the keys of a section; `field` is the key that names a field there. `hint` is the type of
/// fields that nothing types.
pub(super) fn source<'a>(
    section: &Section<'a>,
    (field, others): (&str, &[&str]),
    hint: FieldType,
    uses: &mut Uses<'a>,
) -> Option<Draft<'a>> {
    source_at(section, (field, others), (hint, 1), uses)
}

fn source_at<'a>(
    section: &Section<'a>,
    (field, others): (&str, &[&str]),
    (hint, depth): (FieldType, usize),
    uses: &mut Uses<'a>,
) -> Option<Draft<'a>> {
    let kinds: Vec<&str> = std::iter::once(field).chain(others.iter().copied()).collect();
    let named: Vec<&str> = kinds.iter().copied().filter(|kind| section.has(kind)).collect();
    let [kind] = named.as_slice() else {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let what =
            format!("`{}` must say one of {}, but says {}", section.node().path(), kinds.join(", "), named.len());
        section.node().mistake_at_key(what, None);
        return None;
    };
    if *kind != field
        && let Some(node) = section.get("is")
    {
        node.mistake_at_key(format!("`{}` is only for a field: it says what events hold", node.path()), None);
    }
    let node = section.get(kind)?;
    match *kind {
        "value" => Some(Draft { kind: Kind::Constant, node }),
        "coalesce" => Some(Draft { kind: Kind::Coalesce(parts(&node, hint, uses, depth)?), node }),
        "concat" => Some(Draft { kind: Kind::Concat(parts(&node, FieldType::Utf8, uses, depth)?), node }),
        _ => {
            let path = field_path(&node)?;
            read_as(section, &path, (&node, hint), uses)?;
            Some(Draft::field(path, node))
        }
    }
}

/// What a field holds in events: as `is` states it, else as something else does, else the hint.
fn read_as<'a>(
    section: &Section<'a>,
    path: &str,
    (node, hint): (&Node<'a>, FieldType),
    uses: &mut Uses<'a>,
) -> Option<()> {
    let (into, data_type) = match section.get("is") {
        Some(is) => (&mut uses.stated, data_type(&is)?),
        None => (&mut uses.fallback, hint),
    };
    into.push(Use { path: path.to_owned(), data_type, node: node.clone() });
    Some(())
}

fn parts<'a>(node: &Node<'a>, hint: FieldType, uses: &mut Uses<'a>, depth: usize) -> Option<Vec<Draft<'a>>> {
    let list = node.list()?;
    if list.is_empty() || list.len() > PARTS_MAX || depth > DEPTH_MAX {
        let what = format!("`{}` must have 1 to {PARTS_MAX} parts, nested at most {DEPTH_MAX} deep", node.path());
        node.mistake(what);
        return None;
    }
    let read: Vec<_> = list.iter().map(|node| item(node, hint, uses, depth)).collect();
    read.into_iter().collect()
}

fn item<'a>(node: &Node<'a>, hint: FieldType, uses: &mut Uses<'a>, depth: usize) -> Option<Draft<'a>> {
    if !node.is_table() {
        let path = field_path(node)?;
        uses.fallback.push(Use { path: path.clone(), data_type: hint, node: node.clone() });
        return Some(Draft::field(path, node.clone()));
    }
    let section = node.section(grammar::ITEM)?;
    source_at(&section, ("from", &["value", "coalesce", "concat"]), (hint, depth + 1), uses)
}

/// The constant of this type that a TOML value is.
fn constant(node: &Node<'_>, to: FieldType) -> Option<Constant> {
    let made = match (node.raw(), to) {
        (DeValue::String(text), FieldType::Utf8) => Some(Constant::Text(text.clone().into_owned())),
        (DeValue::Boolean(truth), FieldType::Bool) => Some(Constant::Bool(*truth)),
        (DeValue::Float(_) | DeValue::Integer(_), FieldType::F64) => {
            node.number().filter(|number| number.is_finite()).map(Constant::F64)
        }
        (DeValue::Integer(integer), _) if to.is_integer() => {
            i128::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| match to {
                FieldType::U64 => u64::try_from(number).ok().map(Constant::U64),
                FieldType::I64 => i64::try_from(number).ok().map(Constant::I64),
                FieldType::U32 => u32::try_from(number).ok().map(Constant::U32),
                FieldType::I32 => i32::try_from(number).ok().map(Constant::I32),
                FieldType::Utf8 | FieldType::F64 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
            })
        }
        _ => None,
    };
    if made.is_none() {
        let hint = match to {
            FieldType::Utf8 => "a string: value = \"x\"",
            FieldType::Bool => "true or false",
            FieldType::Bytes | FieldType::Json => "constants are utf8, bool or numbers",
            _ => "a number in its range",
        };
        node.mistake_hint(format!("`{}` is no constant of type {to}", node.path()), hint);
    }
    made
}
