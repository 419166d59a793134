//! What a real server sent is understood to the letter; cut or corrupted anywhere it is an error
//! or another message, never a panic.
//!
//! The fixtures hold the messages of real statements, one a line. They are captured anew by
//! `TRUCE_CAPTURE=1 cargo test --test pgoutput_golden`, on whatever server is installed.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use truce::campaign::pgoutput::{DecodeError, Message, decode};
use truce::campaign::slot;
use truce::simulator::database::{Database, DatabaseOptions};

#[path = "replication_stream/described.rs"]
mod described;
use described::described;

/// One kind of thing that happens to a database.
struct Scenario {
    name: &'static str,
    before: &'static str,
    statements: &'static [&'static str],
}

const TABLE: &str =
    "create table t (id integer not null, name varchar(30), big text, at timestamptz);
create unique index t_id on t (id);
alter table t replica identity using index t_id;
alter table t alter big set storage external;";

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "insert",
        before: TABLE,
        statements: &[
            "insert into t values (1, 'Zoë', null, '2020-02-02 02:02:02.5+02'), (2, '', repeat('x', 9), null)",
        ],
    },
    Scenario {
        name: "update",
        before: TABLE,
        statements: &[
            "insert into t values (1, 'one', repeat('x', 3000))",
            "update t set name = 'uno'",
            "update t set id = 2",
        ],
    },
    Scenario {
        name: "update_full",
        before: "create table t (id integer not null, name text);
                 alter table t replica identity full;",
        statements: &["insert into t values (1, 'one')", "update t set name = null"],
    },
    Scenario {
        name: "delete",
        before: TABLE,
        statements: &["insert into t values (1, 'one')", "delete from t"],
    },
    Scenario {
        name: "delete_full",
        before: "create table t (id integer not null, name text);
                 alter table t replica identity full;",
        statements: &["insert into t values (1, 'one')", "delete from t"],
    },
    Scenario {
        name: "relation",
        before: "create type mood as enum ('calm', 'keen'); create schema other;
                 create table other.t (id integer primary key, felt mood, price numeric(8, 2));",
        statements: &[
            "insert into other.t values (1, 'calm', 2.50)",
            "alter table other.t rename column felt to mood; alter table other.t add column note text; \
             insert into other.t values (2, 'keen', null, 'new')",
        ],
    },
    Scenario {
        name: "truncate",
        before: "create table t (id integer primary key); create table u (id integer primary key);",
        statements: &["truncate t, u", "truncate u restart identity cascade"],
    },
    Scenario {
        name: "message",
        before: "",
        statements: &[
            "select pg_logical_emit_message(false, 'ours', '')",
            "select pg_logical_emit_message(true, 'ours', 'within')",
        ],
    },
    Scenario {
        name: "origin",
        before: "create table t (id integer primary key);
                 select pg_replication_origin_create('elsewhere');
                 select pg_replication_origin_session_setup('elsewhere');",
        statements: &[
            "begin; select pg_replication_origin_xact_setup('16/B374D848', '2020-02-02 02:02:02+00'); \
             insert into t values (1); commit",
        ],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_what_was_captured() {
    let server = Database::start(DatabaseOptions::default()).await.unwrap();
    for scenario in SCENARIOS {
        let messages = captured_now(&server, scenario).await;
        if std::env::var_os("TRUCE_CAPTURE").is_some() {
            fs::write(path(scenario), fixture_text(scenario, &messages)).unwrap();
        }
        let lines = |messages: &[Vec<u8>]| -> Vec<String> {
            messages.iter().map(|message| described(&decode(message).unwrap())).collect()
        };
        assert_eq!(lines(&messages), lines(&fixture(scenario)), "{}", scenario.name);
    }
}

#[test]
fn captured_messages_are_understood_to_the_letter() {
    for scenario in SCENARIOS {
        let mut text = String::new();
        for message in fixture(scenario) {
            let message = decode(&message).unwrap();
            writeln!(text, "{}\n    {message:?}", described(&message)).unwrap();
        }
        insta::assert_snapshot!(scenario.name, text);
    }
}

#[test]
fn a_message_that_is_cut_anywhere_is_an_error() {
    for message in all_fixtures() {
        for end in 0..message.len() {
            let error = decode(&message[..end]).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated(_)), "{error:?} at {end}");
        }
    }
}

#[test]
fn what_follows_a_message_is_an_error() {
    for mut message in all_fixtures() {
        message.push(0);
        assert_eq!(decode(&message), Err(DecodeError::Trailing(1)));
    }
}

#[test]
fn a_message_with_any_byte_corrupted_is_never_a_panic() {
    let (mut errors, mut others) = (0, 0);
    for message in all_fixtures() {
        for place in 0..message.len() {
            for value in 0..=u8::MAX {
                let mut corrupted = message.clone();
                corrupted[place] = value;
                match walk(&corrupted) {
                    Ok(()) => others += 1,
                    Err(_) => errors += 1,
                }
            }
        }
    }
    assert!(0 < errors && 0 < others, "{errors} errors, {others} other messages");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _outcome = walk(&bytes);
    }

    #[test]
    fn no_bytes_of_a_known_kind_make_it_panic(
        kind in proptest::sample::select(b"BMCORYIUDT".to_vec()),
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"\0\x01NKOtnub".to_vec())], 0..60),
    ) {
        let mut message = vec![kind];
        message.extend(bytes);
        let _outcome = walk(&message);
    }
}

/// Decodes and visits everything there is to visit. Whatever a decoder has accepted is whole.
fn walk(bytes: &[u8]) -> Result<(), DecodeError> {
    let message = decode(bytes)?;
    let columns = match message {
        Message::Insert(insert) => insert.new.datums().count() == insert.new.len(),
        Message::Update(update) => {
            let old =
                update.old.is_none_or(|old| old.tuple().datums().count() == old.tuple().len());
            old && update.new.datums().count() == update.new.len()
        }
        Message::Delete(delete) => delete.old.tuple().datums().count() == delete.old.tuple().len(),
        Message::Relation(relation) => relation.columns().count() < usize::from(u16::MAX),
        Message::Truncate(truncate) => truncate.relations().count() < bytes.len(),
        Message::Begin(_)
        | Message::Commit(_)
        | Message::Emitted(_)
        | Message::Origin(_)
        | Message::Type(_) => true,
    };
    assert!(columns, "{message:?}");
    assert!(!described(&message).is_empty());
    Ok(())
}

async fn captured_now(server: &Database, scenario: &Scenario) -> Vec<Vec<u8>> {
    let admin = server.session("postgres").await.unwrap();
    let name = scenario.name;
    admin.batch_execute(&format!("create database {name}")).await.unwrap();
    let session = server.session(name).await.unwrap();
    session.batch_execute(scenario.before).await.unwrap();
    // From another session: this one may have an origin by now, or have written.
    let other = server.session(name).await.unwrap();
    other.batch_execute("create publication p for all tables").await.unwrap();
    slot::create(&other, name).await.unwrap();
    for statement in scenario.statements {
        session.batch_execute(statement).await.unwrap();
    }
    let changes = "select data from pg_logical_slot_get_binary_changes($1, null, null,
         'proto_version', '1', 'publication_names', 'p', 'messages', 'true')";
    let rows = session.query(changes, &[&name]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn path(scenario: &Scenario) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pgoutput");
    directory.join(format!("{}.hex", scenario.name))
}

fn fixture_text(scenario: &Scenario, messages: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for line in scenario.before.lines().chain(scenario.statements.iter().copied()) {
        writeln!(text, "# {}", line.trim()).unwrap();
    }
    for message in messages {
        for byte in message {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn fixture(scenario: &Scenario) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path(scenario)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

fn byte(hex: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()
}

fn all_fixtures() -> Vec<Vec<u8>> {
    SCENARIOS.iter().flat_map(fixture).collect()
}
