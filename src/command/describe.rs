//! `halcyon describe`: what the topology does, as text or as a drawing. Asks nobody.

use std::io::Write as _;

use anyhow::Context as _;

use crate::cli::{Describe, DescribeFormat};
use crate::command::Outcome;

/// Prints the description to standard output.
///
/// # Errors
/// If the topology has mistakes, or nobody takes the output.
pub fn run(args: &Describe) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.topology)?;
    let text = match args.format {
        DescribeFormat::Text => topology.describe(),
        DescribeFormat::Mermaid => topology.mermaid(),
        DescribeFormat::Dot => topology.dot(),
    };
    std::io::stdout().write_all(text.as_bytes()).context("print the description")?;
    Ok(Outcome::Done)
}
