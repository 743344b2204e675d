//! The specification's optimization strategies (its section 8.2): what stands here of each, or why it does not.

#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategy {
    pub(crate) asked: &'static str,
    pub(crate) here: &'static str,
    /// `file::test`, as in the rows.
    pub(crate) tests: &'static [&'static str],
}

pub(crate) const STRATEGIES: [Strategy; 4] = [
    Strategy {
        asked: "Async cleanup: unload in the background",
        here: "In part, and never for the memory itself. An unload is the end of a process, after the transcript is on \
               disk; the next load waits until the process was reaped and its memory was looked for, because it may need \
               just that memory. With `explicit_lifecycle = false` the next worker starts, without a model, while the \
               last one ends.",
        tests: &[
            "governor::without_an_explicit_lifecycle_the_next_worker_is_there_before_the_last_one_has_left",
            "lifecycle::a_second_model_waits_until_the_first_worker_is_reaped",
        ],
    },
    Strategy {
        asked: "Memory pools: use allocations of one model for the next",
        here: "None, on purpose. A pool is memory that is not given back between models, which is what criterion 2 of \
               section 10 forbids; and allocations cannot outlive the process that they end with. Within a phase one \
               worker keeps its buffers for all windows, and for all recordings of one command.",
        tests: &["many::each_model_is_loaded_once_and_serves_all_recordings"],
    },
    Strategy {
        asked: "Smart caching: keep models that are used often, within the limits",
        here: "The kernel's page cache is the cache: model files stay in it as clean pages, which count as free for the \
               gate and are taken back under pressure without anybody's help. Above `warning_threshold` the file of a \
               finished model is dropped from it (`aggressive_gc`). No model is kept loaded between commands: that is the \
               peak this program is there to avoid.",
        tests: &[
            "governor::page_cache_is_not_memory_in_use",
            "memory/give_back::a_file_is_dropped_from_the_page_cache_and_can_still_be_read",
        ],
    },
    Strategy {
        asked: "Progressive loading: load parts of a model when they are needed",
        here: "In steps, by what is known: the header alone decides whether anything is started; of a summary model the \
               vocabulary alone counts the transcript's tokens and contexts are laid out without being allocated; the \
               weights are read last. Where llama.cpp rearranges no weights they are mapped and read page by page as they \
               are used. Layers are not loaded one by one: every token passes all of them.",
        tests: &[
            "governor::both_phases_are_looked_at_before_anything_is_started",
            "governor::a_models_need_is_told_without_loading_it",
        ],
    },
];
