//! Whether the servers that `make test` starts are there.

/// Whether the tests on real servers are asked for; the reason is printed if not.
pub(crate) fn is_running() -> bool {
    let is_running = std::env::var("REAL").is_ok_and(|value| value == "1");
    if !is_running {
        println!("skipped: REAL=1 and a running stack are needed (`make test` starts one)");
    }
    is_running
}
