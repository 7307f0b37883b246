//! Where sinks start, what halts them, and moving them by hand.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::world::{PARTITIONS, World, is_running, lines, variable};
use crate::support::process::{Process, halcyon};

#[test]
fn a_partition_added_later_is_read_from_its_beginning_though_start_is_latest() {
    if !is_running() {
        return;
    }
    let world = World::with("added", |text| text.replace("start  = \"earliest\"", "start  = \"latest\""));
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 0, "what was there before the first start is not wanted");
    world.add_partitions(PARTITIONS + 3);
    world.send(400..1000, 100_000);
    assert_eq!(world.catch_up(), 600);
}

#[test]
fn a_time_behind_the_last_record_is_the_end_as_it_is_now() {
    if !is_running() {
        return;
    }
    let world = World::with("future", |text| text.replace("\"earliest\"", "2099-01-01T00:00:00Z"));
    world.send(0..300, 100_000);
    let (code, out, error) = world.offsets(&["show"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("the end now: all records are older") && out.contains("reads from 150 s before it"), "{out}");
    assert_eq!(world.catch_up(), 0);
    world.send(300..400, 100_000);
    assert_eq!(world.catch_up(), 100, "the end was written down when it was decided");
}

#[test]
fn a_start_by_time_reads_its_margin_too() {
    if !is_running() {
        return;
    }
    let first_ms: i64 = 1_790_000_000_000;
    let time = jiff_text(first_ms + 1_000_000);
    let world = World::with("margin", |text| text.replace("\"earliest\"", &format!("{time}\nstart_margin = \"5m\"")));
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", variable("HALCYON_KAFKA")).create().expect("a producer");
    for number in 0..200 {
        let record = BaseRecord::<[u8], str>::to(&world.topic).partition(1).payload("{}");
        producer.send(record.timestamp(first_ms + number * 10_000)).map_err(|(error, _)| error).expect("room");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
    let (code, out, error) = world.offsets(&["show", "--sink", "blue", "--partition", "1", "--json"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(lines(&out)[0]["starts_at"], 70, "1000 s less 300 s, at one record each 10 s: {out}");
    let (code, out, error) = halcyon(&["check", "--live", "--topology", &world.path()]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("reads from 300 s before it"), "{out}");
}

/// A time as a topology has it.
fn jiff_text(ms: i64) -> String {
    let seconds = ms / 1000;
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .expect("date runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Kafka forgets offsets together with their topic.
#[test]
fn a_topic_made_anew_while_nobody_reads_is_started_as_start_says() {
    if !is_running() {
        return;
    }
    let world = World::new("forgotten");
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 400);
    world.make_topic_anew();
    world.send(0..1500, 100_000);
    assert_eq!(world.catch_up(), 1500, "nothing of the new topic is skipped");
    world.assert_equal(1500);
}

#[test]
fn offsets_that_outlive_their_topic_are_refused_until_the_sinks_are_reset() {
    if !is_running() {
        return;
    }
    let world = World::new("anew");
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 400);
    let groups = ["blue", "green"].map(|sink| format!("{}.{sink}", world.name));
    let commits = groups.clone().map(|group| world.commits(&group));
    world.make_topic_anew();
    // As many records as before and more: offsets alone would not tell.
    world.send(0..1500, 100_000);
    // As after a restore of the groups, or a commit that was on its way when the topic was deleted.
    for (group, commits) in groups.iter().zip(&commits) {
        world.restore(group, commits);
    }
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("was deleted and made anew") && error.contains("halcyon offsets reset --sink"), "{error}");
    let (code, out, _) = world.offsets(&["show"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("nowhere: ") && out.contains("made anew"), "{out}");
    let reset = ["reset", "--sink", "blue", "--sink", "green", "--reason", "the topic was made anew"];
    let (code, out, error) = world.offsets(&[&reset[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]).0, 3, "nothing was moved by it");
    let (code, out, error) = world.offsets(&reset);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(world.catch_up(), 1500);
    world.assert_equal(1500);
}

#[test]
fn a_topic_made_anew_while_it_is_read_stops_the_run() {
    if !is_running() {
        return;
    }
    let world = World::new("anew_live");
    world.send(0..400, 100_000);
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "100"]);
    run.wait_status("all events", |status| status.events >= Some(400));
    world.make_topic_anew();
    world.send(0..4000, 100_000);
    let ended = run.end();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    println!("{:?}: {}", ended.status.code(), error.lines().last().unwrap_or_default());
    assert_eq!(ended.status.code(), Some(3), "{error}");
}

#[test]
fn offsets_are_moved_only_while_nobody_is_in_the_group_and_the_journal_knows() {
    if !is_running() {
        return;
    }
    let world = World::new("moved");
    world.send(0..400, 100_000);
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "100"]);
    run.wait_status("all committed", |status| {
        let lags = || status.partitions.iter().flat_map(|held| &held.sinks);
        lags().count() == 8
            && lags().all(|lag| lag.committed == lag.durable && lag.lag_offsets == Some(0))
            && status.events == Some(400)
    });
    let set = ["set", "--sink", "green", "--partition", "2", "--to", "0", "--reason", "wiped by mistake"];
    let before = world.committed(&format!("{}.green", world.name));
    let (code, out, error) = world.offsets(&set);
    assert_eq!(code, 1, "{out}{error}");
    assert!(error.contains("has members") && error.contains("halcyon at 127.0.0.1"), "{error}");
    assert_eq!(world.committed(&format!("{}.green", world.name)), before);
    let (_, out, _) = world.offsets(&["show"]);
    assert!(out.contains("Stable, 1 members; halcyon at 127.0.0.1"), "{out}");
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));

    let (code, out, error) = world.offsets(&[&set[..], &["--dry-run", "--json"]].concat());
    assert_eq!(code, 0, "{error}");
    let at = before[2].expect("committed");
    let step = &lines(&out)[0];
    assert_eq!(
        (&step["from"], &step["to"], &step["read_again"], &step["skipped"]),
        (&at.into(), &0.into(), &at.into(), &0.into())
    );
    assert_eq!(world.committed(&format!("{}.green", world.name)), before, "a dry run moves nothing");
    let (_, out, _) = world.offsets(&["journal"]);
    assert!(out.contains("no entries"), "and writes nothing: {out}");

    let (code, _, error) = world.offsets(&set);
    assert_eq!(code, 0, "{error}");
    assert_eq!(world.committed(&format!("{}.green", world.name))[2], Some(0));
    assert_eq!(world.committed(&world.name)[2], Some(0), "the membership group is the minimum");
    let (code, out, error) = world.offsets(&["journal", "--json"]);
    assert_eq!(code, 0, "{error}");
    let entries = lines(&out);
    let phases: Vec<&str> = entries.iter().map(|entry| entry["phase"].as_str().expect("a phase")).collect();
    assert_eq!(phases, ["intended", "done"]);
    assert_eq!(entries[1]["note"], "wiped by mistake");
    assert_eq!(entries[1]["moves"][0]["from"], at);
    assert_eq!(entries[1]["moves"][0]["to"], 0);
    assert_eq!(world.catch_up(), at as u64, "green reads the partition again, and only that");
    world.assert_equal(400);
}

#[test]
fn wrong_moves_are_refused_as_a_whole() {
    if !is_running() {
        return;
    }
    let world = World::new("wrong_moves");
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 400);
    let before = world.committed(&format!("{}.blue", world.name));
    let cases: [(&[&str], &str); 6] = [
        (&["reset"], "--sink NAME; there are blue, green"),
        (&["set", "--sink", "red", "--to", "latest"], "no such cluster"),
        (&["set", "--sink", "blue", "--to", "5"], "one offset is for one partition"),
        (&["set", "--sink", "blue", "--to", "0=0,1=999999"], "is not in the log"),
        (&["set", "--sink", "blue", "--to", "0=0,77=1"], "partition 77 is not among"),
        (&["set", "--sink", "blue", "--topic", "nowhere", "--to", "latest"], "no such topic"),
    ];
    for (arguments, part) in cases {
        let (code, out, error) = world.offsets(arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}{error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    assert_eq!(world.committed(&format!("{}.blue", world.name)), before);
}

#[test]
fn an_accepted_loss_lets_the_run_go_on_and_is_recorded() {
    if !is_running() {
        return;
    }
    let world = World::new("loss");
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 400);
    let from = world.committed(&format!("{}.blue", world.name))[0].expect("committed");
    world.send(400..1200, 100_000);
    let to = world.cut(0);
    let run = ["run", "--topology", &world.path(), "--until-caught-up"];
    let (code, _, error) = halcyon(&run);
    assert_eq!(code, 3, "{error}");
    let accept = format!("{}/0={from}..{to}", world.topic);
    assert!(error.contains(&format!("--accept-loss {accept}")), "{error}");
    let less = format!("{}/0={from}..{}", world.topic, to - 1);
    assert_eq!(halcyon(&[&run[..], &["--accept-loss", &less]].concat()).0, 3, "a smaller range is not this one");
    let (code, _, error) = halcyon(&[&run[..], &["--accept-loss", &accept]].concat());
    assert_eq!(code, 0, "{error}");
    let (_, out, _) = world.offsets(&["journal"]);
    assert!(out.contains("accept-loss done") && out.contains(&format!("[0]: {from} -> {to}")), "{out}");
    assert_eq!(halcyon(&run).0, 0, "it is behind the range now");
}

#[test]
fn a_sinks_group_that_is_gone_is_not_silently_started_anew() {
    if !is_running() {
        return;
    }
    let world = World::new("gone");
    world.send(0..400, 100_000);
    assert_eq!(world.catch_up(), 400);
    world.delete_group(&format!("{}.green", world.name));
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("expired or deleted") && error.contains("--to remembered"), "{error}");
    let (code, out, error) = world.offsets(&["set", "--sink", "green", "--to", "remembered"]);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(world.catch_up(), 0, "nothing is read twice");
    world.assert_equal(400);
}
