//! Requests that no server would carry out, found before anything is sent.

use bytes::Bytes;

use crate::cell::{FAMILY_BYTES_MAX, ROW_BYTES_MAX};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A row key of no bytes; HBase has none.
    #[error("the row key is empty; every row needs a key of at least one byte")]
    EmptyRow,
    /// A row key that no cell can carry.
    #[error("the row key has {bytes} bytes; {ROW_BYTES_MAX} is the most, use a shorter key")]
    RowTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A family of no bytes.
    #[error("the family name is empty; name a family of the table")]
    EmptyFamily,
    /// A family name that no cell can carry.
    #[error("the family name has {bytes} bytes; {FAMILY_BYTES_MAX} is the most")]
    FamilyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A timestamp below zero.
    #[error("the timestamp {timestamp} is below zero; use one from 0 on, or let the server stamp the cell")]
    NegativeTimestamp {
        /// The timestamp.
        timestamp: i64,
    },
    /// A time range that ends before it begins.
    #[error("the time range from {from} to {to} is no range; it must not end before it begins, nor begin below zero")]
    NoTimeRange {
        /// Begin.
        from: i64,
        /// End.
        to: i64,
    },
    /// A mutation that changes nothing.
    #[error("the mutation has no cells; give it at least one")]
    NoCells,
    /// Mutations that are to be atomic but are not of one row.
    #[error("atomic mutations must all be of one row; send the others on their own")]
    SeveralRows,
    /// A comparison with no bytes, which HBase takes for the question whether the column is absent.
    #[error("the condition compares with an empty value, which HBase takes for absence; use Condition::Absent")]
    EmptyComparison,
    /// A list of filters without filters.
    #[error("the list of filters is empty; HBase lets nothing, or everything, through it: leave it out")]
    EmptyFilterList,
    /// No versions asked for.
    #[error("0 versions are asked for; ask for at least 1")]
    NoVersions,
}

/// Whether a row key can be one.
pub(crate) fn check_row(row: &[u8]) -> Result<(), Misuse> {
    match row.len() {
        0 => Err(Misuse::EmptyRow),
        bytes if bytes > ROW_BYTES_MAX => Err(Misuse::RowTooLong { bytes }),
        _ => Ok(()),
    }
}

/// Whether a family name can be one.
pub(crate) fn check_family(family: &[u8]) -> Result<(), Misuse> {
    match family.len() {
        0 => Err(Misuse::EmptyFamily),
        bytes if bytes > FAMILY_BYTES_MAX => Err(Misuse::FamilyTooLong { bytes }),
        _ => Ok(()),
    }
}

/// A row key for people: printable bytes as they are, others as `\x00` (`Bytes.toStringBinary`).
#[must_use]
pub fn escaped(row: &Bytes) -> String {
    let mut text = String::with_capacity(row.len());
    for byte in row {
        match byte {
            b'\\' => text.push_str("\\x5C"),
            0x20..=0x7E => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shown_as_hbases_shell_shows_them() {
        assert_eq!(escaped(&Bytes::from_static(b"user 7\x00\xff\\")), "user 7\\x00\\xFF\\x5C");
    }

    #[test]
    fn what_no_cell_can_carry_is_named() {
        assert_eq!(check_row(b""), Err(Misuse::EmptyRow));
        assert_eq!(check_row(&vec![0; 32_767]), Ok(()));
        assert_eq!(check_row(&vec![0; 32_768]), Err(Misuse::RowTooLong { bytes: 32_768 }));
        assert_eq!(check_family(b""), Err(Misuse::EmptyFamily));
        assert_eq!(check_family(&[b'f'; 128]), Err(Misuse::FamilyTooLong { bytes: 128 }));
    }
}
