//! What a write asks of the server: mutations of one row, and what must hold for them.

use bytes::Bytes;

use crate::cell::{Cell, CellKind, LATEST_TIMESTAMP};
use crate::filter::{CompareOperator, Filter, binary_comparator};
use crate::misuse::{Misuse, check_family, check_row};
use crate::scan::Versions;
use crate::wire::message::{
    BinaryComparatorMessage, ByteArrayComparable, ColumnValue, ComparatorMessage, ConditionMessage, MutationProto,
    QualifierValue,
};

/// When the server answers a write (`Durability` of the Java client).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// As the table says; `SYNC_WAL` unless configured otherwise.
    #[default]
    UseDefault,
    /// Not logged: lost if the region server fails before its next flush.
    SkipWal,
    /// Logged after the answer.
    AsyncWal,
    /// Logged before the answer.
    SyncWal,
    /// Logged and forced to disk before the answer.
    FsyncWal,
}

impl Durability {
    /// The wire code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::UseDefault => 0,
            Self::SkipWal => 1,
            Self::AsyncWal => 2,
            Self::SyncWal => 3,
            Self::FsyncWal => 4,
        }
    }
}

/// One cell of a put or a delete, without the row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    family: Bytes,
    qualifier: Option<Bytes>,
    timestamp: i64,
    kind: CellKind,
    value: Bytes,
}

/// New values of one row (`Put`): all of them or, on a failure, none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    row: Bytes,
    parts: Vec<Part>,
    durability: Durability,
}

impl Put {
    /// A put of this row, without cells yet.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        Self { row: row.into(), parts: Vec::new(), durability: Durability::UseDefault }
    }

    /// Adds a cell with its timestamp; [`LATEST_TIMESTAMP`] lets the server stamp it.
    #[must_use]
    pub fn cell(
        mut self,
        (family, qualifier): (impl Into<Bytes>, impl Into<Bytes>),
        timestamp: i64,
        value: impl Into<Bytes>,
    ) -> Self {
        let (family, qualifier) = (family.into(), Some(qualifier.into()));
        self.parts.push(Part { family, qualifier, timestamp, kind: CellKind::Put, value: value.into() });
        self
    }

    /// Sets when the server answers.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

/// Markers of one row (`Delete`). Without any it deletes the whole row: the server makes one marker for each family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    row: Bytes,
    timestamp: i64,
    parts: Vec<Part>,
    durability: Durability,
}

impl Delete {
    /// Deletes the whole row as it is when the delete arrives; markers added later narrow it.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        let row = row.into();
        Self { row, timestamp: LATEST_TIMESTAMP, parts: Vec::new(), durability: Durability::UseDefault }
    }

    /// Deletes of the whole row only what is at or below this timestamp.
    #[must_use]
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// Deletes a family at or below a timestamp.
    #[must_use]
    pub fn family(self, family: impl Into<Bytes>, timestamp: i64) -> Self {
        self.part(family.into(), None, timestamp, CellKind::DeleteFamily)
    }

    /// Deletes all cells of a family with exactly this timestamp.
    #[must_use]
    pub fn family_version(self, family: impl Into<Bytes>, timestamp: i64) -> Self {
        self.part(family.into(), None, timestamp, CellKind::DeleteFamilyVersion)
    }

    /// Deletes a column at or below a timestamp.
    #[must_use]
    pub fn column(self, (family, qualifier): (impl Into<Bytes>, impl Into<Bytes>), timestamp: i64) -> Self {
        self.part(family.into(), Some(qualifier.into()), timestamp, CellKind::DeleteColumn)
    }

    /// Deletes the version of a column with exactly this timestamp. [`LATEST_TIMESTAMP`] is the newest version,
    /// which the server has to look up: such a delete sent twice deletes two versions.
    #[must_use]
    pub fn version(self, (family, qualifier): (impl Into<Bytes>, impl Into<Bytes>), timestamp: i64) -> Self {
        self.part(family.into(), Some(qualifier.into()), timestamp, CellKind::Delete)
    }

    /// Sets when the server answers.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    fn part(mut self, family: Bytes, qualifier: Option<Bytes>, timestamp: i64, kind: CellKind) -> Self {
        self.parts.push(Part { family, qualifier, timestamp, kind, value: Bytes::new() });
        self
    }
}

/// A mutation whose outcome does not depend on what was there before (but for [`Delete::version`] without a time).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// New values.
    Put(Put),
    /// Markers.
    Delete(Delete),
}

impl From<Put> for Mutation {
    fn from(put: Put) -> Self {
        Self::Put(put)
    }
}

impl From<Delete> for Mutation {
    fn from(delete: Delete) -> Self {
        Self::Delete(delete)
    }
}

impl Mutation {
    /// The row.
    #[must_use]
    pub fn row(&self) -> &Bytes {
        match self {
            Self::Put(put) => &put.row,
            Self::Delete(delete) => &delete.row,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_row(self.row())?;
        match self {
            Self::Put(put) if put.parts.is_empty() => Err(Misuse::NoCells),
            Self::Put(put) => check_parts(&put.parts),
            Self::Delete(delete) => check_timestamp(delete.timestamp).and_then(|()| check_parts(&delete.parts)),
        }
    }

    /// As it stands in a request without a cell block: servers of every version read that, and the row with it.
    pub(crate) fn message(&self) -> MutationProto {
        match self {
            Self::Put(put) => MutationProto {
                row: Some(put.row.clone()),
                mutate_type: Some(MutationProto::PUT),
                column_value: column_values(&put.parts),
                durability: Some(put.durability.code()),
                ..MutationProto::default()
            },
            Self::Delete(delete) => MutationProto {
                row: Some(delete.row.clone()),
                mutate_type: Some(MutationProto::DELETE),
                column_value: column_values(&delete.parts),
                timestamp: Some(delete.timestamp as u64),
                durability: Some(delete.durability.code()),
                ..MutationProto::default()
            },
        }
    }
}

fn check_timestamp(timestamp: i64) -> Result<(), Misuse> {
    if timestamp < 0 { Err(Misuse::NegativeTimestamp { timestamp }) } else { Ok(()) }
}

fn check_parts(parts: &[Part]) -> Result<(), Misuse> {
    parts.iter().try_for_each(|part| check_family(&part.family).and_then(|()| check_timestamp(part.timestamp)))
}

fn column_values(parts: &[Part]) -> Vec<ColumnValue> {
    let delete_type = |kind| match kind {
        CellKind::Put => None,
        CellKind::Delete => Some(0),
        CellKind::DeleteColumn => Some(1),
        CellKind::DeleteFamily => Some(2),
        CellKind::DeleteFamilyVersion => Some(3),
    };
    by_family(parts.iter().map(|part| {
        let value = QualifierValue {
            qualifier: Some(part.qualifier.clone().unwrap_or_default()),
            value: (part.kind == CellKind::Put).then(|| part.value.clone()),
            timestamp: Some(part.timestamp as u64),
            delete_type: delete_type(part.kind),
        };
        (&part.family, value)
    }))
}

fn by_family<'a>(values: impl Iterator<Item = (&'a Bytes, QualifierValue)>) -> Vec<ColumnValue> {
    let mut columns: Vec<ColumnValue> = Vec::new();
    for (family, value) in values {
        match columns.iter_mut().find(|column| column.family == *family) {
            Some(column) => column.qualifier_value.push(value),
            None => columns.push(ColumnValue { family: family.clone(), qualifier_value: vec![value] }),
        }
    }
    columns
}

/// Adds to counters of one row (`Increment`): values of eight bytes, the highest first; what is absent counts as 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    row: Bytes,
    amounts: Vec<(Bytes, Bytes, i64)>,
    durability: Durability,
}

impl Increment {
    /// An increment of this row, without columns yet.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        Self { row: row.into(), amounts: Vec::new(), durability: Durability::UseDefault }
    }

    /// Adds an amount to a column.
    #[must_use]
    pub fn add(mut self, (family, qualifier): (impl Into<Bytes>, impl Into<Bytes>), amount: i64) -> Self {
        self.amounts.push((family.into(), qualifier.into(), amount));
        self
    }

    /// Sets when the server answers.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    pub(crate) fn message(&self, nonce: u64) -> MutationProto {
        let values = self.amounts.iter().map(|(family, qualifier, amount)| {
            (family, value_of(qualifier, Bytes::copy_from_slice(&amount.to_be_bytes())))
        });
        nonced(&self.row, (MutationProto::INCREMENT, self.durability), by_family(values), nonce)
    }
}

/// Appends to values of one row (`Append`); what is absent counts as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    row: Bytes,
    values: Vec<(Bytes, Bytes, Bytes)>,
    durability: Durability,
}

impl Append {
    /// An append to this row, without columns yet.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        Self { row: row.into(), values: Vec::new(), durability: Durability::UseDefault }
    }

    /// Appends bytes to a column.
    #[must_use]
    pub fn add(mut self, (family, qualifier): (impl Into<Bytes>, impl Into<Bytes>), value: impl Into<Bytes>) -> Self {
        self.values.push((family.into(), qualifier.into(), value.into()));
        self
    }

    /// Sets when the server answers.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    pub(crate) fn message(&self, nonce: u64) -> MutationProto {
        let values = self.values.iter().map(|(family, qualifier, value)| (family, value_of(qualifier, value.clone())));
        nonced(&self.row, (MutationProto::APPEND, self.durability), by_family(values), nonce)
    }
}

fn value_of(qualifier: &Bytes, value: Bytes) -> QualifierValue {
    QualifierValue { qualifier: Some(qualifier.clone()), value: Some(value), ..QualifierValue::default() }
}

fn nonced(
    row: &Bytes,
    (kind, durability): (i32, Durability),
    column_value: Vec<ColumnValue>,
    nonce: u64,
) -> MutationProto {
    MutationProto {
        row: Some(row.clone()),
        mutate_type: Some(kind),
        column_value,
        durability: Some(durability.code()),
        nonce: Some(nonce),
        ..MutationProto::default()
    }
}

/// A mutation that reads what was there: it must not be carried out twice, so it travels with a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nonced<'a> {
    /// An increment.
    Increment(&'a Increment),
    /// An append.
    Append(&'a Append),
}

impl Nonced<'_> {
    pub(crate) fn row(&self) -> &Bytes {
        match self {
            Self::Increment(increment) => &increment.row,
            Self::Append(append) => &append.row,
        }
    }

    pub(crate) fn message(&self, nonce: u64) -> MutationProto {
        match self {
            Self::Increment(increment) => increment.message(nonce),
            Self::Append(append) => append.message(nonce),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_row(self.row())?;
        let families: Vec<&Bytes> = match self {
            Self::Increment(increment) => increment.amounts.iter().map(|(family, ..)| family).collect(),
            Self::Append(append) => append.values.iter().map(|(family, ..)| family).collect(),
        };
        if families.is_empty() {
            return Err(Misuse::NoCells);
        }
        families.into_iter().try_for_each(|family| check_family(family))
    }
}

/// A family that no table has: what servers before 2.4 say does not exist when a condition is a filter.
const NO_FAMILY: &str = "(a filter as a condition needs HBase 2.4)";

/// What must hold of a row before it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The column is absent, or its value is empty: HBase does not tell the two apart here.
    Absent {
        /// Family.
        family: Bytes,
        /// Qualifier.
        qualifier: Bytes,
    },
    /// The column is there and compares so.
    Value {
        /// Family.
        family: Bytes,
        /// Qualifier.
        qualifier: Bytes,
        /// `stored OPERATOR value`; the Java client's `ifMatches` has the two the other way round.
        operator: CompareOperator,
        /// The value given; not empty.
        value: Bytes,
    },
    /// The row is there and passes a filter. Servers before 2.4 refuse it.
    Filter {
        /// The filter.
        filter: Filter,
        /// Versions that the filter sees.
        versions: Versions,
    },
}

impl Condition {
    /// The column's value is this one.
    #[must_use]
    pub fn equal(family: impl Into<Bytes>, qualifier: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let (family, qualifier, value) = (family.into(), qualifier.into(), value.into());
        Self::Value { family, qualifier, operator: CompareOperator::Equal, value }
    }

    /// The column is absent or empty.
    #[must_use]
    pub fn absent(family: impl Into<Bytes>, qualifier: impl Into<Bytes>) -> Self {
        Self::Absent { family: family.into(), qualifier: qualifier.into() }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        match self {
            Self::Absent { family, .. } => check_family(family),
            Self::Value { value, .. } if value.is_empty() => Err(Misuse::EmptyComparison),
            Self::Value { family, .. } => check_family(family),
            Self::Filter { filter, versions } => filter.check().and_then(|()| versions.check()),
        }
    }

    pub(crate) fn message(&self, row: &Bytes) -> ConditionMessage {
        let column = |family: &Bytes, qualifier: &Bytes, operator: CompareOperator, comparator| ConditionMessage {
            row: row.clone(),
            family: Some(family.clone()),
            qualifier: Some(qualifier.clone()),
            compare_type: Some(operator as i32),
            comparator: Some(comparator),
            ..ConditionMessage::default()
        };
        match self {
            Self::Absent { family, qualifier } => column(family, qualifier, CompareOperator::Equal, no_value()),
            Self::Value { family, qualifier, operator, value } => {
                column(family, qualifier, operator.turned(), binary_comparator(value))
            }
            // Servers before 2.4 do not see the filter. They get a column of a family that no table has, so that they
            // refuse at once instead of failing to read the message, over and over.
            Self::Filter { filter, versions } => ConditionMessage {
                time_range: versions.range(),
                filter: Some(filter.message()),
                ..column(&Bytes::from_static(NO_FAMILY.as_bytes()), &Bytes::new(), CompareOperator::Equal, no_value())
            },
        }
    }
}

/// Equal to no value at all is how HBase asks for absence (`CheckAndMutate.ifNotExists`).
fn no_value() -> ComparatorMessage {
    use prost::Message as _;
    let message = BinaryComparatorMessage { comparable: ByteArrayComparable { value: None } };
    ComparatorMessage {
        serialized_comparator: Some(message.encode_to_vec().into()),
        ..binary_comparator(&Bytes::new())
    }
}

/// The counter in a cell that an increment has answered; `None` if its value is not one.
#[must_use]
pub fn counter(cell: &Cell) -> Option<i64> {
    cell.value.as_ref().try_into().ok().map(i64::from_be_bytes)
}
