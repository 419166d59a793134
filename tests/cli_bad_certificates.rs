//! A certificate that cannot be trusted is told with its flaw and with what mends that, on both
//! sides, and nothing is written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::World;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use serde_json::json;
use truce::simulator::database::{DatabaseOptions, ServerTls};
use truce::simulator::salesforce::Validity;

/// An authority of a database's administrator.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn certificate(&self, until: i32) -> ServerTls {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        ServerTls { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// That each command ends with words that hold all of these.
async fn check(world: &World, commands: &[&str], told: &[&str]) {
    for command in commands {
        let said = world.ends(&[command], 1).await;
        for word in told {
            assert!(said.contains(word), "{command} does not say `{word}`: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crms_expired_certificate_is_told_as_such() {
    let world = World::start_of(DatabaseOptions::default(), Validity::Over).await;
    world.done(&["setup"]).await;
    let told = ["crm.sales", "the certificate of `https://localhost:", "has expired", "renew it"];
    check(&world, &["check", "run"], &told).await;
    let counters = world.look("counters").await;
    assert_eq!(counters["records_written"], json!(0), "{counters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crms_certificate_from_an_authority_that_is_not_named_is_told_with_the_key() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    std::fs::write(world.file("ca.pem"), Authority::new("another").0.pem()).unwrap();
    let told = ["crm.sales", "authority that is not known here", "ca_file"];
    check(&world, &["check", "run"], &told).await;
    world.configure(&world.config().replace("ca_file = \"ca.pem\"\n", ""));
    check(&world, &["check", "run"], &told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flaw_of_a_servers_certificate_is_told_with_what_mends_it() {
    let authority = Authority::new("ours");
    let tls = Some(authority.certificate(2100));
    let options = DatabaseOptions { tls, ..DatabaseOptions::default() };
    let world = World::start_of(options, Validity::Current).await;
    let roots = world.file("roots.pem");
    std::fs::write(&roots, authority.0.pem()).unwrap();
    let secured = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    world.configure(&world.config().replace("sslmode=disable", &secured));
    world.done(&["setup"]).await;
    assert!(world.done(&["check"]).await.contains("it would run"));

    let commands = ["check", "run", "setup"];
    world.database.show_certificate(&authority.certificate(2021)).await.unwrap();
    check(&world, &commands, &["127.0.0.1", "has expired", "renew it"]).await;

    // A stranger, and ours made anew with another key.
    for name in ["theirs", "ours"] {
        let certificate = Authority::new(name).certificate(2100);
        world.database.show_certificate(&certificate).await.unwrap();
        check(&world, &commands, &["127.0.0.1", "issuer that is not known", "sslrootcert"]).await;
    }

    std::fs::write(&roots, "not a certificate").unwrap();
    check(&world, &commands, &["roots.pem", "no certificate in PEM form"]).await;
    std::fs::remove_file(&roots).unwrap();
    check(&world, &commands, &["roots.pem", "cannot be read"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_told_when_the_address_insists() {
    let world = World::start().await;
    world.configure(&world.config().replace("sslmode=disable", "sslmode=verify-full"));
    check(&world, &["check", "run", "setup"], &["no TLS", "sslmode=verify-full", "ssl = on"]).await;
}
