//! An address is read to the letter, and one that would weaken a connection unseen is refused.

use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> ServerUrl {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<ServerUrl>().unwrap_err().to_string()
}

#[test]
fn every_part_is_read() {
    let url = parsed(
        "postgresql://tr%40uce:p%3Aw%2F@db.example.com:6432/cam%20paign\
         ?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3&application_name=two",
    );
    assert_eq!(*url.host(), Host::Tcp("db.example.com".to_owned()));
    assert_eq!((url.port(), url.user(), url.database()), (6432, "tr@uce", "cam paign"));
    assert_eq!(url.password(), Some("p:w/"));
    assert_eq!(url.ssl_mode(), SslMode::VerifyFull);
    assert_eq!(url.root_cert(), Some(&RootCert::File(PathBuf::from("/etc/ca.pem"))));
    assert_eq!(url.connect_timeout(), Duration::from_secs(3));
    assert_eq!(url.application_name(), "two");
}

#[test]
fn what_is_left_away_has_a_default() {
    let url = parsed("postgres://truce@h/db");
    assert_eq!((url.port(), url.password()), (5432, None));
    assert_eq!((url.ssl_mode(), url.root_cert()), (SslMode::Prefer, None));
    assert_eq!(url.connect_timeout(), CONNECT_TIMEOUT_DEFAULT);
    assert_eq!(url.application_name(), "truce");
}

#[test]
fn hosts_of_every_kind() {
    assert_eq!(*parsed("postgresql://u@[::1]:7/d").host(), Host::Tcp("::1".to_owned()));
    assert_eq!(parsed("postgresql://u@[::1]/d").port(), 5432);
    for text in [
        "postgresql://u@/d?host=/run/pg&port=7",
        "postgresql://u@:7/d?host=/run/pg",
        "postgresql://u@%2Frun%2Fpg:7/d",
    ] {
        let url = parsed(text);
        assert_eq!((url.host(), url.port()), (&Host::Unix(PathBuf::from("/run/pg")), 7));
    }
}

#[test]
fn the_password_is_never_shown() {
    let url = parsed("postgresql://u:s3cret@h/d").with_password("als0secret");
    let shown = format!("{url} {url:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("als0secret"), "{shown}");
    assert_eq!(url.with_user("other").password(), None);
}

#[test]
fn refusals_name_the_part_and_the_remedy() {
    let refusals: Vec<String> = [
        "mysql://u@h/d",
        "postgresql://h/d",
        "postgresql://u@h",
        "postgresql://u@/d",
        "postgresql://u@h:x/d",
        "postgresql://u@h:0/d",
        "postgresql://u@[::1/d",
        "postgresql://u@a,b/d",
        "postgresql://u@h/d%zz",
        "postgresql://u@h/d%ff",
        "postgresql://u@h/d%00x",
        "postgresql://u:secret%2@h/d",
        "postgresql://u@h/d?host=/run",
        "postgresql://u@h/d?sslcert=x",
        "postgresql://u@h/d?sslmode=allow",
        "postgresql://u@h/d?sslmode=on",
        "postgresql://u@h/d?sslmode=",
        "postgresql://u@h/d?sslmode=require&sslmode=disable",
        "postgresql://u@/d?host=/run&sslmode=verify-full",
        "postgresql://u@h/d?sslrootcert=system",
        "postgresql://u@h/d?connect_timeout=0",
    ]
    .into_iter()
    .map(|text| format!("{text}\n    {}", refusal(text)))
    .collect();
    let refusals = refusals.join("\n");
    insta::assert_snapshot!(refusals);
}

proptest! {
    #[test]
    fn an_address_survives_being_shown(user in "[^\0]{1,12}", database in "[^\0]{1,12}", port in 1u16..) {
        let url = parsed("postgresql://u@h:1/d");
        let url = ServerUrl { port, ..url }.with_user(user).with_database(database);
        prop_assert_eq!(parsed(&url.to_string()), url);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(postgresql://)?\\PC{0,40}") {
        let _outcome = text.parse::<ServerUrl>();
    }
}
