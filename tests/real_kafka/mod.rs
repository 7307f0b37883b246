//! Against a real Kafka, with clusters in process: what no mock can show. They run when `REAL=1` and the addresses of
//! `stack up --only kafka` are in the environment.

mod faults;
mod offsets;
mod security;
mod transactions;
mod world;
