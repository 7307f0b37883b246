//! The nouns all others speak. No I/O, no async, no clock.

pub mod batch;
pub mod cast;
pub mod each;
pub mod expression;
pub mod field;
pub mod hash;
pub mod key;
pub mod predicate;
pub mod row_file;
pub mod rows;
pub mod schema;
pub mod value;
pub mod version;
