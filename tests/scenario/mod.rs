//! One file for each story.

mod groups;
