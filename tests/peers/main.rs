//! Proves that whoever stands behind the two doors of `peer` keeps the same promises: Campaign, each
//! CRM, and the peers of the simulation, which is worth no more than its likeness to them.
//!
//! `promises` says what is promised, once; a peer brings a `Stage` and is named in a module of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// A test of this name for each promise.
macro_rules! promises {
    ($stage:ty: $($promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $promise() {
            Box::pin(crate::promises::$promise::<$stage>()).await;
        }
    )*};
}

/// All promises, kept by this stage. One that is not listed here is unused code, which a lint tells.
macro_rules! keeps_every_promise {
    ($stage:ty) => {
        promises! { $stage:
            everything_that_was_committed_after_a_cursor_is_told
            what_happens_between_two_looks_is_told_with_each
            nothing_is_told_that_did_not_happen
            a_deletion_is_told
            a_cursor_goes_on_after_a_fall
            a_page_that_was_not_kept_is_told_again
            a_question_that_was_broken_off_loses_nothing
            pages_have_a_limit
            our_own_write_comes_back_as_an_echo
            a_scan_gives_every_record_once_whoever_goes_on
            what_was_deleted_is_not_scanned_and_reads_as_gone
            a_read_answers_each_of_many_keys
            a_read_of_nothing_is_answered_by_nothing
            text_goes_round_unchanged
            null_and_blank_are_one
            limits_go_round_or_are_refused_with_a_reason
            a_stale_guard_changes_nothing_and_tells_what_is_there
            an_edit_of_another_field_makes_no_write_stale
            an_update_never_makes_a_record
            a_lost_create_is_not_doubled
            a_lost_update_is_told_as_lost_and_can_be_read
            each_write_of_a_batch_has_an_answer_of_its_own
            a_refused_write_leaves_its_like_alone
            a_batch_larger_than_a_call_is_answered_in_order
            a_refusal_names_the_code_and_the_field
            an_empty_batch_costs_nothing
            an_opt_in_yields_to_whoever_was_there_since
            an_opt_out_goes_whoever_was_there_since
            a_create_tells_who_stands_for_the_same
            a_new_record_is_told_with_its_key_and_holds_what_was_written
            a_delete_is_guarded_and_done_once
        }
    };
}

mod promises;
mod stage;

mod campaign;
mod dynamics;
mod memory;
mod salesforce;
