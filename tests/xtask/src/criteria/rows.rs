//! What must be survived. A row names the tests that prove it as `file::test`; results name their row themselves.

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) section: &'static str,
    pub(crate) what: &'static str,
    pub(crate) target: &'static str,
    pub(crate) tests: &'static [&'static str],
    /// What no result and no test proves yet.
    pub(crate) open: &'static str,
}

impl Row {
    pub(super) fn is_last_of_section(&self) -> bool {
        ROWS.iter().find(|next| next.number == self.number + 1).is_none_or(|next| next.section != self.section)
    }
}

const PROCESSES: &str = "Processes";
const MEMORY: &str = "Memory";
const WIRE: &str = "Wire and security";
const DATA: &str = "Data";
const LOAD: &str = "Load";

pub(crate) const ROWS: [Row; 32] = [
    Row {
        number: 1,
        section: PROCESSES,
        what: "Starting a worker, from spawn to its Hello, 1,000 times",
        target: "above a bare spawn, exec and wait of the same program: p50 ≤ 5 ms, p99 ≤ 20 ms",
        tests: &[],
        open: "",
    },
    Row {
        number: 2,
        section: PROCESSES,
        what: "10,000 cycles in one supervisor; 8 h of audio, fast-forwarded",
        target: "own anonymous memory ≤ 8 MiB, slope 0, no zombie, descriptors and threads constant",
        tests: &[],
        open: "",
    },
    Row {
        number: 3,
        section: PROCESSES,
        what: "A worker that aborts at every start",
        target: "≤ 3 restarts in 60 s with growing pauses, then a typed error; CPU < 5 %",
        tests: &["recovery::a_worker_that_aborts_at_its_start_is_started_four_times_and_then_given_up"],
        open: "CPU while it waits",
    },
    Row {
        number: 4,
        section: PROCESSES,
        what: "A window that kills every worker that tries it",
        target: "after 2 tries a marked gap, and the rest of the recording",
        tests: &["recovery::a_window_that_kills_two_workers_becomes_a_gap_and_the_rest_is_transcribed"],
        open: "",
    },
    Row {
        number: 5,
        section: PROCESSES,
        what: "The supervisor is killed at 200 random points",
        target: "no worker alive 250 ms + 0.25 ms per resident MiB later; the next run goes on",
        tests: &["random_kills::killing_supervisors_and_workers_at_random_costs_time_and_nothing_else"],
        open: "200 points at once; No. 28 counts its own",
    },
    Row {
        number: 6,
        section: PROCESSES,
        what: "A worker is asked for by a thread that ends; the parent dies between spawn and the worker's arming",
        target: "it lives on; no orphan in 1,000",
        tests: &["worker_process::a_worker_outlives_the_thread_that_asked_for_it"],
        open: "",
    },
    Row {
        number: 7,
        section: PROCESSES,
        what: "A worker inherits no descriptor it need not have, and notices the end of its socket while it computes",
        target: "only the allowed descriptors; gone within 50 ms",
        tests: &[
            "worker_process::a_worker_has_nothing_open_but_its_streams_its_socket_and_its_files",
            "worker_process::a_worker_does_not_inherit_what_its_supervisor_has_inherited",
            "worker_process::the_end_of_the_socket_ends_a_worker_in_the_middle_of_its_computation",
        ],
        open: "the 50 ms",
    },
    Row {
        number: 8,
        section: PROCESSES,
        what: "A worker stands still, or computes for ever; another one is only slow",
        target: "found within 2 heartbeats (or by the deadline of no progress), gone ≤ 1 s later; the slow one is left alone",
        tests: &[
            "recovery::a_worker_that_stands_still_is_found_by_its_silence_killed_and_replaced",
            "worker_process::an_engine_that_computes_for_ever_while_its_heart_beats_is_found_by_the_lack_of_progress",
            "recovery::a_window_slower_than_the_silence_that_is_allowed_is_let_be",
        ],
        open: "a window of 60 s of real computation",
    },
    Row {
        number: 9,
        section: PROCESSES,
        what: "SIGTERM and Ctrl-C, once and twice, to a run whose worker computes or listens to nothing",
        target: "worker gone ≤ 1 s, all over ≤ 3 s, exit 143 or 130",
        tests: &[
            "recovery::a_worker_that_ignores_the_cancellation_is_gone_within_a_second",
            "pipeline_fake::a_second_ctrl_c_ends_at_once",
        ],
        open: "",
    },
    Row {
        number: 10,
        section: PROCESSES,
        what: "An abort after the final frame; an exit with code 0 before it",
        target: "success with a warning; a failure",
        tests: &[
            "pipeline_fake::an_abort_after_the_final_frame_is_a_warning",
            "pipeline_fake::an_exit_with_code_zero_before_the_final_frame_is_a_failure",
        ],
        open: "",
    },
    Row {
        number: 11,
        section: PROCESSES,
        what: "The engine aborts where a debugger is installed",
        target: "the death is seen ≤ 300 ms later, no debugger was started",
        tests: &["worker_process::an_abort_of_ggml_itself_starts_no_debugger_and_is_told_with_its_words"],
        open: "the 300 ms",
    },
    Row {
        number: 12,
        section: MEMORY,
        what: "Memory after each of 100 real cycles",
        target: "within 64 MiB of the baseline ≤ 1 s (GPU ≤ 3 s), else told as suspect",
        tests: &[
            "memory_real::after_every_cycle_memory_is_what_it_was",
            "governor::every_phase_proves_that_its_memory_came_back",
            "memory/release::what_nobody_is_seen_to_hold_is_suspect",
        ],
        open: "memory of graphics processors",
    },
    Row {
        number: 13,
        section: MEMORY,
        what: "Two models in memory at once, sampled from outside every 10 ms",
        target: "never more than one phase's cost + 32 MiB",
        tests: &[
            "memory_real::the_tree_never_holds_more_than_the_larger_phase",
            "pipeline_real::the_first_worker_is_gone_before_the_second_loads",
            "lifecycle::a_second_model_waits_until_the_first_worker_is_reaped",
        ],
        open: "",
    },
    Row {
        number: 14,
        section: MEMORY,
        what: "A model that does not fit",
        target: "refused ≤ 50 ms after exec with nothing started; a fallback where one fits; waits when told to",
        tests: &[
            "governor::what_does_not_fit_is_refused_with_its_arithmetic_and_nothing_is_started",
            "governor::both_phases_are_looked_at_before_anything_is_started",
            "governor::a_smaller_model_takes_the_place_of_one_that_does_not_fit",
            "governor::memory_that_comes_back_is_waited_for",
        ],
        open: "",
    },
    Row {
        number: 15,
        section: MEMORY,
        what: "A limit filled with page cache; a tight limit on a parent group",
        target: "admitted; the parent's limit is honoured",
        tests: &["governor::page_cache_is_not_memory_in_use", "governor::a_tight_limit_on_a_parent_group_is_honoured"],
        open: "",
    },
    Row {
        number: 16,
        section: MEMORY,
        what: "A worker that runs into a real memory limit, or is killed from outside",
        target: "supervisor lives, cause told from evidence, retried smaller, ≤ 1 window lost",
        tests: &[
            "governor::a_worker_that_the_kernel_kills_for_memory_is_followed_by_a_smaller_one_that_goes_on",
            "governor::when_no_smaller_model_is_left_the_run_ends_with_its_own_code_and_can_be_resumed",
            "governor::a_summary_that_ran_out_of_memory_in_its_second_part_keeps_the_first",
            "pipeline_fake::a_kill_from_outside_is_not_called_out_of_memory",
            "governor::the_code_of_the_supervisor_stays_in_memory_while_it_works",
        ],
        open: "the cause where the watch and the kernel end a worker at the same moment: told as ours",
    },
    Row {
        number: 17,
        section: MEMORY,
        what: "Memory pressure that comes and goes every 3 s",
        target: "≤ 1 change of state in 30 s",
        tests: &["memory/pressure::pressure_that_comes_and_goes_every_three_seconds_changes_the_level_once"],
        open: "",
    },
    Row {
        number: 18,
        section: MEMORY,
        what: "Predicted memory against the measured peak, on 6 shapes of models",
        target: "between 0.95 and 1.25",
        tests: &[
            "estimates::speech_models_of_any_shape_take_what_was_estimated",
            "estimates::summary_models_of_any_shape_take_what_was_estimated",
        ],
        open: "",
    },
    Row {
        number: 19,
        section: MEMORY,
        what: "A leak of 0.5 MB per cycle, and none",
        target: "found in ≥ 95 % of 200 trials; ≤ 1 % false alarms in 2,000",
        tests: &[],
        open: "",
    },
    Row {
        number: 20,
        section: WIRE,
        what: "Frames, journals, model headers and configuration made of noise and lies",
        target: "no panic, allocation ≤ cap + 64 KiB, a lying length refused ≤ 1 ms, a slow peer cut off",
        tests: &[
            "wire::damaged_messages_never_panic_the_decoder",
            "wire::a_length_over_the_cap_is_refused_before_anything_is_allocated",
            "journal/tests_mutations::content_with_checksums_that_fit_is_read_or_refused_and_never_a_panic",
            "journal/tests_mutations::a_lying_length_and_deep_nesting_cost_nothing",
            "models/gguf/tests::no_bytes_make_the_reader_panic",
            "config/tests_file::no_bytes_make_it_panic",
        ],
        open: "coverage-guided fuzzing, the times",
    },
    Row {
        number: 21,
        section: WIRE,
        what: "Messages out of phase, repeated or of another version; a flood of results",
        target: "worker ended and nothing applied; supervisor ≤ 16 MiB, heartbeats heard",
        tests: &["pipeline_fake::a_worker_that_breaks_the_protocol_is_killed_and_nothing_of_it_is_kept"],
        open: "the flood",
    },
    Row {
        number: 22,
        section: WIRE,
        what: "A stranger at the socket, a wrong token, a long temporary path",
        target: "refused, or works; the token is nowhere to be read",
        tests: &[
            "wire::a_preamble_that_is_wrong_anywhere_is_refused_by_name",
            "wire::a_stranger_without_the_token_learns_no_version",
        ],
        open: "another user, links in the way, long paths",
    },
    Row {
        number: 23,
        section: WIRE,
        what: "Model files that are cut, mutated or hostile",
        target: "refused before the load, else the worker ends with a clear message; the supervisor is intact",
        tests: &["refusals::a_model_that_is_cut_short_is_invalid_and_named"],
        open: "a cut at every percent, mutated headers",
    },
    Row {
        number: 24,
        section: WIRE,
        what: "Audio that lies, is cut, empty or no audio at all",
        target: "a typed error or a correct result; decoder ≤ 256 MiB",
        tests: &[
            "refusals::what_is_not_audio_is_refused_before_anything_is_started",
            "refusals::a_recording_cut_in_the_middle_gives_what_can_be_read",
            "refusals::fifty_milliseconds_hold_no_speech",
            "formats::a_damaged_file_is_heard_as_far_as_it_goes_and_the_damage_is_told_with_its_time",
            "formats::hostile_files_end_in_words_or_in_a_clear_refusal_and_within_bounded_memory",
        ],
        open: "",
    },
    Row {
        number: 25,
        section: WIRE,
        what: "A worker that reads, connects, starts or traces what it should not",
        target: "all denied; where the kernel cannot, it is said, and refused on request",
        tests: &[],
        open: "",
    },
    Row {
        number: 26,
        section: WIRE,
        what: "A transcript with control tokens, orders to the model and forged speakers",
        target: "no control token comes from it; the summary keeps its form",
        tests: &[
            "pipeline_real::what_somebody_said_cannot_pose_as_a_part_of_the_summary",
            "notes::a_transcript_of_four_contexts_names_items_from_every_quarter",
        ],
        open: "",
    },
    Row {
        number: 27,
        section: DATA,
        what: "The Nth write, sync or rename fails, for every N, once and for good",
        target: "no acknowledged window lost, no records fused",
        tests: &[
            "journal/tests_faults::whatever_fails_no_acknowledged_record_is_lost_and_none_fuses",
            "output/commit/tests::whatever_fails_each_file_is_whole_and_no_temporary_stays",
        ],
        open: "",
    },
    Row {
        number: 28,
        section: DATA,
        what: "1,000 kills of workers or supervisors at random times, each followed by the same command",
        target: "the text of an undisturbed run; ≤ 1 window done again for each kill",
        tests: &[
            "random_kills::killing_supervisors_and_workers_at_random_costs_time_and_nothing_else",
            "random_kills::a_kill_costs_the_window_in_flight_and_no_other",
        ],
        open: "",
    },
    Row {
        number: 29,
        section: DATA,
        what: "Another recording, model or setting than the journal's; two runs on one recording; sleep",
        target: "started over with a notice, the second told who holds it (exit 10), no worker killed for our own sleep",
        tests: &[
            "resume::a_changed_recording_is_never_mixed_with_the_old_one",
            "resume::another_speech_model_starts_over",
            "resume::the_second_run_on_a_recording_is_told_who_holds_it",
            "resume::a_supervisor_that_was_stopped_for_a_while_blames_no_worker",
            "governor::what_one_run_was_promised_another_does_not_count_as_free",
        ],
        open: "",
    },
    Row {
        number: 30,
        section: LOAD,
        what: "A recording of 8 h on 2 CPUs, a tenth of it silence",
        target: "flat memory, times in order, nothing invented in silence, loops cut, every part summarised",
        tests: &[
            "long_recording::twenty_minutes_of_meetings_are_heard_as_each_meeting_is_alone_in_flat_memory",
            "speech::long_silences_hold_no_words_and_change_none",
            "notes::every_line_is_given_to_the_model_once_and_in_order",
        ],
        open: "loops, which the bundled model does not fall into",
    },
    Row {
        number: 31,
        section: LOAD,
        what: "Meetings of sentences that the bundled speech model never met, through the whole program",
        target: "≤ 2 % of the words wrong; ≥ 90 % of actions and decisions in the summary",
        tests: &[
            "quality::twenty_meetings_are_heard_and_summarised",
            "quality::a_meeting_of_sixty_sentences_keeps_its_decisions_and_tasks",
            "quality::a_long_meeting_is_heard_from_beginning_to_end_and_in_order",
        ],
        open: "",
    },
    Row {
        number: 32,
        section: LOAD,
        what: "Time of a transcription against one plain call of the engine, tokens fixed, same threads",
        target: "≤ 1.15 without silence, ≤ 0.75 with 40 % of it",
        tests: &[],
        open: "",
    },
];
