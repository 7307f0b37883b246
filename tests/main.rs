//! All integration tests in one binary.

mod real;
mod scenario;
mod support;
