//! Both ledgers keep the same promises: versions, whole batches, one live link a record, aliases
//! and the past, queues, wake-ups, pages. Each claim is put to a ledger of its own.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(missing_docs, reason = "the claims' names say it")]

#[path = "ledger/answers.rs"]
mod answers;
#[path = "ledger/claims.rs"]
mod claims;
#[path = "ledger/people.rs"]
mod people;
#[path = "ledger/server.rs"]
mod server;

use truce::ledger::MemoryLedger;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_given_once() {
    claims::numbers_are_given_once(&MemoryLedger::new()).await;
    claims::numbers_are_given_once(&server::ledger("numbers_are_given_once").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_numbers_rise_and_never_come_again() {
    claims::drawn_numbers_rise_and_never_come_again(&MemoryLedger::new()).await;
    claims::drawn_numbers_rise_and_never_come_again(
        &server::ledger("drawn_numbers_rise_and_never_come_again").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_is_told() {
    claims::who_comes_second_is_told(&MemoryLedger::new()).await;
    claims::who_comes_second_is_told(&server::ledger("who_comes_second_is_told").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_whole_or_not_at_all() {
    claims::a_batch_is_stored_whole_or_not_at_all(&MemoryLedger::new()).await;
    claims::a_batch_is_stored_whole_or_not_at_all(
        &server::ledger("a_batch_is_stored_whole_or_not_at_all").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_one_live_link() {
    claims::a_record_has_one_live_link(&MemoryLedger::new()).await;
    claims::a_record_has_one_live_link(&server::ledger("a_record_has_one_live_link").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_come_with_the_live_one_and_the_past_only_without() {
    claims::aliases_come_with_the_live_one_and_the_past_only_without(&MemoryLedger::new()).await;
    claims::aliases_come_with_the_live_one_and_the_past_only_without(
        &server::ledger("aliases_come_with_the_live_one_and_the_past_only_without").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_links_are_found_between_their_records() {
    claims::live_links_are_found_between_their_records(&MemoryLedger::new()).await;
    claims::live_links_are_found_between_their_records(
        &server::ledger("live_links_are_found_between_their_records").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_due_first_and_then_the_oldest() {
    claims::consent_is_due_first_and_then_the_oldest(&MemoryLedger::new()).await;
    claims::consent_is_due_first_and_then_the_oldest(
        &server::ledger("consent_is_due_first_and_then_the_oldest").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn match_keys_are_replaced_whole() {
    claims::match_keys_are_replaced_whole(&MemoryLedger::new()).await;
    claims::match_keys_are_replaced_whole(&server::ledger("match_keys_are_replaced_whole").await.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken() {
    claims::who_waits_is_woken(&MemoryLedger::new()).await;
    claims::who_waits_is_woken(&server::ledger("who_waits_is_woken").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_when_the_record_is_there() {
    claims::who_waits_is_woken_when_the_record_is_there(&MemoryLedger::new()).await;
    claims::who_waits_is_woken_when_the_record_is_there(
        &server::ledger("who_waits_is_woken_when_the_record_is_there").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_there_yet_is_waited_for() {
    claims::one_that_is_not_there_yet_is_waited_for(&MemoryLedger::new()).await;
    claims::one_that_is_not_there_yet_is_waited_for(
        &server::ledger("one_that_is_not_there_yet_is_waited_for").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_listed_by_page() {
    claims::what_is_held_is_listed_by_page(&MemoryLedger::new()).await;
    claims::what_is_held_is_listed_by_page(
        &server::ledger("what_is_held_is_listed_by_page").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_says_the_same_again_is_not_kept() {
    claims::a_decision_that_says_the_same_again_is_not_kept(&MemoryLedger::new()).await;
    claims::a_decision_that_says_the_same_again_is_not_kept(
        &server::ledger("a_decision_that_says_the_same_again_is_not_kept").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_and_pruned_like_decisions() {
    claims::answers_are_kept_and_pruned_like_decisions(&MemoryLedger::new()).await;
    claims::answers_are_kept_and_pruned_like_decisions(
        &server::ledger("answers_are_kept_and_pruned_like_decisions").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_kept_in_order_and_pruned_by_age() {
    claims::decisions_are_kept_in_order_and_pruned_by_age(&MemoryLedger::new()).await;
    claims::decisions_are_kept_in_order_and_pruned_by_age(
        &server::ledger("decisions_are_kept_in_order_and_pruned_by_age").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_counted_as_they_end() {
    claims::links_are_counted_as_they_end(&MemoryLedger::new()).await;
    claims::links_are_counted_as_they_end(&server::ledger("links_are_counted_as_they_end").await.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_batches_and_large_texts_pass() {
    claims::large_batches_and_large_texts_pass(&MemoryLedger::new()).await;
    claims::large_batches_and_large_texts_pass(
        &server::ledger("large_batches_and_large_texts_pass").await.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_wins() {
    claims::of_two_at_once_one_wins(&MemoryLedger::new()).await;
    claims::of_two_at_once_one_wins(&server::ledger("of_two_at_once_one_wins").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_put_off_again_for_the_same_leaves_no_other_answer() {
    answers::a_write_that_is_put_off_again_for_the_same_leaves_no_other_answer(
        &MemoryLedger::new(),
    )
    .await;
    answers::a_write_that_is_put_off_again_for_the_same_leaves_no_other_answer(
        &server::ledger("a_write_that_is_put_off_again").await.0,
    )
    .await;
}
