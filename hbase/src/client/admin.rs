//! Tables, through the active master.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::Client;
use super::attempt::Attempts;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::exception::Exception;
use crate::rpc::connection::CallError;
use crate::rpc::pool::Service;
use crate::table_name::TableName;
use crate::wire::message::{
    BytesBytesPair, ColumnFamilySchema, CreateTableRequest, Empty, GetProcedureResultRequest,
    GetProcedureResultResponse, GetTableDescriptorsRequest, GetTableDescriptorsResponse, GetTableNamesRequest,
    GetTableNamesResponse, MoveRegionRequest, NameStringPair, ProcedureResponse, RegionSpecifier, ServerNameMessage,
    SplitRegionRequest, SplitTableRegionRequest, TableRequest, TableSchema,
};

/// Pause between two looks at a procedure or at a table's regions.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// `GetProcedureResultResponse.State`.
const PROCEDURE_RUNNING: i32 = 1;

/// A column family with its attributes as HBase writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name.
    pub name: String,
    /// Attributes by name: `VERSIONS`, `COMPRESSION`, `BLOOMFILTER`, `TTL`, `DATA_BLOCK_ENCODING`, … What is left out
    /// has the server's default.
    pub attributes: Vec<(String, String)>,
    /// Configuration overrides.
    pub configuration: Vec<(String, String)>,
}

impl Family {
    /// A family with the server's defaults.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), configuration: Vec::new() }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// An attribute, if it is set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A table with its families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescriptor {
    /// Name.
    pub name: TableName,
    /// Families.
    pub families: Vec<Family>,
}

/// Table operations of one cluster.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a table whose regions begin at the start and at `splits`; returns when all of them are open.
    ///
    /// Dropped half-way, the table may exist.
    ///
    /// # Errors
    /// [`Error`]; a table that exists is [`Error::Refused`] with `TableExistsException`.
    pub async fn create_table(&self, table: &TableDescriptor, splits: &[Bytes]) -> Result<(), Error> {
        let request = CreateTableRequest {
            table_schema: schema_of(table),
            split_keys: splits.to_vec(),
            ..CreateTableRequest::default()
        };
        let answer: ProcedureResponse = self.call(("CreateTable", "CreateTableResponse"), &request).await?;
        self.finish(answer).await?;
        self.await_regions(&table.name, Online(splits.len() + 1)).await
    }

    /// Takes a table out of service; returns when it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn disable_table(&self, table: &TableName) -> Result<(), Error> {
        let answer = self.call(("DisableTable", "DisableTableResponse"), &of(table)).await?;
        self.finish(answer).await
    }

    /// Puts a table into service; returns when the procedure is done.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn enable_table(&self, table: &TableName) -> Result<(), Error> {
        let answer = self.call(("EnableTable", "EnableTableResponse"), &of(table)).await?;
        self.finish(answer).await
    }

    /// Drops a disabled table.
    ///
    /// # Errors
    /// [`Error`]; a table that is in service is [`Error::Refused`] with `TableNotDisabledException`.
    pub async fn drop_table(&self, table: &TableName) -> Result<(), Error> {
        let answer = self.call(("DeleteTable", "DeleteTableResponse"), &of(table)).await?;
        self.finish(answer).await?;
        self.await_regions(table, Online(0)).await
    }

    /// All tables but the system's.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_tables(&self) -> Result<Vec<TableName>, Error> {
        let request = GetTableNamesRequest { include_sys_tables: Some(false), ..GetTableNamesRequest::default() };
        let answer: GetTableNamesResponse = self.call(("GetTableNames", "GetTableNamesResponse"), &request).await?;
        let mut names: Vec<TableName> = answer.table_names.iter().map(TableName::of_message).collect();
        names.sort();
        Ok(names)
    }

    /// A table's families; `None` if there is no such table.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn describe_table(&self, table: &TableName) -> Result<Option<TableDescriptor>, Error> {
        let request = GetTableDescriptorsRequest { table_names: vec![table.message()], ..Default::default() };
        let called = self.call(("GetTableDescriptors", "GetTableDescriptorsResponse"), &request).await;
        let answer: GetTableDescriptorsResponse = match called {
            Err(Error::Refused(exception)) if exception.is("TableNotFoundException") => return Ok(None),
            other => other?,
        };
        Ok(answer.table_schema.first().map(descriptor_of))
    }

    /// Cuts the region that has `row` in two at it. Returns when the daughters are open. The first row of a region
    /// cannot be cut at.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn split(&self, table: &TableName, row: &Bytes) -> Result<(), Error> {
        let regions = self.client.inner().locator.regions(table).await?;
        let before = regions.len();
        let region = regions.into_iter().find(|(region, _)| region.contains(row));
        let (region, info) = region.ok_or_else(|| Error::RegionOffline { table: table.to_string() })?;
        let request =
            SplitTableRegionRequest { region_info: info, split_row: row.clone(), ..SplitTableRegionRequest::default() };
        let called = self.call::<ProcedureResponse>(("SplitRegion", "SplitTableRegionResponse"), &request).await;
        match called {
            Ok(answer) => self.finish(answer).await?,
            // 1.x: the region server cuts by itself.
            Err(Error::Refused(exception)) if is_unknown_method(&exception) => {
                self.split_by_server(&region, row).await?
            }
            Err(error) => return Err(error),
        }
        self.await_regions(table, Online(before + 1)).await
    }

    /// Moves the region that has `row` to another server, `host:port` with its start code, or to any other one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn move_region(&self, table: &TableName, row: &[u8], to: Option<&Region>) -> Result<(), Error> {
        let regions = self.client.inner().locator.regions(table).await?;
        let region = regions.into_iter().map(|(region, _)| region).find(|region| region.contains(row));
        let region = region.ok_or_else(|| Error::RegionOffline { table: table.to_string() })?;
        let request = MoveRegionRequest {
            region: RegionSpecifier {
                kind: RegionSpecifier::ENCODED_REGION_NAME,
                value: Bytes::copy_from_slice(region.encoded_name()),
            },
            dest_server_name: to.and_then(server_name),
        };
        self.call::<Empty>(("MoveRegion", "MoveRegionResponse"), &request).await.map(|_| ())
    }

    async fn split_by_server(&self, region: &Region, row: &Bytes) -> Result<(), Error> {
        let inner = self.client.inner();
        let connection = inner.pool.get(&region.server, Service::Admin).await?;
        let request = SplitRegionRequest {
            region: RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: region.name.clone() },
            split_point: Some(row.clone()),
        };
        let call = ("SplitRegion", "SplitRegionResponse");
        connection.call::<Empty>(call, &request, inner.config.rpc_timeout).await?;
        Ok(())
    }

    /// Calls the active master, again while it is moving or starting.
    async fn call<A: Message + Default>(&self, call: (&str, &'static str), request: &impl Message) -> Result<A, Error> {
        let inner = self.client.inner();
        let mut attempts = Attempts::new(&inner.config);
        loop {
            let timeout = attempts.call_timeout();
            let tried = async {
                let master = inner.directory.active_master(timeout).await?;
                let connection = inner.pool.get(&master, Service::Master).await?;
                Ok(connection.call(call, request, timeout).await?.0)
            };
            match tried.await {
                Ok(answer) => return Ok(answer),
                Err(Error::Call(CallError::Exception(exception))) if is_unknown_method(&exception) => {
                    return Err(Error::Refused(exception));
                }
                Err(error) => attempts.failed(error).await?,
            }
        }
    }

    /// Waits for a procedure.
    async fn finish(&self, procedure: ProcedureResponse) -> Result<(), Error> {
        let Some(proc_id) = procedure.proc_id else { return Ok(()) };
        let request = GetProcedureResultRequest { proc_id };
        let deadline = tokio::time::Instant::now() + self.client.inner().config.operation_timeout;
        loop {
            let call = ("getProcedureResult", "GetProcedureResultResponse");
            let answer: GetProcedureResultResponse = self.call(call, &request).await?;
            if let Some(generic) = answer.exception.and_then(|exception| exception.generic_exception) {
                return Err(Error::Refused(Exception {
                    class: generic.class_name.unwrap_or_default(),
                    message: generic.message.unwrap_or_default(),
                    moved_to: None,
                    do_not_retry: true,
                }));
            }
            if answer.state != PROCEDURE_RUNNING {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    async fn await_regions(&self, table: &TableName, wanted: Online) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + self.client.inner().config.operation_timeout;
        loop {
            let (online, offline) = self.client.inner().locator.count(table).await?;
            if online == wanted.0 && offline == 0 {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    async fn look_again(&self, deadline: tokio::time::Instant) -> Result<(), Error> {
        if tokio::time::Instant::now() >= deadline {
            let elapsed = self.client.inner().config.operation_timeout;
            return Err(Error::TimedOut { elapsed, tries: 1, last: None });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        Ok(())
    }
}

/// Number of open regions that a table is to have.
#[derive(Clone, Copy, Debug)]
struct Online(usize);

/// The method is of a newer or older line than the server's.
fn is_unknown_method(exception: &Exception) -> bool {
    exception.is("exceptions.UnknownProtocolException")
        || exception.class.ends_with("UnsupportedOperationException")
        || exception.message.contains("UnsupportedOperationException")
}

fn of(table: &TableName) -> TableRequest {
    TableRequest { table_name: table.message(), ..TableRequest::default() }
}

fn server_name(region: &Region) -> Option<ServerNameMessage> {
    let (host, port) = region.server.rsplit_once(':')?;
    Some(ServerNameMessage { host_name: host.to_owned(), port: port.parse().ok(), start_code: Some(region.start_code) })
}

pub(crate) fn schema_of(table: &TableDescriptor) -> TableSchema {
    let pair = |(name, value): &(String, String)| BytesBytesPair {
        first: Bytes::copy_from_slice(name.as_bytes()),
        second: Bytes::copy_from_slice(value.as_bytes()),
    };
    let setting = |(name, value): &(String, String)| NameStringPair { name: name.clone(), value: value.clone() };
    let family = |family: &Family| ColumnFamilySchema {
        name: Bytes::copy_from_slice(family.name.as_bytes()),
        attributes: family.attributes.iter().map(pair).collect(),
        configuration: family.configuration.iter().map(setting).collect(),
    };
    TableSchema {
        table_name: Some(table.name.message()),
        column_families: table.families.iter().map(family).collect(),
        ..TableSchema::default()
    }
}

pub(crate) fn descriptor_of(schema: &TableSchema) -> TableDescriptor {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let family = |family: &ColumnFamilySchema| Family {
        name: text(&family.name),
        attributes: family.attributes.iter().map(|pair| (text(&pair.first), text(&pair.second))).collect(),
        configuration: family.configuration.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect(),
    };
    TableDescriptor {
        name: schema.table_name.as_ref().map(TableName::of_message).unwrap_or_else(|| TableName::new("")),
        families: schema.column_families.iter().map(family).collect(),
    }
}
