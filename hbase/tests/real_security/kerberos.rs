//! What needs a ticket.
//!
//! Tickets are found through the environment of the process, so tests that need other ones than `tester`'s run
//! themselves again in a process of their own.

use std::process::Command;

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
use hbase::scan::Scan;
use hbase::security::{Protection, SimpleFallback, Token, Tokens};
use hbase::table_name::TableName;

use super::*;

const PROTECTIONS: [Protection; 3] = [Protection::Authentication, Protection::Integrity, Protection::Privacy];
/// Long enough that requests and answers need several protected frames.
const VALUE_BYTES: usize = 1000;
const ROWS: usize = 500;

impl Secure {
    fn with_ticket(&self, protection: Protection, tls: Option<Tls>) -> Client {
        let authentication = Authentication::Kerberos(Kerberos { protection, ..self.kerberos() });
        self.client(Security { tls, authentication, simple_fallback: SimpleFallback::Refuse })
    }

    fn with_token(&self, token: &Token, protection: Protection) -> Client {
        let authentication = Authentication::Tokens(Tokens { protection, ..Tokens::new(token.clone()) });
        self.client(Security { authentication, ..Security::default() })
    }
}

/// Makes a table, writes, reads everything back, drops the table.
async fn round_trip(client: &Client, name: &str) {
    let table = TableName::new(&format!("{name}_{}", std::process::id()));
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    client.admin().create_table(&descriptor, &[Bytes::from_static(b"r00250")]).await.expect("created");
    let column = Column::new(b"f", b"q").expect("a legal column");
    let value = |row: usize| vec![row as u8; VALUE_BYTES];
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&column, 1, CellKind::Put, &value(row)).expect("room");
    }
    let report = client.write(&table, &builder.finish(), Durability::SyncWal).await.expect("written");
    assert_eq!(report.rows as usize, ROWS);
    let mut scanner = client.scan(&table, Scan::default());
    for row in 0..ROWS {
        let cells = scanner.next_row().await.expect("an answer").expect("a row").to_cells();
        assert_eq!((&cells[0].row[..], &cells[0].value[..]), (format!("r{row:05}").as_bytes(), &value(row)[..]));
    }
    assert!(scanner.next_row().await.expect("an answer").is_none());
    client.admin().disable_table(&table).await.expect("disabled");
    client.admin().drop_table(&table).await.expect("dropped");
}

#[test]
fn a_ticket_opens_the_cluster_with_every_protection() {
    let Some(secure) = secure() else { return };
    for protection in PROTECTIONS {
        println!("{protection}");
        block_on(round_trip(&secure.with_ticket(protection, None), &format!("ticket_{protection}")));
    }
}

#[test]
fn a_ticket_opens_the_cluster_inside_tls() {
    let Some(secure) = secure() else { return };
    let client = secure.with_ticket(Protection::Authentication, Some(secure.tls()));
    block_on(round_trip(&client, "ticket_in_tls"));
}

#[test]
fn the_zookeeper_registry_leads_to_the_kerberised_servers() {
    let Some(secure) = secure() else { return };
    let registry = Registry::ZooKeeper { quorum: vec![secure.zookeeper.clone()], znode: "/hbase".to_owned() };
    let security = Security { authentication: Authentication::Kerberos(secure.kerberos()), ..Security::default() };
    let client = Client::new(ClientConfig { security, ..ClientConfig::new(registry) });
    block_on(round_trip(&client, "by_zookeeper"));
}

#[test]
fn a_token_opens_the_cluster_without_a_ticket() {
    let Some(secure) = secure() else { return };
    let token = block_on(secure.with_ticket(Protection::Authentication, None).delegation_token()).expect("a token");
    let cluster_id = block_on(secure.with_ticket(Protection::Authentication, None).cluster_id()).expect("an id");
    assert_eq!(token.cluster_id(), cluster_id);
    for protection in [Protection::Authentication, Protection::Integrity] {
        println!("{protection}");
        block_on(round_trip(&secure.with_token(&token, protection), &format!("token_{protection}")));
    }
    let cause = refusal(&secure.with_token(&token, Protection::Privacy));
    assert!(matches!(cause, ConnectionCause::Security(SecurityError::ProtectionBroken { .. })), "{cause:?}");
}

#[test]
fn among_several_tokens_the_cluster_is_asked_whose_is_its_own() {
    let Some(secure) = secure() else { return };
    let token = block_on(secure.with_ticket(Protection::Authentication, None).delegation_token()).expect("a token");
    let foreign = Token::new("id".into(), "password".into(), "another cluster".to_owned());
    let with = |tokens: Vec<Token>| {
        let tokens = Tokens { tokens, protection: Protection::Authentication };
        secure.client(Security { authentication: Authentication::Tokens(tokens), ..Security::default() })
    };
    let both = with(vec![foreign.clone(), token.clone()]);
    assert_eq!(block_on(both.cluster_id()).expect("an id"), token.cluster_id());
    let cause = refusal(&with(vec![foreign.clone(), foreign]));
    assert!(matches!(cause, ConnectionCause::Security(SecurityError::NoToken { .. })), "{cause:?}");
}

#[test]
fn a_forged_token_is_refused_by_name_and_does_not_show() {
    let Some(secure) = secure() else { return };
    let token = block_on(secure.with_ticket(Protection::Authentication, None).delegation_token()).expect("a token");
    let forged = Token::new(token.identifier().clone(), "my secret".into(), token.cluster_id().to_owned());
    let client = secure.with_token(&forged, Protection::Authentication);
    let error = block_on(client.cluster_id()).expect_err("refused");
    let cause = ConnectionCause::of(&error);
    assert!(matches!(cause, ConnectionCause::Security(SecurityError::Refused { .. })), "{cause:?}");
    let shown = format!("{error:?} {} {client:?}", error.chain());
    assert!(!shown.contains("my secret") && !shown.contains("bXkgc2VjcmV0"), "{shown}");
}

#[test]
fn among_several_principals_the_one_of_the_server_is_found() {
    let Some(secure) = secure() else { return };
    let with = |servers: Vec<String>| {
        let authentication = Authentication::Kerberos(Kerberos { servers, ..secure.kerberos() });
        secure.client(Security { authentication, ..Security::default() })
    };
    let other = "master/_HOST@STACK.TEST".to_owned();
    block_on(with(vec![other.clone(), secure.principal.clone()]).cluster_id()).expect("its own is among them");
    let cause = refusal(&with(vec![other, "third/_HOST@STACK.TEST".to_owned()]));
    let ConnectionCause::Security(SecurityError::ServerPrincipalUnknown { principal }) = &cause else {
        panic!("{cause:?}")
    };
    assert_eq!(principal, "third/localhost@STACK.TEST", "the last one that was tried");
}

#[test]
fn a_server_that_kerberos_does_not_know_is_named() {
    let Some(secure) = secure() else { return };
    let authentication = Authentication::Kerberos(Kerberos::new("nobody/_HOST@STACK.TEST"));
    let cause = refusal(&secure.client(Security { authentication, ..Security::default() }));
    let ConnectionCause::Security(SecurityError::ServerPrincipalUnknown { principal }) = &cause else {
        panic!("{cause:?}")
    };
    assert_eq!(principal, "nobody/localhost@STACK.TEST");
}

/// Runs a test of this module again, with other tickets.
fn again(test: &str, environment: &[(&str, String)]) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", &format!("real_security::kerberos::{test}"), "--nocapture"]).env("HALCYON_AGAIN", "1");
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn is_again() -> bool {
    std::env::var("HALCYON_AGAIN").is_ok()
}

#[test]
fn without_a_ticket_the_error_says_what_to_run() {
    let Some(secure) = secure() else { return };
    if !is_again() {
        let nowhere = secure.keytabs.join("nothing").display().to_string();
        let environment = [("KRB5CCNAME", format!("FILE:{nowhere}")), ("KRB5_CLIENT_KTNAME", nowhere)];
        again("without_a_ticket_the_error_says_what_to_run", &environment);
        return;
    }
    let cause = refusal(&secure.with_ticket(Protection::Authentication, None));
    let ConnectionCause::Security(error @ SecurityError::NoTicket { .. }) = cause else { panic!("{cause:?}") };
    assert!(error.to_string().ends_with("run kinit or give a keytab (KRB5_CLIENT_KTNAME)"), "{error}");
}

#[test]
fn an_expired_ticket_is_an_error_and_with_a_keytab_none() {
    let Some(secure) = secure() else { return };
    let cache = format!("FILE:{}", secure.keytabs.join(format!("short_{}", std::process::id())).display());
    let keytab = secure.keytabs.join("short.keytab");
    if !is_again() {
        let nowhere = secure.keytabs.join("nothing").display().to_string();
        for (stage, keytab) in [("expired", nowhere), ("renewed", keytab.display().to_string())] {
            let environment =
                [("KRB5_CLIENT_KTNAME", keytab), ("HALCYON_STAGE", stage.to_owned()), ("KRB5CCNAME", cache.clone())];
            again("an_expired_ticket_is_an_error_and_with_a_keytab_none", &environment);
        }
        return;
    }
    let client = secure.with_ticket(Protection::Authentication, None);
    if std::env::var("HALCYON_STAGE").is_ok_and(|stage| stage == "renewed") {
        block_on(client.cluster_id()).expect("the keytab gave a new ticket");
        return;
    }
    let kinit = Command::new("kinit").args(["-k", "-t"]).arg(&keytab).arg("short").status().expect("kinit runs");
    assert!(kinit.success());
    block_on(client.cluster_id()).expect("a fresh ticket");
    while Command::new("klist").arg("-s").status().expect("klist runs").success() {
        block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }
    let cause = refusal(&secure.with_ticket(Protection::Authentication, None));
    let ConnectionCause::Security(error @ SecurityError::TicketExpired) = cause else { panic!("{cause:?}") };
    assert!(error.to_string().contains("ticket expired; run kinit or give a keytab"), "{error}");
}

#[test]
fn a_kdc_that_is_down_is_waited_for() {
    let Some(secure) = secure() else { return };
    if !is_again() {
        // A Kerberos of its own configuration: the same realm, and nobody at home.
        let config = secure.keytabs.join(format!("down_{}.conf", std::process::id()));
        let text = std::fs::read_to_string(secure.keytabs.join("krb5.conf")).expect("the configuration");
        let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a port");
        std::fs::write(&config, text.replace(&format!(":{port}"), ":1")).expect("written");
        let cache = format!("FILE:{}", secure.keytabs.join("none").display());
        let environment = [("KRB5_CONFIG", config.display().to_string()), ("KRB5CCNAME", cache)];
        again("a_kdc_that_is_down_is_waited_for", &environment);
        return;
    }
    let error = block_on(secure.with_ticket(Protection::Authentication, None).cluster_id()).expect_err("no ticket");
    assert!(error.is_transient(), "{}", error.chain());
    let cause = ConnectionCause::of(&error);
    assert!(matches!(cause, ConnectionCause::Security(SecurityError::KdcUnreachable { .. })), "{cause:?}");
}
