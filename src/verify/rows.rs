//! Rows in key order, wherever they come from.

use hbase::cell::Cell;
use hbase::client::Client;
use hbase::client::scanner::Scanner;
use hbase::error::Error;
use hbase::scan::Scan;
use hbase::table_name::TableName;

/// Rows in ascending order of their keys, each with its cells in order.
pub trait Rows {
    /// The next row; `None` at the end.
    fn next_row(&mut self) -> impl Future<Output = Result<Option<Vec<Cell>>, Error>> + Send;
}

/// The newest version of every cell of a table.
#[must_use]
pub fn of_table(client: &Client, table: &str) -> Scanner {
    client.scan(&TableName::new(table), Scan::default())
}

impl Rows for Scanner {
    async fn next_row(&mut self) -> Result<Option<Vec<Cell>>, Error> {
        Ok(Scanner::next_row(self).await?.map(|row| row.to_cells()))
    }
}

/// Rows that are computed.
#[derive(Debug)]
pub struct Computed<I>(pub I);

impl<I: Iterator<Item = Vec<Cell>> + Send> Rows for Computed<I> {
    async fn next_row(&mut self) -> Result<Option<Vec<Cell>>, Error> {
        Ok(self.0.next())
    }
}
