//! One file for each story.

mod bad_input;
mod cases;
mod control;
mod dead_letters;
mod groups;
mod own_projection;
mod pace;
mod schema_registry;
mod several_topics;
