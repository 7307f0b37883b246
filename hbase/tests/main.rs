//! All tests of the package in one binary: golden bytes, the cluster in process with faults, and real servers.
#![expect(clippy::indexing_slicing, reason = "a test that indexes past the end fails, as it should")]
#![expect(clippy::print_stdout, reason = "what a test says is shown when it fails")]

mod faults;
mod faults_changes;
mod faults_offline;
mod faults_order;
mod faults_reactions;
mod faults_scan;
mod faults_server;
mod faults_storm;
mod faults_wire;
mod golden;
mod in_process;
mod real;
mod scans;
mod support;
mod writer;
