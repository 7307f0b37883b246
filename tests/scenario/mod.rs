//! One file for each story.

mod bad_input;
mod cluster_faults;
mod groups;
