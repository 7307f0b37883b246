//! The client's stories on the in-process cluster: it must behave as the real ones do in `tests/real/`.

use hbase::server::Cluster;

use crate::support::stories::{Story, client_stories, run};

fn in_process(name: &str, story: Story) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start(2)).expect("free ports");
    run(cluster.registry(), (name, story));
}

client_stories!(in_process);
