//! Regions: borders, places, flushes and compactions.

use bytes::Bytes;
use prost::Message;

use super::{Admin, Online, is_unknown_method};
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::rpc::pool::Service;
use crate::scan::region_specifier;
use crate::table_name::TableName;
use crate::wire::message::{
    CompactRegionRequest, DispatchMergingRegionsRequest, Empty, FlushRegionRequest, FlushRegionResponse,
    GetRegionInfoRequest, GetRegionInfoResponse, MergeTableRegionsRequest, MoveRegionRequest, ProcedureResponse,
    RegionSpecifier, ServerNameMessage, SplitRegionRequest, SplitTableRegionRequest,
};

/// What is being compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompactionState {
    /// Nothing.
    #[default]
    None,
    /// Some files.
    Minor,
    /// All files.
    Major,
    /// Some files of one store, all of another.
    MajorAndMinor,
}

impl CompactionState {
    fn from_code(code: i32) -> Self {
        match code {
            1 => Self::Minor,
            2 => Self::Major,
            3 => Self::MajorAndMinor,
            _ => Self::None,
        }
    }

    /// Of two regions together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, state) | (state, Self::None) => state,
            (Self::Minor, Self::Minor) => Self::Minor,
            (Self::Major, Self::Major) => Self::Major,
            _ => Self::MajorAndMinor,
        }
    }
}

impl Admin {
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
        let request = MoveRegionRequest { region: encoded(&region), dest_server_name: to.and_then(server_name) };
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

    /// Joins the region that has `row` with the one behind it. Returns when the joined region is open.
    ///
    /// # Errors
    /// [`Error`]; [`Error::RegionOffline`] if one of the two is not open, or there is none behind.
    pub async fn merge(&self, table: &TableName, row: &[u8]) -> Result<(), Error> {
        let regions: Vec<Region> =
            self.client.inner().locator.regions(table).await?.into_iter().map(|(region, _)| region).collect();
        let offline = || Error::RegionOffline { table: table.to_string() };
        let first = regions.iter().find(|region| region.contains(row)).ok_or_else(offline)?;
        let is_behind = |region: &&Region| !first.end.is_empty() && region.start == first.end;
        let second = regions.iter().find(is_behind).ok_or_else(offline)?;
        let request = MergeTableRegionsRequest { region: vec![encoded(first), encoded(second)], forcible: Some(false) };
        let called = self.call::<ProcedureResponse>(("MergeTableRegions", "MergeTableRegionsResponse"), &request).await;
        match called {
            Ok(answer) => self.finish(answer).await?,
            Err(Error::Refused(exception)) if is_unknown_method(&exception) => {
                let request = DispatchMergingRegionsRequest { region_a: encoded(first), region_b: encoded(second) };
                let call = ("DispatchMergingRegions", "DispatchMergingRegionsResponse");
                self.call::<Empty>(call, &request).await?;
            }
            Err(error) => return Err(error),
        }
        self.await_regions(table, Online(regions.len() - 1)).await
    }

    /// Writes what a table's regions hold in memory to files; returns when it is done. A region that splits or moves
    /// meanwhile is flushed by that anyway.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn flush(&self, table: &TableName) -> Result<(), Error> {
        let request = |region: &Region| FlushRegionRequest { region: region_specifier(&region.name) };
        let call = ("FlushRegion", "FlushRegionResponse");
        self.each_region::<FlushRegionResponse, _>(table, call, request).await.map(|_| ())
    }

    /// Asks for a compaction of some files of every region; it runs by itself. See [`Admin::compaction_state`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compact(&self, table: &TableName) -> Result<(), Error> {
        self.ask_to_compact(table, false).await
    }

    /// Asks for a compaction of all files of every region, which drops delete markers and what they mask; it runs by
    /// itself. See [`Admin::compaction_state`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn major_compact(&self, table: &TableName) -> Result<(), Error> {
        self.ask_to_compact(table, true).await
    }

    async fn ask_to_compact(&self, table: &TableName, is_major: bool) -> Result<(), Error> {
        let request = |region: &Region| CompactRegionRequest {
            region: region_specifier(&region.name),
            major: Some(is_major),
            family: None,
        };
        self.each_region::<Empty, _>(table, ("CompactRegion", "CompactRegionResponse"), request).await.map(|_| ())
    }

    /// What is being compacted in a table now. Right after [`Admin::major_compact`] it may not have begun.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compaction_state(&self, table: &TableName) -> Result<CompactionState, Error> {
        let request = |region: &Region| GetRegionInfoRequest {
            region: region_specifier(&region.name),
            compaction_state: Some(true),
        };
        let call = ("GetRegionInfo", "GetRegionInfoResponse");
        let answers = self.each_region::<GetRegionInfoResponse, _>(table, call, request).await?;
        let states = answers.iter().map(|answer| CompactionState::from_code(answer.compaction_state.unwrap_or(0)));
        Ok(states.fold(CompactionState::None, CompactionState::and))
    }

    /// Asks the server of each region in turn, from the first row to the last, wherever the borders are then.
    async fn each_region<A, M: Message>(
        &self,
        table: &TableName,
        call: (&'static str, &'static str),
        request: impl Fn(&Region) -> M,
    ) -> Result<Vec<A>, Error>
    where
        A: Message + Default,
    {
        let mut answers = Vec::new();
        let mut start = Bytes::new();
        loop {
            let request = &request;
            let asked = self.client.on_row(table, &start, |region, timeout| async move {
                let connection = self.client.inner().pool.get(&region.server, Service::Admin).await?;
                let answer: (A, _) = connection.call(call, &request(&region), timeout).await?;
                Ok((answer.0, region.end.clone()))
            });
            let (answer, end) = asked.await?;
            answers.push(answer);
            if end.is_empty() {
                return Ok(answers);
            }
            start = end;
        }
    }
}

/// By the hash in the name, as masters know it.
fn encoded(region: &Region) -> RegionSpecifier {
    RegionSpecifier { kind: RegionSpecifier::ENCODED_REGION_NAME, value: Bytes::copy_from_slice(region.encoded_name()) }
}

fn server_name(region: &Region) -> Option<ServerNameMessage> {
    let (host, port) = region.server.rsplit_once(':')?;
    Some(ServerNameMessage { host_name: host.to_owned(), port: port.parse().ok(), start_code: Some(region.start_code) })
}
