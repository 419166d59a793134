//! The cases between Campaign and Dynamics 365.

use serde_json::{Value as Json, json};

use crate::cli_world::{Environment, World};
use crate::crm::{Control, Crm};
use crate::stage::Stage;
use crate::{consent, edits, flight, people};

/// An environment of Dynamics beside the world's own organisation, which nobody names.
pub(crate) struct Dynamics(Environment);

impl Crm for Dynamics {
    const TABLE: &'static str = "table";
    const PERSON: &'static str = "contact";
    const FIRM: &'static str = "account";
    const KEYS: [&'static str; 3] = ["contactid", "new_truceid", "new_trucestamp"];
    // What is unique here is what an alternate key is on.
    const FIELDS: [(&'static str, &'static str); 6] = [
        ("email", "emailaddress1"),
        ("first_name", "firstname"),
        ("last_name", "lastname"),
        ("phone", "telephone1"),
        ("note", "description"),
        ("member", "externaluseridentifier"),
    ];
    const CONSENT: (&'static str, &'static str) =
        ("[\"donotbulkemail\", \"donotemail\", \"followemail\"]", "donotbulkemail");
    const ACCOUNT: (&'static str, &'static str) = ("parentcustomerid", "_parentcustomerid_value");
    const FIRM_NAME: &'static str = "name";
    const CONSTANTS: &'static str = "";
    const BY_ITSELF: &'static [&'static str] = &["fullname", "_modifiedby_value"];
    const GUARDED: bool = true;

    async fn start(world: &World) -> Self {
        let environment = Environment::start(world).await;
        // As an administrator may: the notes of these cases are longer than 2,000.
        let longer = json!({"table": "contact", "length": {"description": 100_000}});
        environment.order("columns", longer).await;
        Self(environment)
    }

    fn account(&self, _: &World) -> String {
        self.0.account("sales")
    }

    fn control<'a>(&'a self, _: &'a World) -> &'a str {
        &self.0.running.control_url
    }

    fn writes() -> Json {
        json!({"method": "POST", "path_contains": "$batch"})
    }

    fn merge(winner: &str, loser: &str) -> Json {
        json!({"table": "contact", "master": winner, "subordinate": loser})
    }

    fn refusal(key: &str) -> Json {
        json!({"key": key, "code": "0x80040203", "count": 1000})
    }

    fn new_value(values: &Json) -> &Json {
        &values[1]
    }

    fn is_here(record: &Json) -> bool {
        record["merged"] != json!(true)
    }

    fn is_out(record: &Json) -> bool {
        let forbids = ["donotbulkemail", "donotemail"].map(|flag| record[flag] == json!(true));
        forbids.contains(&true) || record["followemail"] == json!(false)
    }

    /// A change is seen at once; but not by a feed that gets no answer.
    async fn hide(control: &Control) {
        let failing = json!({"count": 1_000_000, "status": 503, "path_contains": "deltatoken"});
        control.order("fail", failing).await;
    }

    async fn show(control: &Control) {
        control.forget_faults().await;
    }
}

type D = Dynamics;

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_two_fields_of_one_record_are_both_kept() {
    edits::two_fields::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_edit_on_both_sides_is_no_conflict() {
    edits::same_edit::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_five_minutes_ahead_wins_nothing_and_the_fallback_is_flagged() {
    edits::fast_clock::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_that_the_log_leaves_out_stays_as_it_is() {
    edits::long_text::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_stands_against_a_later_edit_of_another_field() {
    consent::opt_out_and_edit::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_re_consent_older_than_the_opt_out_that_arrives_late_changes_nothing() {
    consent::late_re_consent::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_against_a_later_edit_is_held_and_the_edit_is_not_lost() {
    people::deletion_and_edit::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_made_on_both_sides_becomes_one_pair_field_by_field() {
    people::made_twice::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_value_that_two_people_claim_holds_that_field_and_destroys_nobody() {
    people::claimed_twice::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_record_that_the_crm_merges_away_lands_on_the_survivor() {
    people::merge_and_edit::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_whose_parent_is_refused_is_parked_for_that_field_and_released_with_it() {
    people::refused_parent::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_inside_an_expired_change_token_are_found_by_their_keys_and_carried_over() {
    let mut stage = Stage::<D>::set(5, people::deleting).await;
    stage.pause().await;
    let delete = json!({"table": "contact", "ids": stage.ids[..3]});
    stage.control.order("delete", delete).await;
    stage.edit(4, json!({"phone": "4"})).await;
    stage.control.order("tracking", json!({"expire": true})).await;
    stage.resume().await;
    // No load tells of them. But a row that is asked for by its id is said not to be there, which
    // it is not where it may only not be seen: so nobody has to confirm it.
    stage.agree(&["p4@x.org|Pat|4|0", "p5@x.org|Pat|0|0"]).await;
    stage.quiet().await;
    for key in 1..=3 {
        assert_eq!(stage.written(key).await, ["delete"]);
    }
    assert_eq!(stage.written(4).await, ["update sphone=4"]);
    assert_eq!(stage.held().await, [""; 0]);
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_swap_a_unique_value_both_get_it() {
    people::swap::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_deletion_of_a_fifth_is_held_by_the_brake_until_a_person_releases_it() {
    people::mass_deletion::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_goes_there_and_back_while_its_write_is_in_flight_ends_as_it_was() {
    flight::there_and_back::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lands_after_the_value_went_back_is_taken_back_and_is_nobodys_edit() {
    flight::latecomer::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_write_to_the_crm_and_its_answer_costs_no_second_write_and_no_conflict() {
    flight::kill_before_answer::<D>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_commit_in_campaign_and_its_answer_costs_no_second_write_and_no_conflict()
{
    flight::kill_before_commit_is_told::<D>().await;
}
