//! All integration tests in one binary.

mod contract;
mod real;
mod scenario;
mod support;
