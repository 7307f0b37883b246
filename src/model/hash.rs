//! The hash that spreads rows over regions.
//!
//! Of a number it is one step of splitmix64 over its 64-bit two's complement; of text and bytes it is the same step over
//! their 64-bit FNV-1a hash.
//!
//! # Invariant
//! It is part of every stored row key and never changes.

use crate::model::value::Value;

/// Greatest number of salt buckets: what one byte can tell apart.
pub const SALT_BUCKETS_MAX: u16 = 256;

/// One step of splitmix64 (Steele, Lea, Flood 2014) from this state.
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of a value that salts and hash parts use.
#[must_use]
pub fn hash(value: Value<'_>) -> u64 {
    match value {
        Value::U64(number) => splitmix64(number),
        Value::I64(number) => splitmix64(number as u64),
        Value::U32(number) => splitmix64(u64::from(number)),
        Value::I32(number) => splitmix64(i64::from(number) as u64),
        Value::F64(number) => splitmix64(number.to_bits()),
        Value::Bool(truth) => splitmix64(u64::from(truth)),
        Value::Text(text) => splitmix64(fnv_1a(text.as_bytes())),
        Value::Bytes(bytes) => splitmix64(fnv_1a(bytes)),
    }
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The salt byte of a value: its bucket among 1 to 256.
#[must_use]
pub fn bucket(value: Value<'_>, buckets: u16) -> u8 {
    debug_assert!((1..=SALT_BUCKETS_MAX).contains(&buckets));
    ((u128::from(hash(value)) * u128::from(buckets)) >> 64) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_the_documentation_states() {
        assert_eq!(hash(Value::U64(0)), 0xe220_a839_7b1d_cdaf);
        assert_eq!(hash(Value::U64(1)), 0x910a_2dec_8902_5cc1);
        assert_eq!(hash(Value::I64(-1)), hash(Value::U64(u64::MAX)));
        assert_eq!(hash(Value::I32(-1)), hash(Value::I64(-1)));
        assert_eq!(hash(Value::U32(7)), hash(Value::U64(7)));
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(Value::Text("a")), splitmix64(0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn sixteen_buckets_are_the_first_four_bits_of_the_hash() {
        for room in 0..1000_u64 {
            assert_eq!(u64::from(bucket(Value::U64(room), 16)), splitmix64(room) >> 60);
        }
        assert_eq!(bucket(Value::U64(3), 1), 0);
    }
}
