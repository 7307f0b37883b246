//! All tests of the package in one binary: golden bytes, the cluster in process with faults, and real servers.
#![expect(clippy::indexing_slicing, reason = "a test that indexes past the end fails, as it should")]
#![expect(clippy::print_stdout, reason = "what a test says is shown when it fails")]

mod codecs;
mod examples;
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
mod hostile;
mod in_process;
mod real;
mod real_answers;
mod real_roads;
mod real_security;
mod real_soak;
mod roads;
mod scans;
mod security;
mod support;
mod writer;
