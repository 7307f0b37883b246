//! One suite, every implementation.

mod sink;
