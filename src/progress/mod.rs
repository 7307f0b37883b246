//! Which offsets of which partition are durable in which sink. Pure: no I/O, no clock.

pub mod feed;
pub mod ledger;
pub mod note;
pub mod offset;
pub mod topic_id;
pub mod tracker;
