//! Tables and their families.

use bytes::Bytes;

use super::descriptor::{descriptor_of, family_schema, schema_of};
use super::{Admin, Family, Online, TableDescriptor};
use crate::error::Error;
use crate::table_name::TableName;
use crate::wire::message::{
    ColumnFamilyRequest, CreateTableRequest, DeleteColumnRequest, GetSchemaAlterStatusResponse,
    GetTableDescriptorsRequest, GetTableDescriptorsResponse, GetTableNamesRequest, GetTableNamesResponse,
    ModifyTableRequest, ProcedureResponse, TableRequest, TableSchema, TruncateTableRequest,
};

impl Admin {
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
            nonce_group: Some(self.client.inner().nonces.group()),
            nonce: Some(self.client.inner().nonces.next()),
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
        let answer = self.call(("DisableTable", "DisableTableResponse"), &self.of(table)).await?;
        self.finish(answer).await
    }

    /// Puts a table into service; returns when the procedure is done.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn enable_table(&self, table: &TableName) -> Result<(), Error> {
        let answer = self.call(("EnableTable", "EnableTableResponse"), &self.of(table)).await?;
        self.finish(answer).await
    }

    /// Drops a disabled table.
    ///
    /// # Errors
    /// [`Error`]; a table that is in service is [`Error::Refused`] with `TableNotDisabledException`.
    pub async fn drop_table(&self, table: &TableName) -> Result<(), Error> {
        let answer = self.call(("DeleteTable", "DeleteTableResponse"), &self.of(table)).await?;
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
        Ok(self.schema(table).await?.as_ref().map(descriptor_of))
    }

    async fn schema(&self, table: &TableName) -> Result<Option<TableSchema>, Error> {
        let request = GetTableDescriptorsRequest { table_names: vec![table.message()], ..Default::default() };
        let called = self.call(("GetTableDescriptors", "GetTableDescriptorsResponse"), &request).await;
        let answer: GetTableDescriptorsResponse = match called {
            Err(Error::Refused(exception)) if exception.is("TableNotFoundException") => return Ok(None),
            other => other?,
        };
        Ok(answer.table_schema.into_iter().next())
    }

    /// Empties a disabled table and puts it into service; its regions stay, or become one.
    ///
    /// # Errors
    /// [`Error`]; a table that is in service is [`Error::Refused`] with `TableNotDisabledException`.
    pub async fn truncate_table(&self, table: &TableName, regions: RegionsAfter) -> Result<(), Error> {
        let (online, offline) = self.client.inner().locator.count(table).await?;
        let preserve_splits = Some(regions == RegionsAfter::Stay);
        let request = TruncateTableRequest { table_name: table.message(), preserve_splits };
        let answer = self.call(("truncateTable", "TruncateTableResponse"), &request).await?;
        self.finish(answer).await?;
        let wanted = if regions == RegionsAfter::Stay { online + offline } else { 1 };
        self.await_regions(table, Online(wanted)).await
    }

    /// Adds a family; returns when all regions have it.
    ///
    /// # Errors
    /// [`Error`]; a family that the table has is [`Error::Refused`] with `InvalidFamilyOperationException`.
    pub async fn add_family(&self, table: &TableName, family: &Family) -> Result<(), Error> {
        let request = ColumnFamilyRequest { table_name: table.message(), column_families: family_schema(family) };
        let answer = self.call(("AddColumn", "AddColumnResponse"), &request).await?;
        self.altered(table, answer).await
    }

    /// Gives a family other attributes: those that are left out have the server's defaults afterwards. Returns when
    /// all regions have them.
    ///
    /// # Errors
    /// [`Error`]; a family that the table has not is [`Error::Refused`] with `InvalidFamilyOperationException`.
    pub async fn modify_family(&self, table: &TableName, family: &Family) -> Result<(), Error> {
        let request = ColumnFamilyRequest { table_name: table.message(), column_families: family_schema(family) };
        let answer = self.call(("ModifyColumn", "ModifyColumnResponse"), &request).await?;
        self.altered(table, answer).await
    }

    /// Drops a family with its cells; returns when no region has it any more.
    ///
    /// # Errors
    /// [`Error`]; a family that the table has not is [`Error::Refused`] with `InvalidFamilyOperationException`.
    pub async fn drop_family(&self, table: &TableName, family: &str) -> Result<(), Error> {
        let column_name = Bytes::copy_from_slice(family.as_bytes());
        let request = DeleteColumnRequest { table_name: table.message(), column_name };
        let answer = self.call(("DeleteColumn", "DeleteColumnResponse"), &request).await?;
        self.altered(table, answer).await
    }

    /// Gives a table these families, at once: others are dropped with their cells. The table's own attributes stay.
    /// Returns when all regions have them.
    ///
    /// # Errors
    /// [`Error`]; [`Error::TableMissing`] if there is no such table.
    pub async fn alter_table(&self, wanted: &TableDescriptor) -> Result<(), Error> {
        let missing = || Error::TableMissing { table: wanted.name.to_string() };
        let now = self.schema(&wanted.name).await?.ok_or_else(missing)?;
        let column_families = wanted.families.iter().map(family_schema).collect();
        let table_schema = TableSchema { column_families, ..now };
        let request = ModifyTableRequest { table_name: wanted.name.message(), table_schema };
        let answer = self.call(("ModifyTable", "ModifyTableResponse"), &request).await?;
        self.altered(&wanted.name, answer).await
    }

    /// Waits until a change of the schema is everywhere. Servers of 1.x name no procedure; they count regions.
    async fn altered(&self, table: &TableName, procedure: ProcedureResponse) -> Result<(), Error> {
        if procedure.proc_id.is_some() {
            return self.finish(procedure).await;
        }
        let deadline = self.deadline();
        loop {
            let call = ("GetSchemaAlterStatus", "GetSchemaAlterStatusResponse");
            // The request is a table's name and nothing else.
            let request = TableRequest { table_name: table.message(), ..TableRequest::default() };
            let answer: GetSchemaAlterStatusResponse = self.call(call, &request).await?;
            if answer.yet_to_update_regions.unwrap_or(0) == 0 {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    fn of(&self, table: &TableName) -> TableRequest {
        let nonces = &self.client.inner().nonces;
        TableRequest { table_name: table.message(), nonce_group: Some(nonces.group()), nonce: Some(nonces.next()) }
    }
}

/// What becomes of a table's regions when it is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionsAfter {
    /// They stay, empty.
    Stay,
    /// One region is left.
    BecomeOne,
}
