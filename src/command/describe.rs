//! `halcyon describe`: what the topology does, as text or as a drawing. Asks nobody.

use crate::cli::{Describe, DescribeFormat};
use crate::command::{Outcome, print};

/// Prints the description to standard output.
///
/// # Errors
/// If the topology has mistakes, or nobody takes the output.
pub fn run(args: &Describe) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.topology)?;
    let text = match args.format {
        _ if args.json => format!("{:#}\n", topology.json()),
        DescribeFormat::Text => topology.describe(),
        DescribeFormat::Mermaid => topology.mermaid(),
        DescribeFormat::Dot => topology.dot(),
    };
    print::text(text)?;
    Ok(Outcome::Done)
}
