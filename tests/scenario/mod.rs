//! One file for each story.

mod bad_input;
mod cases;
mod dead_letters;
mod groups;
mod own_projection;
mod several_topics;
