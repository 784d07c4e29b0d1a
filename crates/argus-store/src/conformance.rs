//! The laws that every engine obeys.
//!
//! `laws!` holds the only list: each law becomes a test of each engine, and a law that is not
//! listed is dead code and fails the build. A law gets a [`Bench`]: one writer and the means to
//! open readers of the same store.

pub(crate) mod fixture;
mod logs;
mod observed;
mod pages;
mod remote;
mod retention;
mod runs;
mod sessions;
mod spans;
mod stacks;
mod statistics;

use crate::{Batch, Memory, Sink, Store};

/// A fresh store of one engine.
pub(crate) struct Bench {
    sink: Box<dyn Sink>,
    reopen: Box<dyn Fn() -> Box<dyn Store>>,
    store: Box<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    fn memory() -> Self {
        let memory = Memory::new();
        let shared = memory.clone();
        Self {
            sink: Box::new(memory.clone()),
            store: Box::new(memory),
            reopen: Box::new(move || Box::new(shared.clone())),
            _folder: None,
        }
    }

    #[cfg(feature = "sqlite")]
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        let sink = crate::open_writer(&database).unwrap();
        let reopen = Box::new(move || crate::open_reader(&database).unwrap());
        Self {
            sink,
            store: reopen(),
            reopen,
            _folder: Some(folder),
        }
    }

    fn commit(&mut self, batch: &Batch) {
        self.sink.commit(batch).unwrap();
    }
}

macro_rules! laws {
    ($($module:ident: $($law:ident),+;)+) => {
        mod memory {
            $($(#[test] fn $law() { super::$module::$law(&mut super::Bench::memory()); })+)+
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $($(#[test] fn $law() { super::$module::$law(&mut super::Bench::sqlite()); })+)+
        }
    };
}

laws! {
    spans:
        a_commit_is_visible_to_open_and_new_readers,
        an_empty_batch_changes_nothing,
        a_span_reads_back_as_it_was_written,
        ids_increase_in_commit_order,
        an_open_span_leaves_when_it_ends,
        an_open_span_keeps_what_the_drain_needs,
        a_span_that_ended_in_the_batch_that_started_it_was_never_open,
        a_span_open_over_several_commits_is_counted_once,
        a_producers_end_interrupts_its_open_spans,
        an_end_before_the_start_gives_no_negative_duration,
        a_second_end_changes_nothing,
        rows_of_an_undescribed_producer_are_not_hidden,
        a_producer_is_remembered_with_what_was_drained,
        captured_text_that_is_not_json_is_left_out;
    remote:
        parents_in_other_programs_are_found_by_trace_and_parent,
        a_parent_in_another_program_is_told_once;
    pages:
        paging_newest_first_loses_and_doubles_nothing,
        paging_oldest_first_loses_and_doubles_nothing,
        following_sees_what_is_committed_later,
        spans_are_filtered_by_each_criterion,
        filters_restrict_together,
        a_filtered_page_goes_on_after_its_cursor,
        spans_are_found_by_time_whatever_their_order,
        a_program_that_fell_silent_or_speaks_rarely_is_found,
        a_search_that_is_ended_again_and_again_finds_everything;
    logs:
        what_a_log_line_means_is_kept,
        lines_are_found_by_id_level_and_template,
        templates_count_over_commits,
        positions_of_log_files_never_go_back,
        of_a_path_only_so_many_contents_are_remembered;
    observed:
        samples_logs_events_and_metrics_read_back,
        rows_about_processes_are_filtered,
        a_run_seen_from_inside_and_outside_is_one,
        a_run_keeps_the_first_parent_that_was_told,
        a_terminated_event_ends_its_run,
        a_run_goes_on_when_its_program_executes_another,
        what_is_not_a_number_does_not_stop_a_batch;
    runs:
        a_run_is_chosen_by_what_people_call_it,
        living_children_are_those_of_this_very_run,
        rows_are_told_apart_by_their_run,
        a_run_begins_with_its_earliest_row;
    stacks:
        the_last_stack_of_each_thread_holds,
        a_stack_holds_for_a_while_only,
        a_thread_that_ended_has_no_stack,
        stacks_of_one_run_are_told_apart;
    sessions:
        a_session_is_numbered_from_its_start_without_gaps,
        an_unknown_session_gets_a_start_of_its_own,
        a_session_ends_completed_or_failed,
        an_event_after_the_end_is_counted_not_kept,
        a_producers_end_interrupts_its_active_sessions,
        sessions_are_listed_newest_first;
    statistics:
        functions_have_exact_counts_and_percentiles_within_two_percent,
        statistics_cover_whole_minutes,
        rollups_merge_over_batches,
        counts_tell_every_kind_of_row,
        positions_are_replaced_and_forgotten,
        a_gap_told_again_only_grows,
        gaps_tell_who_lost_what_when_and_why,
        the_ledger_adds_up,
        unended_producers_are_those_without_an_end,
        the_collectors_account_is_the_last_one,
        the_version_changes_with_every_commit;
    retention:
        what_is_older_than_its_age_goes,
        statistics_forget_what_went,
        a_group_has_an_age_of_its_own,
        only_ended_sessions_go_the_oldest_first,
        what_is_open_or_alive_stays,
        ids_are_not_given_again,
        without_limits_everything_stays;
}
