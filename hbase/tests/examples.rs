//! The examples run, and what they claim of themselves is true.

#[path = "../examples/admin.rs"]
mod admin;
#[path = "../examples/scan.rs"]
mod scan;
#[path = "../examples/write.rs"]
mod write;

#[test]
fn the_example_that_writes_runs() {
    write::main().expect("no error");
}

#[test]
fn the_example_that_scans_runs() {
    scan::main().expect("no error");
}

#[test]
fn the_example_of_the_admin_runs() {
    admin::main().expect("no error");
}
