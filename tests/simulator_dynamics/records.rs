//! Single records: conditions, keys, lookups, states, and the values that are kept.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{NOBODY, World};

#[tokio::test]
async fn a_record_is_made_with_a_chosen_id_once() {
    let world = World::new().await;
    let chosen = "5C2F0000-aaaa-4bbb-8ccc-0123456789ab";
    let body = json!({ "contactid": chosen, "lastname": "Bell" });
    assert_eq!(world.make("contacts", body.clone()).await, chosen.to_lowercase());
    assert_eq!(world.post("contacts", body).await.code(), (412, "0x80040237"));
    let path = format!("contacts({NOBODY})");
    assert_eq!(world.patch(&path, json!({ "lastname": "Roe" })).await.status, 204, "an upsert");
    let told = world.get(&path).await;
    assert_eq!((told.status, &told.body["lastname"]), (200, &json!("Roe")));
}

#[tokio::test]
async fn preconditions_hold_for_each_verb() {
    let world = World::new().await;
    let id = world.make("contacts", json!({ "lastname": "Bell" })).await;
    let (here, gone) = (format!("contacts({id})"), format!("contacts({NOBODY})"));
    let body = json!({ "jobtitle": "Dr" });
    let any = ("if-match", "*");
    assert_eq!(world.patch_if(&here, any, body.clone()).await.status, 204);
    assert_eq!(world.patch_if(&gone, any, body.clone()).await.code(), (404, "0x80040217"));
    let new = ("if-none-match", "*");
    assert_eq!(world.patch_if(&here, new, body.clone()).await.status, 412);
    let etag = world.get(&here).await.body["@odata.etag"].as_str().unwrap().to_owned();
    let version = ("if-match", etag.as_str());
    assert_eq!(world.patch_if(&here, version, body.clone()).await.status, 204);
    let stale = world.patch_if(&here, version, body.clone()).await;
    assert_eq!(stale.code(), (412, "0x80060882"));
    let request = world.request(Method::DELETE, &here).header("if-match", &etag);
    assert_eq!(world.send(request).await.code(), (412, "0x80060882"));
    let unknown = world.patch_if(&gone, version, body).await;
    assert_eq!(unknown.code(), (404, "0x80040217"));
    assert_eq!(world.delete(&here).await.status, 204);
    assert_eq!(world.delete(&here).await.code(), (404, "0x80040217"));

    let request = world.request(Method::PATCH, &gone).header("prefer", "return=representation");
    let told = world.send(request.json(&json!({ "lastname": "Roe" }))).await;
    assert_eq!((told.status, told.header("preference-applied")), (201, "return=representation"));
    let etag = told.header("etag").to_owned();
    assert_eq!(told.body["@odata.etag"], json!(etag));
    let known = world.request(Method::GET, &gone).header("if-none-match", &etag);
    assert_eq!(world.send(known).await.status, 304);
    let habit = world.request(Method::GET, &gone).header("if-none-match", "null");
    assert_eq!(world.send(habit).await.status, 200, "a habit of samples");
}

#[tokio::test]
async fn an_alternate_key_finds_makes_and_is_unique_while_it_is_active() {
    let world = World::new().await;
    let path = "contacts(new_truceid='campaign-1')";
    let told = world.patch(path, json!({ "lastname": "Bell" })).await;
    assert_eq!(told.status, 204);
    assert!(told.header("odata-entityid").ends_with(path), "no id: {:?}", told.headers);
    let body = json!({ "lastname": "Roe", "new_truceid": "other" });
    assert_eq!(world.patch(path, body).await.status, 204);
    let row = world.get(path).await.body;
    assert_eq!((&row["lastname"], &row["new_truceid"]), (&json!("Roe"), &json!("campaign-1")));
    let again = world.post("contacts", json!({ "new_truceid": "CAMPAIGN-1" })).await;
    assert_eq!(again.code(), (412, "0x80060892"));
    assert_eq!(world.get("contacts(new_truceid='nobody')").await.code(), (404, "0x80060891"));
    assert_eq!(world.get("contacts(jobtitle='x')").await.code(), (400, "0x80060888"));
    assert_eq!(world.get("contacts(new_truceid='a:b')").await.status, 400);

    let key = json!({ "table": "contact", "name": "new_ContactTruceKey", "status": "Pending" });
    world.order("/keys", key).await;
    assert_eq!(world.get(path).await.code(), (400, "0x80060888"), "an inactive key finds nothing");
    assert_eq!(world.post("contacts", json!({ "new_truceid": "campaign-1" })).await.status, 204);
}

#[tokio::test]
async fn a_key_over_a_lookup_takes_its_columns_in_any_order() {
    let world = World::new().await;
    let member = world.make("contacts", json!({ "lastname": "Bell" })).await;
    let path = format!("new_memberships(new_code='x',_new_member_value={member})");
    assert_eq!(world.patch(&path, json!({ "new_name": "First" })).await.status, 204);
    let path = format!("new_memberships(_new_member_value={member},new_code='x')");
    let row = world.get(&path).await.body;
    assert_eq!((&row["new_name"], &row["_new_member_value"]), (&json!("First"), &json!(member)));
}

#[tokio::test]
async fn lookups_are_bound_by_their_own_names_and_let_go() {
    let world = World::new().await;
    let account = world.make("accounts", json!({ "name": "Acme", "accountnumber": "C-1" })).await;
    let friend = world.make("contacts", json!({ "lastname": "Friend" })).await;
    let body = json!({ "parentcustomerid_account@odata.bind": "/accounts(accountnumber='C-1')" });
    let id = world.make("contacts", body).await;
    let path = format!("contacts({id})");
    let all = world.prefer(&path, "odata.include-annotations=\"*\"").await.body;
    assert_eq!(all["_parentcustomerid_value"], json!(account));
    let name = "_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname";
    assert_eq!(all[name], "account");
    let formatted = "_parentcustomerid_value@OData.Community.Display.V1.FormattedValue";
    assert_eq!(all[formatted], "Acme");

    let bind = json!({ "parentcustomerid_contact@odata.bind": format!("contacts({friend})") });
    assert_eq!(world.patch(&path, bind).await.status, 204, "the other side goes");
    let row = world.get(&format!("{path}?$select=_parentcustomerid_value")).await.body;
    assert_eq!(row["_parentcustomerid_value"], json!(friend));
    let sponsor = json!({ "new_sponsorid@odata.bind": format!("/contacts({friend})") });
    assert_eq!(world.patch(&path, sponsor).await.code(), (400, "0x80048d19"), "its case counts");
    let sponsor = json!({ "new_SponsorId@odata.bind": format!("/contacts({friend})") });
    assert_eq!(world.patch(&path, sponsor).await.status, 204);
    let gone = json!({ "parentcustomerid_account@odata.bind": format!("accounts({NOBODY})") });
    let told = world.patch(&path, gone).await;
    assert_eq!(told.code(), (404, "0x80040217"));
    assert!(told.text.contains("Entity 'account'"), "{}", told.text);
    let direct = json!({ "_parentcustomerid_value": account });
    assert_eq!(world.patch(&path, direct).await.code(), (400, "0x80048d19"));

    let reference = format!("{path}/parentcustomerid_contact/$ref");
    assert_eq!(world.delete(&reference).await.status, 204);
    let row = world.get(&path).await.body;
    assert_eq!(row["_parentcustomerid_value"], Value::Null);
    assert_eq!(row["_new_sponsorid_value"], json!(friend));
    assert_eq!(world.delete(&format!("contacts({friend})")).await.status, 204);
    assert_eq!(world.get(&path).await.body["_new_sponsorid_value"], Value::Null, "link removed");
}

#[tokio::test]
async fn an_owner_is_a_user_or_a_team_by_one_name() {
    let world = World::new().await;
    let id = world.make("contacts", json!({ "lastname": "Bell" })).await;
    let path = format!("contacts({id})");
    assert_eq!(world.get(&path).await.body["_ownerid_value"], json!(world.running.user_id));
    let team = world.get("teams").await.rows()[0]["teamid"].as_str().unwrap().to_owned();
    let bind = json!({ "ownerid@odata.bind": format!("/teams({team})") });
    assert_eq!(world.patch(&path, bind).await.status, 204);
    let all = world.prefer(&path, "odata.include-annotations=\"*\"").await.body;
    assert_eq!(all["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], "team");
    let bind = json!({ "ownerid@odata.bind": format!("/contacts({id})") });
    assert_eq!(world.patch(&path, bind).await.code(), (400, "0x80048d19"));
    world.order("/tables", json!({ "name": "contact", "concurrency": false })).await;
    let version = ("if-match", "W/\"1\"");
    let told = world.patch_if(&path, version, json!({ "fax": "1" })).await;
    assert_eq!(told.code(), (400, "0x8006088D"));
}

#[tokio::test]
async fn state_and_status_belong_together() {
    let world = World::new().await;
    let id = world.make("leads", json!({ "lastname": "Bell" })).await;
    let path = format!("leads({id})");
    let states = |row: &Value| (row["statecode"].as_i64(), row["statuscode"].as_i64());
    assert_eq!(states(&world.get(&path).await.body), (Some(0), Some(1)));
    assert_eq!(world.patch(&path, json!({ "statuscode": 4 })).await.code(), (400, "0x80048408"));
    let both = json!({ "statecode": 2, "statuscode": 5 });
    assert_eq!(world.patch(&path, both).await.status, 204);
    assert_eq!(world.patch(&path, json!({ "statecode": 0 })).await.status, 204);
    assert_eq!(states(&world.get(&path).await.body), (Some(0), Some(1)));
}

#[tokio::test]
async fn values_are_kept_as_the_service_keeps_them() {
    let world = World::new().await;
    let id = world
        .make(
            "contacts",
            json!({
                "firstname": "Ada", "lastname": "Bell  ", "middlename": "", "creditlimit": 1250.005,
                "birthdate": "1984-02-29", "new_lastvisit": "2026-01-05T10:11:12.999Z",
                "new_interests": "9, 1", "new_score": 1.239, "createdon": "2001-01-01T00:00:00Z",
            }),
        )
        .await;
    let row = world.get(&format!("contacts({id})")).await;
    assert!(row.text.contains("\"creditlimit\":1250.0100,"), "{}", row.text);
    let row = row.body;
    assert_eq!((&row["fullname"], &row["middlename"]), (&json!("Ada Bell"), &Value::Null));
    assert_eq!((&row["birthdate"], &row["new_interests"]), (&json!("1984-02-29"), &json!("1,9")));
    assert_eq!(row["new_lastvisit"], "2026-01-05T10:11:12Z");
    assert_eq!(row["new_score"].to_string(), "1.24");
    assert_ne!(row["createdon"], "2001-01-01T00:00:00Z", "the service keeps it");
    assert!(!row["_transactioncurrencyid_value"].is_null());
    assert_eq!(row["_modifiedby_value"], json!(world.running.user_id));
    // Consent: what `true` means differs.
    assert_eq!((&row["donotbulkemail"], &row["followemail"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_code() {
    let world = World::new().await;
    let cases = [
        (json!({ "lastname": "x".repeat(51) }), "0x80044331"),
        (json!({ "preferredcontactmethodcode": 9 }), "0x8004431A"),
        (json!({ "new_interests": "1,99" }), "0x8004431A"),
        (json!({ "numberofchildren": -1 }), "0x8004432F"),
        (json!({ "creditlimit": 1e15 }), "0x80044330"),
        (json!({ "creditlimit": -1 }), "0x80044330"),
        (json!({ "new_weight": 1e12 }), "0x80044330"),
        (json!({ "birthdate": "1984-02-30" }), "0x80040239"),
        (json!({ "new_lastvisit": "1700-01-01T00:00:00Z" }), "0x80040239"),
        (json!({ "lastname": 5 }), "0x80048d19"),
        (json!({ "donotemail": "yes" }), "0x80048d19"),
        (json!({ "no_such_column": 1 }), "0x80048d19"),
    ];
    for (body, code) in cases {
        assert_eq!(world.post("contacts", body.clone()).await.code(), (400, code), "{body}");
    }
    let count = world.get("contacts/$count").await;
    assert_eq!((count.text.as_str(), count.header("content-type")), ("\u{feff}0", "text/plain"));
}

#[tokio::test]
async fn a_merge_leaves_the_loser_inactive_and_moves_its_children() {
    let world = World::new().await;
    let ids = world.seed("contact", json!([{ "lastname": "A" }, { "lastname": "B" }])).await;
    let (master, loser) = (&ids[0], &ids[1]);
    let bind = json!({ "parentcustomerid_contact@odata.bind": format!("contacts({loser})") });
    let child = world.make("contacts", bind).await;
    let kind = "Microsoft.Dynamics.CRM.contact";
    let body = json!({
        "Target": { "contactid": master, "@odata.type": kind },
        "Subordinate": { "contactid": loser, "@odata.type": kind },
        "UpdateContent": { "@odata.type": kind, "jobtitle": "Dr" }, "PerformParentingChecks": false,
    });
    assert_eq!(world.post("Merge", body.clone()).await.status, 204);
    let row = world.get(&format!("contacts({loser})")).await.body;
    assert_eq!((&row["merged"], &row["_masterid_value"]), (&json!(true), &json!(master)));
    assert_eq!((&row["statecode"], &row["statuscode"]), (&json!(1), &json!(2)));
    let row = world.get(&format!("contacts({child})")).await.body;
    assert_eq!(row["_parentcustomerid_value"], json!(master));
    assert_eq!(world.get(&format!("contacts({master})")).await.body["jobtitle"], "Dr");
    assert_eq!(world.post("Merge", body).await.code(), (400, "0x80045304"), "not twice");
}

#[tokio::test]
async fn duplicates_are_found_where_the_request_asks_for_it() {
    let world = World::new().await;
    let body = json!({ "emailaddress1": "ada@example.com" });
    world.make("contacts", body.clone()).await;
    assert_eq!(world.post("contacts", body.clone()).await.status, 204, "off by default");
    let request = world.request(Method::POST, "contacts").json(&body);
    let told = world.send(request.header("mscrm.suppressduplicatedetection", "false")).await;
    assert_eq!(told.code(), (412, "0x80040333"));
}

#[tokio::test]
async fn a_secured_column_reads_as_null_and_takes_nothing() {
    let world = World::new().await;
    let id = world.seed("contact", json!([{ "new_healthnote": "secret" }])).await.remove(0);
    let path = format!("contacts({id})");
    assert_eq!(world.get(&path).await.body["new_healthnote"], Value::Null);
    assert_eq!(world.patch(&path, json!({ "new_healthnote": "x" })).await.status, 403);
    world.order("/columns", json!({ "table": "contact", "show": ["new_healthnote"] })).await;
    assert_eq!(world.get(&path).await.body["new_healthnote"], "secret");
    world.order("/columns", json!({ "table": "contact", "remove": ["fax"] })).await;
    assert_eq!(world.get(&format!("{path}?$select=fax")).await.code(), (400, "0x80060888"));
}
