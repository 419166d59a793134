//! The ways in: secret, assertions of a certificate, discovery, and what each refuses.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::world::World;

const KEY: &str = include_str!("../keys/app.key");
const CERTIFICATE: &str = include_str!("../keys/app.crt");
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).unwrap()
}

fn signed(head: &Value, claims: &Value, how: &'static dyn RsaEncoding) -> String {
    let key = RsaKeyPair::from_pkcs8(&der(KEY)).unwrap();
    let head = URL_SAFE_NO_PAD.encode(head.to_string());
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(how, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256() -> Value {
    let thumb = digest(&SHA1_FOR_LEGACY_USE_ONLY, &der(CERTIFICATE));
    json!({ "typ": "JWT", "alg": "RS256", "x5t": URL_SAFE_NO_PAD.encode(thumb) })
}

fn ps256() -> Value {
    let thumb = digest(&SHA256, &der(CERTIFICATE));
    json!({ "typ": "JWT", "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(thumb) })
}

impl World {
    async fn ask(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.http.post(&self.running.token_url).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Status, error and number of a refusal.
    async fn refused(&self, form: &[(&str, &str)]) -> (u16, String, u64) {
        let (status, body) = self.ask(form).await;
        let number = body["error_codes"][0].as_u64().unwrap();
        let words = body["error_description"].as_str().unwrap();
        assert!(words.starts_with(&format!("AADSTS{number}: ")), "{words}");
        (status, body["error"].as_str().unwrap().to_owned(), number)
    }

    async fn assert(&self, assertion: &str) -> (u16, Value) {
        let scope = format!("{}/.default", self.running.base_url);
        self.ask(&[
            ("grant_type", "client_credentials"),
            ("client_id", &self.running.client_id),
            ("scope", &scope),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion),
        ])
        .await
    }

    async fn claims(&self) -> Value {
        let now = self.look("/clock").await["now_ms"].as_i64().unwrap() / 1000;
        json!({
            "aud": self.running.token_url, "iss": self.running.client_id,
            "sub": self.running.client_id, "jti": "1", "nbf": now, "exp": now + 300,
        })
    }
}

#[tokio::test]
async fn a_secret_gives_a_token_for_this_environment_only() {
    let world = World::new().await;
    let scope = format!("{}//.default", world.running.base_url);
    let (id, secret) = (world.running.client_id.as_str(), world.running.client_secret.as_str());
    let form = |id, secret, scope| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", scope),
        ]
    };
    assert_eq!(world.ask(&form(id, secret, &scope)).await.0, 200);
    let cases = [
        (form(id, "wrong", &scope), (401, "invalid_client", 7_000_215)),
        (form(id, "", &scope), (401, "invalid_client", 7_000_218)),
        (form("other", secret, &scope), (400, "unauthorized_client", 700_016)),
        (form(id, secret, "openid"), (400, "invalid_scope", 70_011)),
        (form(id, secret, "https://org.example.com/.default"), (400, "invalid_resource", 500_011)),
    ];
    for (form, (status, error, number)) in cases {
        assert_eq!(world.refused(&form).await, (status, error.to_owned(), number));
    }
    world.order("/app", json!({ "secret_expired": true })).await;
    assert_eq!(world.refused(&form(id, secret, &scope)).await.2, 7_000_222);
    let other = world.running.token_url.replace(&world.running.tenant_id, "contoso.example.com");
    let answer = world.http.post(other).form(&form(id, secret, &scope)).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["error_codes"], json!([90_002]));
}

#[tokio::test]
async fn the_older_endpoint_takes_basic_credentials_and_a_resource() {
    let world = World::new().await;
    let url = world.running.token_url.replace("/v2.0/", "/");
    let form = [("grant_type", "client_credentials"), ("resource", &world.running.base_url)];
    let request = world.http.post(url).form(&form);
    let request = request.basic_auth(&world.running.client_id, Some(&world.running.client_secret));
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["expires_in"], "3599", "a text in this version: {body}");
    assert_eq!(body["resource"], json!(world.running.base_url));
}

#[tokio::test]
async fn an_assertion_is_proved_by_the_registered_certificate() {
    let world = World::new().await;
    let claims = world.claims().await;
    let good = signed(&rs256(), &claims, &RSA_PKCS1_SHA256);
    let (status, body) = world.assert(&good).await;
    assert_eq!((status, &body["error_codes"]), (401, &json!([700_027])), "no certificate yet");
    world.order("/app", json!({ "certificate": CERTIFICATE })).await;
    assert_eq!(world.assert(&good).await.0, 200);
    assert_eq!(world.assert(&signed(&ps256(), &claims, &RSA_PSS_SHA256)).await.0, 200);

    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&rs256(), &claims, &RSA_PKCS1_SHA256)
    };
    let mut stranger = rs256();
    stranger["x5t"] = json!("AAAA");
    let now = claims["nbf"].as_i64().unwrap();
    let wrong = [
        changed("iss", json!("other")),
        changed("sub", json!("other")),
        changed("aud", json!("https://login.example.com/token")),
        changed("exp", json!(now - 1_000)),
        changed("jti", Value::Null),
        signed(&stranger, &claims, &RSA_PKCS1_SHA256),
        signed(&rs256(), &claims, &RSA_PSS_SHA256),
        signed(&json!({ "alg": "RS256" }), &claims, &RSA_PKCS1_SHA256),
        good.replace('.', ".x"),
    ];
    for assertion in wrong {
        let (status, body) = world.assert(&assertion).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")), "{body}");
    }
}

#[tokio::test]
async fn a_client_that_knows_the_authority_finds_the_token_endpoint() {
    let world = World::new().await;
    let base = format!("{}/{}", world.running.base_url, world.running.tenant_id);
    let url = format!("{base}/v2.0/.well-known/openid-configuration");
    let document: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["token_endpoint"], json!(world.running.token_url));
    assert_eq!(document["issuer"], json!(format!("{base}/v2.0")));
}

#[tokio::test]
async fn without_a_token_there_is_a_challenge_and_no_json() {
    let mut world = World::new().await;
    let who = world.get("WhoAmI").await;
    assert_eq!(who.body["OrganizationId"], json!(world.running.org_id));
    assert_eq!(who.body["UserId"], json!(world.running.user_id));
    assert_eq!(who.header("x-ms-dop-hint"), "4");
    let own = world.get("organizations?$select=name").await;
    assert_eq!(own.rows()[0]["organizationid"], json!(world.running.org_id));
    world.order("/tokens", json!({ "expire": true })).await;
    let told = world.get("WhoAmI()").await;
    assert_eq!((told.status, &told.body), (401, &Value::Null));
    assert!(told.header("www-authenticate").starts_with("Bearer authorization_uri="));
    let probe = format!("{}/api/data/", world.running.base_url);
    assert_eq!(world.send(world.http.get(probe)).await.status, 401);
    world.order("/tokens", json!({ "lifetime_s": 60 })).await;
    world.log_in().await;
    assert_eq!(world.get("WhoAmI").await.status, 200);
    world.order("/clock", json!({ "offset_s": 61 })).await;
    assert_eq!(world.get("WhoAmI").await.status, 401, "it is over");
}

#[tokio::test]
async fn an_app_without_standing_is_told_which() {
    let world = World::new().await;
    for (standing, code) in [
        ("not_a_member", "0x80072560"),
        ("blocked", "0x80095ffc"),
        ("disabled", "0x80040225"),
        ("no_role", "0x80042F09"),
    ] {
        world.order("/app", json!({ "standing": standing })).await;
        assert_eq!(world.get("WhoAmI").await.code(), (403, code));
    }
    world.order("/app", json!({ "standing": "good" })).await;
    world.order("/permissions", json!({ "table": "contact", "write": false })).await;
    let id = world.make("contacts", json!({ "lastname": "Roe" })).await;
    let told = world.patch(&format!("contacts({id})"), json!({ "lastname": "Bell" })).await;
    assert_eq!(told.code(), (403, "0x80040220"));
    assert!(told.text.contains("prvWriteContact"), "{}", told.text);
    assert_eq!(world.send(world.request(Method::GET, "contacts")).await.status, 200);
}
