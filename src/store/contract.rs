//! What every engine of the store must do: one suite, run by each engine with a [`Harness`] of its own.
//!
//! An engine instantiates it with `contract!(ItsHarness);` inside a test module.

pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod jobs;
pub(crate) mod keyed;
pub(crate) mod lines;
pub(crate) mod model;
pub(crate) mod outbox;
pub(crate) mod reverify;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::{Audit, Claim, ClaimRequest, Control, History, Idempotency, Inbox, Jobs, Order, Outbox, Page, Recorded};
use crate::domain::{
    Attempt, Code, Due, EventKey, FinishedAttempt, Headers, Lease, NewRejection, OnDead, Rejection, SealedCredentials, Timestamp, Verdict,
    VerifiedEvent, VerifiedParts,
};

/// An engine under test, with one place for its data.
pub(crate) trait Harness: Sized {
    /// The engine.
    type Store: Inbox + Outbox + Control + Audit + Jobs + Idempotency + History + Clone + 'static;

    /// An empty place. Stores opened on it keep [`REJECTIONS`] rejections and [`REJECTION_BYTES`] bytes for each source.
    fn new() -> Self;

    /// Opens the place, as a process does; what was opened before stays open.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Ends a process in an orderly way.
    fn close(&self, store: Self::Store) -> impl Future<Output = ()> + Send;

    /// Ends a process as `kill -9` does: its locks are free, and nothing was tidied up.
    fn crash(&self, store: Self::Store) -> impl Future<Output = ()> + Send;
}

/// Runs the whole suite on a [`Harness`].
macro_rules! contract {
    ($harness:ty) => {
        $crate::store::contract::contract! { @cases $harness;
            inbox {
                fifty_concurrent_copies_are_one_event
                the_same_id_in_two_sources_is_two_events
                two_processes_dedupe_each_other
                a_duplicate_is_counted_and_changes_nothing_else
                ids_and_bodies_come_back_as_they_were_however_odd
                ids_that_only_look_alike_are_different_events
                rejections_are_bounded_by_count_for_each_source
                rejections_are_bounded_by_bytes
                an_explanation_takes_the_place_of_a_diagnosis_within_the_bounds
                everything_is_still_there_after_reopening
                what_was_acknowledged_survives_a_crash
                a_store_that_can_commit_is_ready
            }
            content {
                the_same_content_under_another_id_is_an_event_and_marked
                where_repeated_content_is_dropped_it_is_a_duplicate_of_the_earlier_event
                the_same_id_with_other_content_is_a_duplicate_and_marked
                content_is_compared_within_its_source_and_only_where_it_is_guarded
                concurrent_copies_under_fifty_ids_are_one_event_where_they_are_dropped
                content_is_known_without_its_payload_and_after_a_crash_and_forgotten_with_its_event
            }
            outbox {
                a_claimed_delivery_is_hidden_until_its_lease_ends
                an_end_under_an_old_lease_changes_nothing
                a_delivered_attempt_ends_the_delivery_once
                a_failed_attempt_waits_for_its_retry_and_is_counted
                a_dead_delivery_is_never_claimed_again
                a_released_delivery_is_due_again_without_a_failure
                the_oldest_due_comes_first_and_no_more_than_asked_for
                next_due_tells_of_what_was_not_claimed
                destinations_do_not_see_each_other
                leases_of_a_crashed_process_are_void_at_once
                leases_of_a_closed_process_are_void_too
                leases_of_the_living_stay
                a_lease_under_which_nothing_began_gives_its_number_back
                what_is_told_with_an_end_is_recorded_with_it_or_not_at_all
                what_is_leased_while_it_is_recorded_is_nobody_elses
                two_processes_never_claim_the_same_delivery
                the_backlog_counts_what_is_unfinished
            }
            lines {
                of_a_line_one_goes_at_a_time_and_in_order_while_others_go_beside_it
                one_that_waits_for_its_retry_holds_up_its_own_line_alone
                behind_a_dead_one_the_next_goes_on_where_the_dead_are_skipped
                behind_a_dead_one_that_holds_nobody_goes_until_it_is_retried_with_success
                a_crash_keeps_the_order_of_a_line
                a_lease_that_has_run_out_keeps_the_order_of_a_line
                calling_off_the_first_has_the_next_one_step_forward
                calling_off_one_that_waits_lets_nobody_overtake
                an_older_one_that_was_retried_stays_behind_the_first_when_others_are_called_off
                calling_off_a_dead_one_that_holds_lets_the_line_go_on
                calling_off_one_that_runs_lets_the_next_go_and_its_end_does_not_count
                a_dead_one_that_holds_its_line_is_not_forgotten
                without_an_order_nobody_stands_behind_another_any_more
                a_line_goes_on_when_its_order_comes_back_before_it_is_dissolved
                where_the_dead_are_skipped_from_now_on_they_leave_their_lines
                two_processes_never_have_two_of_one_line
            }
            control {
                a_dead_delivery_that_is_retried_begins_its_schedule_anew
                a_delivery_that_was_called_off_can_be_retried_and_its_old_lease_is_void
                a_retry_hastens_what_waits_and_leaves_what_runs
                what_is_delivered_stays_so
                what_is_unknown_or_has_lost_its_content_is_not_retried
                a_held_destination_gives_nothing_out_until_it_is_released_also_after_reopening
                a_lease_that_is_renewed_lasts_beyond_its_end
                leases_that_are_lost_are_told_and_not_prolonged
                sources_take_turns
                a_crowd_of_one_source_does_not_keep_another_waiting
                the_trail_tells_who_asked_and_what_became_of_it
            }
            history {
                events_are_found_by_every_filter
                an_events_status_is_the_same_in_rows_and_filters
                times_are_found_although_the_clock_stepped
                pages_run_both_ways_and_show_every_row_once
                a_page_stays_put_while_new_events_arrive
                deliveries_are_found_by_every_filter
                deliveries_come_with_attempts_when_asked_for
                what_is_unknown_is_none
                rejections_are_found_by_every_filter
                pruning_forgets_payloads_first_and_events_later
                pruning_never_touches_what_is_unfinished
                pruning_steps_over_what_must_stay
                the_size_is_told
                what_comes_in_is_counted_by_source_and_hour
                what_is_erased_is_known_but_not_held_any_more
            }
            jobs {
                a_recorded_event_comes_back_as_a_destination_gets_it
                a_replay_makes_deliveries_of_its_own_behind_what_stands_in_line
                what_has_no_payload_is_not_replayed
                what_matches_is_found_in_parts_by_every_filter
                the_dead_alone_match_a_retry_by_every_filter
                a_job_comes_back_as_it_was_begun
                a_step_is_done_once_by_whoever_is_first
                a_job_goes_on_after_a_crash_and_ends_at_its_last_row
                a_job_that_is_called_off_goes_no_further
                the_dead_are_due_again_and_what_is_not_dead_any_more_is_left_alone
                what_cannot_be_done_is_counted_and_the_rest_goes_on
                jobs_that_run_are_bounded_and_so_are_those_that_have_ended
            }
            keyed {
                an_answer_comes_back_as_it_was_given_also_after_a_crash
                of_many_at_once_one_begins
                a_key_is_for_one_request_alone
                a_claim_that_is_given_up_leaves_the_key_free
                claims_of_the_dead_are_void_and_those_of_the_living_stay
                what_is_done_under_a_claim_is_done_once_whatever_becomes_of_its_answer
                nothing_is_done_under_a_claim_that_is_lost
                an_answer_that_is_not_kept_is_lost
                keys_are_free_when_their_time_is_over_and_are_forgotten_in_chunks
            }
            reverify {
                a_refused_request_comes_back_whole
                what_is_let_in_is_recorded_and_marked_together_and_once
                what_is_let_in_late_is_found_by_when_it_arrived
                a_duplicate_and_dropped_content_are_let_in_as_such
                what_is_still_refused_says_why_by_what_was_judged_last
                rejections_are_found_by_their_status
                what_is_still_refused_is_told_oldest_first
                what_is_cut_from_the_log_takes_its_verdict_along_and_can_still_be_let_in
                the_key_of_credentials_is_one_for_all_processes_and_stays
            }
            model {
                any_sequence_of_operations_does_what_a_list_would
            }
        }
    };
    (@cases $harness:ty; $($file:ident { $($case:ident)* })*) => { $($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::store::contract::$file::$case::<$harness>().await;
        }
    )*)* };
}
pub(crate) use contract;

/// How many rejections the stores under test keep for each source.
pub(crate) const REJECTIONS: usize = 5;
/// How many bytes of them.
pub(crate) const REJECTION_BYTES: usize = 10_000;

const LEASE: Duration = Duration::from_secs(60);

/// So many seconds into the test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_767_323_045 + seconds)
}

pub(crate) fn key(source: &str, event_id: &str) -> EventKey {
    EventKey { source: source.into(), event_id: event_id.into() }
}

/// What is proved of an event, to be changed by the test.
pub(crate) fn parts(source: &str, event_id: &str, received_at: Timestamp) -> VerifiedParts {
    VerifiedParts {
        key: key(source, event_id),
        provider: "github".into(),
        event_type: "push".to_owned(),
        method: "POST".to_owned(),
        subpath: "/eu".to_owned(),
        query: "a=b%20c".to_owned(),
        headers: [("content-type", &b"application/json"[..]), ("x-raw", &b"\xff\x00"[..])].into_iter().collect(),
        body: Bytes::from_static(b"{\"n\":1}"),
        content_digest: [7; 32],
        item_ids: Vec::new(),
        replay_guard: None,
        verified_by: "secret:1".to_owned(),
        received_at,
    }
}

pub(crate) fn event(source: &str, event_id: &str, received_at: Timestamp) -> VerifiedEvent {
    VerifiedEvent::attest(parts(source, event_id, received_at))
}

/// Deliveries to these, in any order.
pub(crate) fn names(names: &[&str]) -> Vec<Due> {
    names.iter().map(|name| Due::to((*name).into())).collect()
}

/// Records an event of the source `hub` that must be fresh.
pub(crate) async fn fresh(store: &impl Inbox, event_id: &str, received_at: Timestamp, destinations: &[&str]) {
    let recorded = store.record(event("hub", event_id, received_at), names(destinations)).await.unwrap();
    assert_eq!(recorded, Recorded::Fresh, "{event_id}");
}

pub(crate) async fn claim(store: &impl Outbox, destination: &str, limit: usize, now: Timestamp) -> Claim {
    store.claim(wanted(destination, limit, now)).await.unwrap()
}

/// A claim of up to so many deliveries.
pub(crate) fn wanted(destination: &str, limit: usize, now: Timestamp) -> ClaimRequest {
    ClaimRequest { destination: destination.into(), limit, now, lease: LEASE, after: None }
}

/// Claims the one delivery that must be due.
pub(crate) async fn claim_one(store: &impl Outbox, destination: &str, now: Timestamp) -> Lease {
    let claim = claim(store, destination, 1, now).await;
    assert_eq!(claim.deliveries.len(), 1, "one delivery to {destination} is due");
    claim.deliveries[0].lease
}

/// The IDs of a claim's events.
pub(crate) fn claimed(claim: &Claim) -> Vec<&str> {
    claim.deliveries.iter().map(|delivery| &*delivery.event.key.event_id).collect()
}

/// The end of an attempt that began at `begun` and took two seconds.
pub(crate) fn ended(lease: Lease, begun: Timestamp, verdict: Verdict) -> FinishedAttempt {
    let failed = verdict != Verdict::Delivered;
    let attempt = Attempt {
        at: begun,
        duration: Duration::from_secs(2),
        status_code: Some(if failed { 503 } else { 200 }),
        error: failed.then(|| "it answered 503".to_owned()),
        response: Some(b"\xffanswer".to_vec()),
    };
    FinishedAttempt { lease, attempt, verdict, on_dead: OnDead::Skip, now: begun.plus(Duration::from_secs(2)) }
}

/// Claims and ends the one delivery that must be due.
pub(crate) async fn attempt(store: &impl Outbox, destination: &str, now: Timestamp, verdict: Verdict) {
    let lease = claim_one(store, destination, now).await;
    assert!(store.finish(ended(lease, now, verdict)).await.unwrap());
}

pub(crate) fn rejection(source: &str, diagnosis: &str, code: Code, received_at: Timestamp, body: usize) -> NewRejection {
    NewRejection {
        source: source.into(),
        rejection: Rejection::new(code, diagnosis),
        method: "POST".to_owned(),
        subpath: String::new(),
        query: String::new(),
        headers: Headers::default(),
        sealed: SealedCredentials::default(),
        body: Bytes::from(vec![b'x'; body]),
        received_at,
    }
}

/// The whole list, newest first.
pub(crate) fn all() -> Page {
    page(Order::Newest, 1_000, None)
}

pub(crate) fn page(order: Order, limit: usize, after: Option<i64>) -> Page {
    Page { limit, after, order }
}
