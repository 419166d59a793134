//! The ways in: OAuth flows, assertions, refresh tokens, SOAP login, and what each refuses.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::world::World;

const KEY: &str = include_str!("../keys/app.key");
const CERTIFICATE: &str = include_str!("../keys/app.crt");
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl World {
    async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/services/oauth2/{path}", self.running.base_url);
        let answer = self.http.post(url).form(form).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn ask(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let app = [
            ("client_id", self.running.client_id.as_str()),
            ("client_secret", self.running.client_secret.as_str()),
        ];
        self.post_form("token", &[&app, form].concat()).await
    }

    async fn refused(&self, form: &[(&str, &str)]) -> String {
        let (status, body) = self.ask(form).await;
        assert_eq!(status, 400, "{body}");
        format!(
            "{}: {}",
            body["error"].as_str().unwrap(),
            body["error_description"].as_str().unwrap()
        )
    }

    fn claims(&self, now: i64) -> Value {
        json!({
            "iss": self.running.client_id, "sub": self.running.username,
            "aud": "https://login.salesforce.com", "exp": now + 120,
        })
    }

    async fn now(&self) -> i64 {
        self.look("/clock").await["now_ms"].as_i64().unwrap() / 1000
    }

    async fn soap(&self, version: &str, body: &str) -> (u16, String) {
        let url = format!("{}/services/Soap/u/{version}", self.running.base_url);
        let request = self.http.post(url).header("content-type", "text/xml").body(body.to_owned());
        let answer = request.header("soapaction", "login").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn signed(claims: &Value) -> String {
    let der: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256" }).to_string());
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_password_is_taken_with_its_security_token_only() {
    let world = World::new().await;
    let whole = format!("{}{}", world.running.password, world.running.security_token);
    let form = |password| {
        [
            ("grant_type", "password"),
            ("username", world.running.username.as_str()),
            ("password", password),
        ]
    };
    let (status, body) = world.ask(&form(&whole)).await;
    assert_eq!((status, &body["instance_url"]), (200, &json!(world.running.base_url)));
    assert_eq!(body["refresh_token"], Value::Null);
    let bare = world.running.password.clone();
    assert_eq!(world.refused(&form(&bare)).await, "invalid_grant: authentication failure");
    world.order("/app", json!({ "password_flow": false })).await;
    assert_eq!(world.refused(&form(&whole)).await, "invalid_grant: authentication failure");
}

#[tokio::test]
async fn an_assertion_is_proved_by_the_registered_certificate() {
    let world = World::new().await;
    let now = world.now().await;
    let ask = async |claims: &Value| {
        let assertion = signed(claims);
        world.ask(&[("grant_type", JWT_BEARER), ("assertion", &assertion)]).await
    };
    let good = world.claims(now);
    assert_eq!(ask(&good).await.1["error_description"], "invalid assertion", "no certificate yet");
    world.order("/app", json!({ "certificate": CERTIFICATE })).await;
    let (status, body) = ask(&good).await;
    assert_eq!((status, &body["token_type"]), (200, &json!("Bearer")), "{body}");
    let mut text = good.clone();
    text["exp"] = json!((now + 120).to_string());
    assert_eq!(ask(&text).await.0, 200, "one client sends digits as a text");

    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let cases = [
        (changed("iss", json!("other")), "invalid_client_id", "client identifier invalid"),
        (
            changed("sub", json!("other@example.com")),
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
        (
            changed("aud", json!("https://test.salesforce.com")),
            "invalid_grant",
            "audience is invalid",
        ),
        (changed("exp", json!(now - 60)), "invalid_grant", "invalid assertion"),
        (changed("exp", json!(now + 600)), "invalid_grant", "invalid assertion"),
    ];
    for (claims, error, description) in cases {
        let (status, body) = ask(&claims).await;
        let expected = json!({ "error": error, "error_description": description });
        assert_eq!((status, body), (400, expected), "{claims}");
    }
    let assertion = signed(&good);
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(changed("exp", json!(now + 121)).to_string());
    let forged = format!("{head}.{other}.{signature}");
    let refusal = world.refused(&[("grant_type", JWT_BEARER), ("assertion", &forged)]).await;
    assert_eq!(refusal, "invalid_grant: invalid assertion");

    world.order("/app", json!({ "sandbox": true })).await;
    assert_eq!(ask(&good).await.1["error_description"], "audience is invalid");
    let rows = world.rows("SELECT IsSandbox FROM Organization").await;
    assert_eq!(rows[0]["IsSandbox"], true);
}

#[tokio::test]
async fn a_rotated_refresh_token_that_comes_again_ends_the_grant() {
    let world = World::new().await;
    let first = world.running.refresh_token.clone();
    let form = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    let (status, body) = world.ask(&form(&first)).await;
    assert_eq!((status, &body["refresh_token"]), (200, &Value::Null));
    world.order("/tokens", json!({ "rotate": true })).await;
    let (_, body) = world.ask(&form(&first)).await;
    let second = body["refresh_token"].as_str().unwrap().to_owned();
    let gone = "invalid_grant: expired access/refresh token";
    assert_eq!(world.refused(&form(&first)).await, gone);
    assert_eq!(world.refused(&form(&second)).await, gone, "both holders are out");
    let fresh = world.order("/tokens", json!({ "refresh": true })).await;
    let fresh = fresh["refresh_token"].as_str().unwrap();
    assert_eq!(world.ask(&form(fresh)).await.0, 200);
}

#[tokio::test]
async fn a_token_can_be_asked_about_and_taken_back() {
    let world = World::new().await;
    let app = [
        ("client_id", world.running.client_id.as_str()),
        ("client_secret", world.running.client_secret.as_str()),
        ("token", world.token.as_str()),
    ];
    let (status, body) = world.post_form("introspect", &app).await;
    assert_eq!((status, &body["active"]), (200, &json!(true)));
    assert_eq!(body["username"], json!(world.running.username));

    let url = format!("{}/services/oauth2/userinfo", world.running.base_url);
    let info = world.http.get(url).bearer_auth(&world.token).send().await.unwrap();
    let info: Value = info.json().await.unwrap();
    assert_eq!(info["organization_id"], json!(world.running.org_id));
    let identity = world.http.get(info["id"].as_str().unwrap()).bearer_auth(&world.token);
    let identity: Value = identity.send().await.unwrap().json().await.unwrap();
    assert_eq!(identity["user_id"], info["user_id"]);

    assert_eq!(world.post_form("revoke", &[("token", &world.token)]).await.0, 200);
    assert_eq!(world.post_form("introspect", &app).await.1, json!({ "active": false }));
    let answer = world.request(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Token");
}

#[tokio::test]
async fn soap_login_ends_with_version_64() {
    let mut world = World::new().await;
    let running = &world.running;
    let login = |password: &str| {
        format!(
            "<?xml version=\"1.0\"?><se:Envelope xmlns:se=\"http://schemas.xmlsoap.org/soap/envelope/\">\
             <se:Header/><se:Body><urn:login xmlns:urn=\"urn:partner.soap.sforce.com\">\
             <urn:username>{}</urn:username><urn:password>{password}</urn:password></urn:login>\
             </se:Body></se:Envelope>",
            running.username
        )
    };
    let whole = login(&format!("{}{}", running.password, running.security_token));
    let (status, body) = world.soap("64.0", &whole).await;
    assert_eq!(status, 200, "{body}");
    let inside = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
    };
    let server = format!("{}/services/Soap/u/64.0/{}", running.base_url, &running.org_id[..15]);
    assert_eq!(inside("serverUrl"), server);
    assert_eq!(inside("passwordExpired"), "false");
    assert_eq!(inside("organizationId"), running.org_id);

    let fault = |body: &str, code: &str| {
        assert!(body.contains(&format!("<sf:exceptionCode>{code}</sf:exceptionCode>")), "{body}");
        assert!(body.contains(&format!("<faultstring>{code}: ")), "{body}");
    };
    let (status, body) = world.soap("64.0", &login("wrong")).await;
    assert_eq!(status, 500);
    fault(&body, "INVALID_LOGIN");
    let (_, body) = world.soap("64.0", &login(&running.password)).await;
    fault(&body, "LOGIN_MUST_USE_SECURITY_TOKEN");
    for version in ["65.0", "68.0", "30.0"] {
        let (status, body) = world.soap(version, &whole).await;
        assert_eq!(status, 500);
        fault(&body, "UNSUPPORTED_API_VERSION");
    }
    world.order("/app", json!({ "soap_login": false })).await;
    fault(&world.soap("64.0", &whole).await.1, "API_DISABLED_FOR_ORG");

    world.token = inside("sessionId");
    assert_eq!(world.get("/limits").await.0, 200);
    let logout = format!("<logout><sessionId>{}</sessionId></logout>", world.token);
    assert_eq!(world.soap("64.0", &logout).await.0, 200);
    assert_eq!(world.get("/limits").await.0, 401);
}

#[tokio::test]
async fn logins_of_an_hour_have_a_limit() {
    let world = World::new().await;
    world.order("/tokens", json!({ "logins_an_hour": 2 })).await;
    let form = [("grant_type", "client_credentials")];
    assert_eq!(world.ask(&form).await.0, 200, "the world's own login was the first");
    assert_eq!(world.refused(&form).await, "invalid_grant: login rate exceeded");
}
