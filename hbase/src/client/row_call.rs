//! Calls about one row: tried again wherever the row's region is then, until the operation's time is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Client;
use super::attempt::Attempts;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::misuse::{Misuse, escaped};
use crate::rpc::connection::CallError;
use crate::table_name::TableName;

impl Client {
    /// Finds the row's region and makes the call there, again as its failures allow.
    pub(super) async fn on_row<T, F, Call>(&self, table: &TableName, row: &Bytes, call: F) -> Result<T, Error>
    where
        F: Fn(Arc<Region>, Duration) -> Call,
        Call: Future<Output = Result<T, Error>>,
    {
        let mut attempts = Attempts::new(&self.inner().config);
        loop {
            let region = match self.inner().locator.locate(table, row).await {
                Ok(region) => region,
                Err(error) => {
                    attempts.failed(error).await?;
                    continue;
                }
            };
            match call(Arc::clone(&region), attempts.call_timeout()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    self.note(table, &region, &error);
                    attempts.failed(error).await.map_err(|error| about_row(table, &region, row, error))?;
                }
            }
        }
    }
}

/// A final refusal, with the row that it is about.
pub(super) fn about_row(table: &TableName, region: &Region, row: &Bytes, error: Error) -> Error {
    match error {
        Error::Refused(exception) | Error::Call(CallError::Exception(exception)) => Error::RowRefused {
            table: table.to_string(),
            region: String::from_utf8_lossy(region.encoded_name()).into_owned(),
            row: escaped(row),
            exception: Box::new(exception),
        },
        other => other,
    }
}

/// A request that is not worth sending.
pub(super) fn misuse(table: &TableName, row: &Bytes) -> impl FnOnce(Misuse) -> Error {
    let (table, row) = (table.to_string(), escaped(row));
    move |misuse| Error::Misuse { table, row, misuse }
}
