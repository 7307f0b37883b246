//! One file for each story.

mod bad_input;
mod groups;
mod schema_registry;
