//! The law of versions: every cell's HBase timestamp is a function of its event alone.
//!
//! A version is a non-negative `i64`. It comes from the event (a counter or a time that grows with each change of the
//! row), never from the clock, the server or the consumer. So the same event written twice is the same cells, writes of
//! different versions commute, and replay, retry, fan-out, backfill and repair are one idempotent act.
//!
//! # What follows
//! 1. A read finds the cell of the highest version, whichever was written last.
//! 2. Two different events of one row with one version are a modelling error. Within a batch the higher offset wins,
//!    and the tie is counted; across batches the one written last wins, so ties must not be relied upon.
//! 3. A row deleted at version `d` as a tombstone keeps one empty cell for each column of its model and
//!    `FAMILY:_deleted` = `0x01`, all at `d`. **A cell is live if and only if its timestamp is greater than that of
//!    `_deleted`.** An older event that arrives later can therefore not bring the row back, and a newer one can.
//! 4. An empty value is a null: an event that says `null` writes one at its version. For `utf8`, `bytes` and `json` an
//!    empty text and a null are therefore the same cell.

use crate::model::field::FieldType;

/// Bits of a version that hold the sequence number when a time and a sequence are packed.
///
/// 20 bits number a million changes within one millisecond, and leave 43 bits for the time: until the year 2248.
pub const SEQUENCE_BITS: u32 = 20;

/// The greatest sequence number that can be packed.
pub const SEQUENCE_MAX: i64 = (1 << SEQUENCE_BITS) - 1;

/// The latest time that can be packed, in milliseconds since 1970.
pub const PACKED_TIME_MAX_MS: i64 = i64::MAX >> SEQUENCE_BITS;

/// Where the version of a row comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// A field of the event holds it.
    Column {
        /// Path of the field.
        field: String,
    },
    /// A time of the event in milliseconds since 1970 is it.
    Time {
        /// Path of a field with milliseconds or RFC 3339 text.
        field: String,
    },
    /// A time and a sequence number within that millisecond, packed by [`pack`].
    TimeSequence {
        /// Path of a field with milliseconds or RFC 3339 text.
        time: String,
        /// Path of an integer field.
        sequence: String,
    },
    /// The record's offset. It changes when the bus is replaced; a last resort.
    KafkaOffset,
    /// The record's timestamp. A producer's retry may repeat it; a last resort.
    KafkaTimestamp,
}

/// Why an event has no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A field that the version needs is absent or null.
    #[error("is missing")]
    Missing,
    /// A negative number.
    #[error("is {0}, but a version is never negative")]
    Negative(i64),
    /// A number beyond 2^63 - 1.
    #[error("is {0}, which exceeds the largest version, 9223372036854775807")]
    TooLarge(u64),
    /// A time that leaves no room for the sequence.
    #[error("is {0} ms, but a packed time is at most {PACKED_TIME_MAX_MS} ms")]
    TimeTooLarge(i64),
    /// A sequence number that does not fit its bits.
    #[error("is {0}, but a packed sequence is 0 to {SEQUENCE_MAX}")]
    SequenceRange(i64),
    /// A text that is not a time.
    #[error("is not an RFC 3339 time")]
    NotATime,
}

/// The version that is this number.
///
/// # Errors
/// [`VersionError::Negative`].
pub const fn from_i64(number: i64) -> Result<i64, VersionError> {
    if number < 0 { Err(VersionError::Negative(number)) } else { Ok(number) }
}

/// The version that is this number.
///
/// # Errors
/// [`VersionError::TooLarge`].
pub const fn from_u64(number: u64) -> Result<i64, VersionError> {
    if number > i64::MAX as u64 { Err(VersionError::TooLarge(number)) } else { Ok(number as i64) }
}

/// The version `time_ms * 2^20 + sequence`: ordered by time, then by sequence.
///
/// # Errors
/// [`VersionError::Negative`], [`VersionError::TimeTooLarge`], [`VersionError::SequenceRange`].
pub const fn pack(time_ms: i64, sequence: i64) -> Result<i64, VersionError> {
    if time_ms < 0 {
        return Err(VersionError::Negative(time_ms));
    }
    if time_ms > PACKED_TIME_MAX_MS {
        return Err(VersionError::TimeTooLarge(time_ms));
    }
    if sequence < 0 || sequence > SEQUENCE_MAX {
        return Err(VersionError::SequenceRange(sequence));
    }
    Ok((time_ms << SEQUENCE_BITS) | sequence)
}

/// The milliseconds since 1970 that an RFC 3339 text names; finer digits are cut off.
///
/// # Errors
/// [`VersionError::NotATime`], [`VersionError::Negative`].
pub fn time_ms(text: &str) -> Result<i64, VersionError> {
    let time: jiff::Timestamp = text.parse().map_err(|_| VersionError::NotATime)?;
    from_i64(time.as_millisecond())
}

impl VersionRule {
    /// The fields it reads, each with the type assumed when nothing else in the topology types it.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, FieldType)> {
        match self {
            Self::Column { field } | Self::Time { field } => vec![(field, FieldType::I64)],
            Self::TimeSequence { time, sequence } => vec![(time, FieldType::I64), (sequence, FieldType::I64)],
            Self::KafkaOffset | Self::KafkaTimestamp => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_outside_the_range_are_refused() {
        assert_eq!(from_i64(-1), Err(VersionError::Negative(-1)));
        assert_eq!(from_u64(1 << 63), Err(VersionError::TooLarge(1 << 63)));
        assert_eq!(from_u64(i64::MAX as u64), Ok(i64::MAX));
        assert_eq!(pack(1, SEQUENCE_MAX + 1), Err(VersionError::SequenceRange(SEQUENCE_MAX + 1)));
        assert_eq!(pack(PACKED_TIME_MAX_MS + 1, 0), Err(VersionError::TimeTooLarge(PACKED_TIME_MAX_MS + 1)));
        assert_eq!(pack(PACKED_TIME_MAX_MS, SEQUENCE_MAX), Ok(i64::MAX));
    }

    #[test]
    fn rfc_3339_text_is_read_in_any_zone() {
        assert_eq!(time_ms("2026-11-01T00:00:00Z"), Ok(1_793_491_200_000));
        assert_eq!(time_ms("2026-11-01T09:00:00.0019+09:00"), Ok(1_793_491_200_001));
        assert_eq!(time_ms("1969-12-31T23:59:59Z"), Err(VersionError::Negative(-1000)));
        assert_eq!(time_ms("yesterday"), Err(VersionError::NotATime));
    }

    proptest! {
        #[test]
        fn packing_keeps_the_order_of_time_and_sequence(
            a in (0..=PACKED_TIME_MAX_MS, 0..=SEQUENCE_MAX),
            b in (0..=PACKED_TIME_MAX_MS, 0..=SEQUENCE_MAX),
        ) {
            let packed = (pack(a.0, a.1).unwrap(), pack(b.0, b.1).unwrap());
            prop_assert_eq!(packed.0.cmp(&packed.1), a.cmp(&b));
        }
    }
}
