//! `halcyon test`: the cases that are shipped, and what a failing one says.

use crate::support::process::halcyon;

const CHAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/chat.toml");

#[test]
fn the_cases_beside_the_example_pass() {
    let (code, out, error) = halcyon(&["test", "--topology", CHAT]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.ends_with("5 cases: 5 passed, 0 failed\n"), "{out}");
    let (code, out, _) = halcyon(&["test", "--topology", CHAT, "--filter", "receipt", "--json"]);
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["passed"], &lines[1]["summary"]["left_out"]), (2, &true.into(), &4.into()));
}

#[test]
fn a_case_that_fails_names_row_column_and_both_values_and_the_others_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let topology = std::fs::read_to_string(CHAT).expect("the example");
    let cases = std::fs::read_to_string(CHAT.replace(".toml", ".test.toml")).expect("its cases");
    std::fs::write(path("t.toml"), topology).expect("written");
    std::fs::write(path("t.test.toml"), cases.replacen("\"m:body\" = \"hello\"", "\"m:body\" = \"hullo\"", 1))
        .expect("written");
    // A folder is a topology, and the cases in it are none.
    for topology in [path("t.toml"), folder.path().display().to_string()] {
        let (code, out, error) = halcyon(&["test", "--topology", &topology]);
        assert_eq!(code, 1, "{out}{error}");
        assert!(out.contains("FAILED  an edit that carries only the body changes only the body"), "{out}");
        let line = "(room_id = 3, message_id = 7), m:body: expected \"hullo\", got \"hello\"";
        assert!(out.contains(line) && out.contains("t.test.toml:3), events one by one"), "{out}");
        assert!(out.ends_with("5 cases: 4 passed, 1 failed\n"), "{out}");
    }
    std::fs::write(path("t.test.toml"), cases.replace("table    =", "tabl     =").replace("as = ", "sa = "))
        .expect("written");
    let (code, out, _) = halcyon(&["test", "--topology", &path("t.toml")]);
    assert!(code == 2 && out.contains("t.test.toml:") && out.contains("did you mean `table`?"), "{out}");
    let (code, out, _) = halcyon(&["test", "--topology", &path("t.toml"), "--cases", &path("none.toml")]);
    assert!(code == 2 && out.contains("none.toml: cannot be read"), "{out}");
}
