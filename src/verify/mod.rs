//! Are two tables the same, cell by cell?

pub mod compare;
pub mod rows;
