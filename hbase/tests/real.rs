//! The client's stories on every real cluster, by every registry it has.

use crate::support::stack;
use crate::support::stories::{Story, client_stories, run};

fn on_real_clusters(name: &str, story: Story) {
    let Some(stack) = stack::running() else { return };
    for (cluster, registry) in stack.registries() {
        println!("{name} on {cluster}");
        run(registry, (name, story));
    }
}

client_stories!(on_real_clusters);
