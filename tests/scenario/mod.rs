//! One file for each story.

mod bad_input;
mod control;
mod groups;
mod pace;
