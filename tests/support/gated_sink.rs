//! A sink in memory whose writes a test can hold up: a cluster that is frozen, not one that refuses.

use std::sync::Arc;

use halcyon::sink::memory::{MemorySink, Tables};
use halcyon::sink::{Batch, Sink, SinkFuture};
use tokio::sync::watch;

/// Writes go through while the gate is open, and wait at it while it is closed.
#[derive(Debug)]
pub(crate) struct GatedSink {
    sink: Arc<MemorySink>,
    open: watch::Sender<bool>,
}

impl GatedSink {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { sink: MemorySink::new(name), open: watch::Sender::new(true) })
    }

    pub(crate) fn freeze(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn thaw(&self) {
        self.open.send_replace(true);
    }

    pub(crate) fn tables(&self) -> Tables {
        self.sink.tables()
    }
}

impl Sink for GatedSink {
    fn name(&self) -> &Arc<str> {
        self.sink.name()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a> {
        Box::pin(async move {
            // The sender lives in this sink.
            let _ = self.open.subscribe().wait_for(|open| *open).await;
            self.sink.write(batch).await
        })
    }
}
