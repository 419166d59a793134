//! The cases between Campaign and Salesforce.

use serde_json::{Value as Json, json};

use crate::cli_world::World;
use crate::crm::{Control, Crm};
use crate::stage::Stage;
use crate::{consent, edits, flight, people};

/// The organisation that every world has.
pub(crate) struct Salesforce;

impl Crm for Salesforce {
    const TABLE: &'static str = "object";
    const PERSON: &'static str = "Contact";
    const FIRM: &'static str = "Account";
    const KEYS: [&'static str; 3] = ["Id", "Truce_Id__c", "Truce_Stamp__c"];
    const FIELDS: [(&'static str, &'static str); 6] = [
        ("email", "Email"),
        ("first_name", "FirstName"),
        ("last_name", "LastName"),
        ("phone", "Phone"),
        ("note", "Description"),
        ("member", "Member_Number__c"),
    ];
    const CONSENT: (&'static str, &'static str) = ("\"HasOptedOutOfEmail\"", "HasOptedOutOfEmail");
    const ACCOUNT: (&'static str, &'static str) = ("AccountId", "AccountId");
    const FIRM_NAME: &'static str = "Name";
    const CONSTANTS: &'static str = "crm = { LastName = \"unknown\" }\n";
    const BY_ITSELF: &'static [&'static str] =
        &["Name", "SystemModstamp", "LastModifiedDate", "LastModifiedById"];
    const GUARDED: bool = false;

    async fn start(_: &World) -> Self {
        Self
    }

    fn account(&self, world: &World) -> String {
        world.sales()
    }

    fn control<'a>(&'a self, world: &'a World) -> &'a str {
        &world.org.control_url
    }

    fn writes() -> Json {
        json!({"method": "PATCH"})
    }

    fn merge(winner: &str, loser: &str) -> Json {
        json!({"object": "Contact", "winner": winner, "losers": [loser]})
    }

    fn refusal(key: &str) -> Json {
        json!({"key": key, "statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "count": 1000})
    }

    fn new_value(values: &Json) -> &Json {
        &values["new"]
    }

    fn is_here(record: &Json) -> bool {
        record["IsDeleted"] == json!(false)
    }

    fn is_out(record: &Json) -> bool {
        record["HasOptedOutOfEmail"] == json!(true)
    }

    async fn hide(control: &Control) {
        let held = json!({"seconds": 600, "object": "Contact", "via": "user"});
        control.order("hold", held).await;
    }

    async fn show(control: &Control) {
        control.order("hold", json!({"seconds": 0})).await;
        control.order("publish", json!({})).await;
    }
}

type S = Salesforce;

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_two_fields_of_one_record_are_both_kept() {
    edits::two_fields::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_edit_on_both_sides_is_no_conflict() {
    edits::same_edit::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_five_minutes_ahead_wins_nothing_and_the_fallback_is_flagged() {
    edits::fast_clock::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_that_the_log_leaves_out_stays_as_it_is() {
    edits::long_text::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_stands_against_a_later_edit_of_another_field() {
    consent::opt_out_and_edit::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_re_consent_older_than_the_opt_out_that_arrives_late_changes_nothing() {
    consent::late_re_consent::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_against_a_later_edit_is_held_and_the_edit_is_not_lost() {
    people::deletion_and_edit::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_made_on_both_sides_becomes_one_pair_field_by_field() {
    people::made_twice::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_value_that_two_people_claim_holds_that_field_and_destroys_nobody() {
    people::claimed_twice::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_record_that_the_crm_merges_away_lands_on_the_survivor() {
    people::merge_and_edit::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_whose_parent_is_refused_is_parked_for_that_field_and_released_with_it() {
    people::refused_parent::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_inside_a_lost_cursor_are_found_by_their_keys_and_held() {
    let mut stage = Stage::<S>::set(5, people::deleting).await;
    stage.pause().await;
    // Three are purged, so that no feed will ever tell; one is in the recycle bin.
    let delete =
        |ids: &[String], purge: bool| json!({"object": "Contact", "ids": ids, "purge": purge});
    stage.control.order("delete", delete(&stage.ids[..3], true)).await;
    stage.control.order("delete", delete(&stage.ids[3..4], false)).await;
    let lost = "update truce.feed set cursor = '7' where name = 'feed/sales/contacts'";
    let touched = stage.ledger().await.execute(lost, &[]).await.unwrap();
    assert_eq!(touched, 1, "one feed of the CRM");
    stage.resume().await;
    stage.holds(&["missing - 1", "missing - 2", "missing - 3"]).await;
    stage.wait("the deletion that was told", async || stage.campaign().await.len() == 4).await;
    stage.pass().await;
    let left = ["p1@x.org|Pat|0|0", "p2@x.org|Pat|0|0", "p3@x.org|Pat|0|0", "p5@x.org|Pat|0|0"];
    assert_eq!(stage.campaign().await, left, "absence deletes nobody");
    assert_eq!(stage.crm().await, ["p5@x.org|Pat|0|0"], "and makes nobody again");
    assert_eq!(stage.written(4).await, ["delete"]);

    let told = stage.world.done(&["held", "release", "--reason", "missing", "--delete"]).await;
    assert!(told.starts_with("3 records"), "{told}");
    stage.agree(&["p5@x.org|Pat|0|0"]).await;
    stage.holds(&[]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_swap_a_unique_value_both_get_it() {
    people::swap::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_deletion_of_a_fifth_is_held_by_the_brake_until_a_person_releases_it() {
    people::mass_deletion::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_goes_there_and_back_while_its_write_is_in_flight_ends_as_it_was() {
    flight::there_and_back::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lands_after_the_value_went_back_is_taken_back_and_is_nobodys_edit() {
    flight::latecomer::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_write_to_the_crm_and_its_answer_costs_no_second_write_and_no_conflict() {
    flight::kill_before_answer::<S>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_commit_in_campaign_and_its_answer_costs_no_second_write_and_no_conflict()
{
    flight::kill_before_commit_is_told::<S>().await;
}
