//! Answers that are broken, late, doubled or lost: the client never takes one for another and goes on.

use std::time::Duration;

use bytes::Bytes;
use hbase::mutation::Durability;
use hbase::scan::{Get, Scan};
use hbase::server::{Condition, Config, Reaction, Refusal, Rule};

use crate::support::world::{World, all_at, key, puts, run};

/// A world of ten rows at version 1.
async fn written() -> World {
    let world = World::new(Config::default(), &[]).await;
    world.client.write(&world.table, &puts(0..10, 1), Durability::SyncWal).await.expect("written");
    world
}

#[test]
fn an_answer_that_ends_at_any_byte_is_no_answer() {
    run(async {
        let world = written().await;
        for method in ["Get", "Scan", "Multi"] {
            let mut length = 0;
            loop {
                let of_table = Condition::method(method).and(Condition::table(&world.table));
                let rule = world.cluster.inject_while(Rule::new(of_table.first(1), Reaction::Truncate(length)));
                match method {
                    "Get" => {
                        let cells = world.client.get(&world.table, &Get::new(key(3))).await.expect("a row");
                        assert_eq!((cells.len(), cells[0].timestamp), (1, 1), "{length} bytes");
                    }
                    "Scan" => {
                        assert_eq!(world.scanned(Scan::default()).await, all_at(0..10, 1), "{length} bytes");
                    }
                    _ => {
                        let report = world.client.write(&world.table, &puts(0..10, 1), Durability::SyncWal).await;
                        assert_eq!(report.expect("written").rows, 10, "{length} bytes");
                    }
                }
                assert_eq!(rule.hits(), 1);
                // Answers are shorter than this; behind their end a truncation only closes the connection.
                if length > 120 {
                    break;
                }
                length += 1;
            }
        }
        assert_eq!(world.rows(), all_at(0..10, 1));
    });
}

#[test]
fn a_length_that_cannot_be_ends_the_connection_and_not_the_client() {
    run(async {
        let world = written().await;
        for length in [0, 1, 3, (256 << 20) + 1, u32::MAX] {
            let rule = Rule::new(Condition::method("Get").first(1), Reaction::CorruptLength(length));
            let rule = world.cluster.inject_while(rule);
            let cells = world.client.get(&world.table, &Get::new(key(3))).await.expect("a row");
            assert_eq!((rule.hits(), cells.len()), (1, 1), "length {length}");
        }
    });
}

#[test]
fn junk_in_place_of_an_answer_ends_the_connection_and_not_the_client() {
    run(async {
        let world = written().await;
        let junk: [&[u8]; 4] = [b"\0\0\0\x02\xff\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0", &[0xff; 100]];
        for junk in junk {
            let reaction = Reaction::Junk(Bytes::from_static(junk));
            let rule = world.cluster.inject_while(Rule::new(Condition::method("Get").first(1), reaction));
            let cells = world.client.get(&world.table, &Get::new(key(3))).await.expect("a row");
            assert_eq!((rule.hits(), cells.len()), (1, 1), "{}", junk.escape_ascii());
        }
    });
}

#[test]
fn answers_that_nobody_waits_for_are_skipped_and_the_connection_stays() {
    run(async {
        let world = written().await;
        world.cluster.record();
        world.cluster.inject(Rule::new(Condition::method("Get"), Reaction::Stray));
        for row in 0..10 {
            let cells = world.client.get(&world.table, &Get::new(key(row))).await.expect("a row");
            assert_eq!(cells[0].row, key(row));
        }
        let headers = world.cluster.recorded().iter().filter(|request| request.method.is_empty()).count();
        assert_eq!(headers, 0, "no new connection");
    });
}

#[test]
fn late_answers_are_skipped_and_those_of_others_are_not_taken_for_them() {
    run(async {
        let world = written().await;
        world.cluster.record();
        // The first try of each row is answered after the client has given it up; a call in between hears the server.
        for row in 0..3 {
            let of_row = Condition::method("Get").and(Condition::rows(key(row), key(row + 1)));
            world.cluster.inject(Rule::new(of_row.first(1), Reaction::Late(Duration::from_millis(700))));
        }
        let chatter = {
            let (client, table) = (world.client.clone(), world.table.clone());
            tokio::spawn(async move {
                loop {
                    let cells = client.get(&table, &Get::new(key(9))).await.expect("a row");
                    assert_eq!(cells[0].row, key(9));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        };
        for row in 0..3 {
            let cells = world.client.get(&world.table, &Get::new(key(row))).await.expect("a row");
            assert_eq!(cells[0].row, key(row));
        }
        assert!(!chatter.is_finished(), "the other calls went on");
        chatter.abort();
        let headers = world.cluster.recorded().iter().filter(|request| request.method.is_empty()).count();
        assert_eq!(headers, 0, "no new connection");
    });
}

#[test]
fn a_slow_call_does_not_hold_up_the_others_of_its_connection() {
    run(async {
        let world = written().await;
        let of_row = Condition::method("Get").and(Condition::rows(key(0), key(1)));
        let rule = world.cluster.inject_while(Rule::new(of_row, Reaction::Delay(Duration::from_millis(300))));
        let slow = {
            let (client, table) = (world.client.clone(), world.table.clone());
            tokio::spawn(async move { client.get(&table, &Get::new(key(0))).await })
        };
        while rule.hits() == 0 {
            tokio::task::yield_now().await;
        }
        for row in 1..10 {
            let cells = world.client.get(&world.table, &Get::new(key(row))).await.expect("a row");
            assert_eq!(cells[0].row, key(row));
        }
        assert!(!slow.is_finished(), "nine answers came before the first one");
        assert_eq!(slow.await.expect("no panic").expect("a row")[0].row, key(0));
    });
}

#[test]
fn a_fatal_answer_ends_the_connection_and_every_call_on_it_is_made_again() {
    run(async {
        let world = written().await;
        let refusal = Refusal::new("ipc.FatalConnectionException");
        let fatal = Rule::new(Condition::method("Get").numbers(5..6), Reaction::Fatal(refusal));
        let fatal = world.cluster.inject_while(fatal);
        let gets: Vec<_> = (0..10)
            .map(|row| {
                let (client, table) = (world.client.clone(), world.table.clone());
                tokio::spawn(async move { client.get(&table, &Get::new(key(row))).await })
            })
            .collect();
        for (row, get) in (0..).zip(gets) {
            assert_eq!(get.await.expect("no panic").expect("a row")[0].row, key(row));
        }
        assert_eq!(fatal.hits(), 1);
    });
}
