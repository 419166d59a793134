//! What each `sslmode` demands of a certificate, and that each flaw has its own words.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
};
use truce::postgres::{ConnectError, ServerUrl, Settings, connect};
use truce::reconcile::Lsn;
use truce::simulator::database::{DatabaseOptions, ServerTls};

use crate::support::{World, start};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        Self::signing_by(name, &PKCS_ECDSA_P256_SHA256)
    }

    fn signing_by(name: &str, algorithm: &'static SignatureAlgorithm) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate_for(algorithm).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn certificate(&self, host: &str, until: i32) -> ServerTls {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerTls { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

struct Secured {
    world: World,
    roots: tempfile::NamedTempFile,
}

impl Secured {
    async fn new(tls: &ServerTls, root: &str) -> Self {
        let options = DatabaseOptions {
            tls: Some(tls.clone()),
            hba: vec![
                "hostssl all all 127.0.0.1/32 scram-sha-256".into(),
                "host all all 127.0.0.1/32 reject".into(),
            ],
            ..DatabaseOptions::default()
        };
        // The tables are made over the socket, so that a bad certificate is not in the way.
        let world = World::over_the_socket(options).await;
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), root).unwrap();
        Self { world, roots }
    }

    fn url(&self, mode: &str) -> ServerUrl {
        let (port, roots) = (self.world.database.port(), self.roots.path().display());
        let url = format!(
            "postgresql://truce@127.0.0.1:{port}/campaign?sslmode={mode}&sslrootcert={roots}"
        );
        url.parse::<ServerUrl>().unwrap().with_password(self.world.database.password())
    }

    /// Both kinds of connection, and that the server too believes the line to be secured.
    async fn accepts(&self, mode: &str) {
        let url = self.url(mode);
        let session = connect(&url, &Settings::default()).await.unwrap();
        let query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        assert!(session.query_one(query, &[]).await.unwrap().get::<_, bool>(0));
        start(&url, Lsn::default()).await.unwrap().stop().await.unwrap();
    }

    async fn refuses(&self, mode: &str) -> String {
        let url = self.url(mode);
        let error = connect(&url, &Settings::default()).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        error.to_string().replace(&self.world.database.port().to_string(), "PORT")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_from_a_known_issuer_for_this_host_is_what_verify_full_wants() {
    let authority = Authority::new("ours");
    let root = authority.issuer.pem();
    let server = Secured::new(&authority.certificate("127.0.0.1", 2100), &root).await;
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        server.accepts(mode).await;
    }
    let error =
        connect(&server.url("disable"), &Settings::default()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConnectError::NotAllowed { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flaw_of_a_certificate_has_its_own_words() {
    let authority = Authority::new("ours");
    let root = authority.issuer.pem();
    let server = Secured::new(&authority.certificate("127.0.0.1", 2021), &root).await;
    let expired = server.refuses("verify-full").await;

    server
        .world
        .database
        .show_certificate(&authority.certificate("db.example.com", 2100))
        .await
        .unwrap();
    let misnamed = server.refuses("verify-full").await;
    server.accepts("verify-ca").await;

    let stranger = Authority::new("theirs").certificate("127.0.0.1", 2100);
    server.world.database.show_certificate(&stranger).await.unwrap();
    let unknown = server.refuses("verify-full").await;
    assert_eq!(server.refuses("require").await, unknown, "roots were named, so they count");
    server.accepts("prefer").await;

    insta::assert_snapshot!([expired, misnamed, unknown].join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_is_bound_to_certificates_of_every_signature() {
    let algorithms = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384];
    let first = Authority::new("first");
    let server = Secured::new(&first.certificate("127.0.0.1", 2100), &first.issuer.pem()).await;
    for algorithm in algorithms {
        let authority = Authority::signing_by("next", algorithm);
        std::fs::write(server.roots.path(), authority.issuer.pem()).unwrap();
        server
            .world
            .database
            .show_certificate(&authority.certificate("127.0.0.1", 2100))
            .await
            .unwrap();
        server.accepts("verify-full").await;
    }
    // PostgreSQL cannot bind to this one; the log-in goes without.
    let authority = Authority::signing_by("next", &PKCS_ED25519);
    std::fs::write(server.roots.path(), authority.issuer.pem()).unwrap();
    server
        .world
        .database
        .show_certificate(&authority.certificate("127.0.0.1", 2100))
        .await
        .unwrap();
    server.accepts("verify-full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signs_itself_can_be_named_as_the_root() {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let tls = ServerTls { certificate_pem: pem.clone(), key_pem: key.serialize_pem() };
    let server = Secured::new(&tls, &pem).await;
    server.accepts("verify-full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_that_cannot_be_read_are_named() {
    let authority = Authority::new("ours");
    let server = Secured::new(&authority.certificate("127.0.0.1", 2100), "no certificate").await;
    let error =
        connect(&server.url("verify-full"), &Settings::default()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConnectError::RootCert { .. }), "{error:?}");
    let path = server.roots.path().display().to_string();
    assert_eq!(
        error.to_string(),
        format!("sslrootcert `{path}`: it holds no certificate in PEM form")
    );
}
