//! The house rules that no compiler holds: who may use what, what every file begins with, what may not be left behind.
//!
//! It prints the longest files and functions as a reading list and fails on none of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file, by its path from the project's root.
struct File {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    collect(&root().join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            collect(&entry, endings, found);
        } else if endings.iter().any(|ending| entry.to_string_lossy().ends_with(ending)) {
            let path = entry.strip_prefix(root()).expect("below the root").display().to_string();
            found.push(File { path, text: fs::read_to_string(&entry).expect("text") });
        }
    }
}

/// The part of a file that is no test of its own.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Files below `folder` in which a line of code mentions one of `forbidden`.
fn offenders(folder: &str, forbidden: &[&str], except: &[&str]) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in files(folder, &[".rs"]) {
        if except.iter().any(|except| file.path.starts_with(except)) || file.path.ends_with("/tests.rs") {
            continue;
        }
        for line in code_lines(production(&file.text)) {
            if let Some(word) = forbidden.iter().find(|word| line.contains(**word)) {
                offenders.push(format!("{}: {word}: {line}", file.path));
            }
        }
    }
    offenders
}

fn none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn the_client_package_knows_nothing_of_the_pipeline() {
    none(
        "hbase uses none of ours",
        offenders("hbase/src", &["halcyon", "rdkafka", "arrow"], &["hbase/src/client/mod.rs"]),
    );
    none("bytes know no sockets", offenders("hbase/src/wire", &["tokio", "std::net"], &[]));
    let server = ["crate::server", "super::server"];
    none(
        "only tests and the demo use the server",
        // The writer's own noun `server` is what it knows of a region server.
        offenders("hbase/src", &server, &["hbase/src/server", "hbase/src/lib.rs", "hbase/src/client/writer/"]),
    );
    none("only the demo starts clusters", offenders("src", &["hbase::server"], &["src/command/demo"]));
}

#[test]
fn what_decides_is_pure() {
    let impure = ["tokio", "rdkafka", "hbase::rpc", "SystemTime", "Instant::now", "rand::"];
    none("model is pure", offenders("src/model", &impure, &[]));
    none("decode is pure", offenders("src/decode", &impure, &[]));
    none("project is pure", offenders("src/project", &impure, &[]));
    none("offsets and trackers are pure", offenders("src/progress", &impure, &["src/progress/ledger.rs"]));
    none("attachment is pure", offenders("src/attachment", &impure, &[]));
    none(
        "starts are decided without asking",
        offenders(
            "src/source/kafka",
            &impure,
            &[
                "src/source/kafka/assign.rs",
                "src/source/kafka/client.rs",
                "src/source/kafka/commit.rs",
                "src/source/kafka/context.rs",
                "src/source/kafka/control.rs",
                "src/source/kafka/group.rs",
                "src/source/kafka/lane.rs",
                "src/source/kafka/member.rs",
                "src/source/kafka/mod.rs",
                "src/source/kafka/offsets.rs",
                "src/source/kafka/private/mod.rs",
                "src/source/kafka/queue.rs",
                "src/source/kafka/reach.rs",
                "src/source/kafka/reader.rs",
                "src/source/kafka/watch.rs",
                "src/source/kafka/retention.rs",
                "src/source/kafka/work.rs",
            ],
        ),
    );
    none("comparing asks nobody", offenders("src/verify", &["tokio", "rdkafka", "SystemTime"], &[]));
}

#[test]
fn data_flows_one_way() {
    none("sources do not know sinks", offenders("src/source", &["crate::sink", "crate::command", "crate::http"], &[]));
    none("sinks do not know sources", offenders("src/sink", &["crate::source", "crate::command", "crate::http"], &[]));
    let above = ["crate::command", "crate::cli", "crate::http", "crate::engine"];
    for folder in ["src/model", "src/decode", "src/project", "src/progress", "src/topology", "src/verify", "src/chat"] {
        none("nothing below uses what is above", offenders(folder, &above, &[]));
    }
    none("only command uses anyhow", offenders("src", &["anyhow"], &["src/command", "src/main.rs"]));
    none("the command line ends in command", offenders("src", &["crate::cli"], &["src/command", "src/cli.rs"]));
}

#[test]
fn the_time_of_day_is_asked_in_one_place() {
    none("SystemTime", offenders("src", &["SystemTime::now"], &["src/clock.rs"]));
}

#[test]
fn every_file_says_what_it_is() {
    let folders = ["src", "hbase/src", "hbase/tests", "bench/src", "tests"];
    let silent = folders
        .iter()
        .flat_map(|folder| files(folder, &[".rs"]))
        .filter(|file| !file.text.starts_with("//!") && !file.path.ends_with("/tests.rs"));
    none("no module documentation", silent.map(|file| file.path).collect());
    let grab_bags = ["util", "utils", "common", "types", "helpers", "prelude", "misc"];
    let bags = folders.iter().flat_map(|folder| files(folder, &[".rs"])).filter(|file| {
        let stem = Path::new(&file.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| grab_bags.contains(&stem.as_str()))
    });
    none("a name that says nothing", bags.map(|file| file.path).collect());
}

#[test]
fn nothing_is_left_behind() {
    // Put together, so that this file does not contain them.
    let marks: Vec<String> =
        [("to", "do!("), ("db", "g!("), ("FIX", "ME"), ("XX", "X"), ("#[ign", "ore"), ("un", "implemented!(")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let mut left = Vec::new();
    for file in
        ["src", "hbase/src", "hbase/tests", "bench/src", "tests"].iter().flat_map(|folder| files(folder, &[".rs"]))
    {
        for line in file.text.lines() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                left.push(format!("{}: {line}", file.path));
            }
        }
    }
    none("marks", left);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let folders = ["src", "hbase", "bench", "tests", "docker", "topology"];
    let homes: Vec<String> =
        [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/")].iter().map(|(a, b)| format!("{a}{b}")).collect();
    let mut found = Vec::new();
    for file in folders.iter().flat_map(|folder| files(folder, &[".rs", ".sh", ".toml", ".md", ".yml", "stack", "run"]))
    {
        for line in file.text.lines() {
            if homes.iter().any(|home| line.contains(home.as_str())) {
                found.push(format!("{}: {line}", file.path));
            }
        }
    }
    none("paths", found);
}

/// The claims that `hbase/tests/README.md` names: behind `::`, of several words.
fn named_tests(table: &str) -> BTreeSet<&str> {
    let names = table.split("::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_').unwrap_or(rest.len());
        rest.split_at(end).0
    });
    names.filter(|name| name.matches('_').count() >= 2).collect()
}

#[test]
fn every_test_that_the_acceptance_table_names_exists() {
    let table = fs::read_to_string(root().join("hbase/tests/README.md")).expect("the table");
    let named = named_tests(&table);
    assert!(named.len() > 100, "{} names are not the whole table", named.len());
    let sources: Vec<File> = ["hbase/src", "hbase/tests", "tests"].iter().flat_map(|at| files(at, &[".rs"])).collect();
    let words: BTreeSet<&str> =
        sources.iter().flat_map(|file| file.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect();
    none("no such test", named.into_iter().filter(|name| !words.contains(name)).map(str::to_owned).collect());
}

#[test]
fn the_longest_files_are_a_reading_list() {
    let mut sizes: BTreeSet<(usize, String)> = BTreeSet::new();
    for file in ["src", "hbase/src", "bench/src"].iter().flat_map(|folder| files(folder, &[".rs"])) {
        sizes.insert((production(&file.text).lines().count(), file.path));
    }
    let count = sizes.len();
    println!(
        "{count} files, median {} lines; the longest:",
        sizes.iter().nth(count / 2).map_or(0, |(lines, _)| *lines)
    );
    for (lines, path) in sizes.iter().rev().take(8) {
        println!("{lines:5}  {path}");
    }
}
