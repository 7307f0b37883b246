//! Our side: the `hbase` client on the rows of the benchmark. Runs as a child process, so that nothing else is measured.

use anyhow::Context;
use clap::{Args, Subcommand};
use hbase::client::Client;
use hbase::mutation::Durability;
use hbase::scan::Scan;
use hbase::table_name::TableName;
use tokio::task::JoinSet;

use super::digest::Digest;
use super::rows::Rows;
use crate::stack::client;

/// What the child does.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Peer {
    /// Build the rows and throw them away
    Rows {
        /// Rows
        rows: u64,
        /// Rows of a block
        block_rows: u64,
    },
    /// Write the rows
    Write(Write),
    /// Read the whole table
    Scan {
        /// ZooKeeper, host:port
        quorum: String,
        /// Table
        table: String,
    },
}

/// Arguments of `write`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Write {
    /// ZooKeeper, host:port
    quorum: String,
    /// Table
    table: String,
    /// Rows
    rows: u64,
    /// Rows of a block
    block_rows: u64,
    /// Blocks in flight
    in_flight: usize,
}

/// Does it on one thread.
pub(crate) fn run(peer: Peer) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match peer {
        Peer::Rows { rows, block_rows } => {
            let maker = Rows::new()?;
            let mut cells = 0;
            for start in (0..rows).step_by(block_rows as usize) {
                cells += maker.block(start..rows.min(start + block_rows))?.cell_count();
            }
            println!("rows={rows} cells={cells}");
        }
        Peer::Write(args) => runtime.block_on(write(args))?,
        Peer::Scan { quorum, table } => println!("{}", runtime.block_on(scan(&client(&quorum), &table))?),
    }
    Ok(())
}

async fn write(args: Write) -> anyhow::Result<()> {
    let Write { quorum, table, rows, block_rows, in_flight } = args;
    let (client, table, maker) = (client(&quorum), TableName::new(&table), Rows::new()?);
    let mut flying = JoinSet::new();
    for start in (0..rows).step_by(block_rows as usize) {
        if flying.len() >= in_flight
            && let Some(written) = flying.join_next().await
        {
            written.context("a block's task")??;
        }
        let block = maker.block(start..rows.min(start + block_rows))?;
        let (client, table) = (client.clone(), table.clone());
        flying.spawn(async move { client.write(&table, &block, Durability::UseDefault).await });
        // Its first calls leave before the next block is built.
        tokio::task::yield_now().await;
    }
    while let Some(written) = flying.join_next().await {
        written.context("a block's task")??;
    }
    Ok(())
}

/// Everything that a table holds.
pub(crate) async fn scan(client: &Client, table: &str) -> anyhow::Result<Digest> {
    let mut scanner = client.scan(&TableName::new(table), Scan::default());
    let mut digest = Digest::default();
    while let Some(row) = scanner.next_row().await? {
        digest.rows += 1;
        for cell in &row {
            digest.cell(cell.row, cell.qualifier, cell.timestamp, cell.value);
        }
    }
    Ok(digest)
}
