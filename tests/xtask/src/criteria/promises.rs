//! The specification's own success criteria (its section 10), each with the figures that tell whether it is met. Figures
//! are drawn from results by their names, whichever criterion these were measured for.

use crate::results::{Figure, Measurement};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) number: u8,
    pub(crate) what: &'static str,
    pub(crate) drawn: &'static [Drawn],
    /// `file::test`, as in the rows.
    pub(crate) tests: &'static [&'static str],
    /// What no result and no test proves yet.
    pub(crate) open: &'static str,
}

/// A figure of a result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    /// The result's name.
    pub(crate) result: &'static str,
    /// The figure's, or what it begins with.
    pub(crate) figure: &'static str,
    pub(crate) shown: Shown,
}

/// How it is told and judged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// With its own target and verdict.
    Itself,
    /// A share of something else, as the percentage by which it is less: at least so many.
    Less(f64),
}

/// What came of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: String,
    pub(crate) target: String,
    pub(crate) met: Option<bool>,
}

impl Drawn {
    /// `None` while it is not measured.
    pub(crate) fn found(&self, results: &[Measurement]) -> Option<Found> {
        let of_name = results.iter().find(|result| result.name == self.result)?;
        // Some names end with figures of their own, which another measuring changes.
        let named = |figure: &&Figure| figure.name == self.figure;
        let begins = |figure: &&Figure| figure.name.starts_with(self.figure);
        let figure = of_name.figures.iter().find(named).or_else(|| of_name.figures.iter().find(begins))?;
        let Figure { value, unit, target, met, .. } = figure;
        Some(match self.shown {
            Shown::Itself => {
                let value = format!("{value} {unit}").trim_end().to_owned();
                Found { value, target: target.clone(), met: *met }
            }
            Shown::Less(least) => {
                let less = ((1.0 - value) * 1000.0).round() / 10.0;
                Found { value: format!("{less} % less"), target: format!("≥ {least} %"), met: Some(less >= least) }
            }
        })
    }
}

const PAIR: &str = "one model at a time, against its engines alone";
const PYTHON: &str = "against the same pipeline in one Python process";
const RELEASE: &str = "memory after each of 100 real cycles";
const OWN: &str = "the supervisor's own memory";
const REFUSAL: &str = "refusal of what does not fit";
const OUT_OF_MEMORY: &str = "a worker that the kernel kills for memory";
const OVERHEAD: &str = "time of a run against its engines called directly";
const HANDOVER: &str = "handing over from one model to the other";

const fn itself(result: &'static str, figure: &'static str) -> Drawn {
    Drawn { result, figure, shown: Shown::Itself }
}

const fn less(result: &'static str, figure: &'static str, least: f64) -> Drawn {
    Drawn { result, figure, shown: Shown::Less(least) }
}

pub(crate) const PROMISES: [Promise; 5] = [
    Promise {
        number: 35,
        what: "Memory at its peak is at least 30 % less than with both models loaded",
        drawn: &[
            less(PAIR, "tree / both engines at once", 30.0),
            less(PYTHON, "supervised / Python that keeps both", 30.0),
        ],
        tests: &["memory_real::the_tree_never_holds_more_than_the_larger_phase"],
        open: "",
    },
    Promise {
        number: 36,
        what: "Memory is back at its baseline after every unload, within 64 MiB",
        drawn: &[
            itself(RELEASE, "speech: missing on the machine, most"),
            itself(RELEASE, "speech: kept by the supervisor, most"),
            itself(RELEASE, "summary: missing on the machine, most"),
            itself(RELEASE, "summary: kept by the supervisor, most"),
            itself(RELEASE, "whisper-small-f16: releases that are suspect"),
        ],
        tests: &[
            "memory_real::after_every_cycle_memory_is_what_it_was",
            "governor::every_phase_proves_that_its_memory_came_back",
        ],
        open: "memory of graphics processors",
    },
    Promise {
        number: 37,
        what: "No leak: memory stays level over many cycles",
        drawn: &[itself(OWN, "cycles"), itself(OWN, "cycles: slope"), itself(RELEASE, "own anonymous memory: slope")],
        tests: &[
            "suites/leak::forty_cycles_of_the_whole_pipeline_hold_no_leak_and_are_told_in_every_form",
            "suites/leak::the_gate_finds_what_leaks_and_nothing_where_nothing_does",
        ],
        open: "",
    },
    Promise {
        number: 38,
        what: "Memory pressure is met with refusals, smaller models and ends that can be resumed",
        drawn: &[
            itself(REFUSAL, "workers started"),
            itself(REFUSAL, "until it has ended with code 5, longest"),
            itself(OUT_OF_MEMORY, "supervisors that did not live to the end"),
            itself(OUT_OF_MEMORY, "runs not finished by the smaller model"),
            itself(OUT_OF_MEMORY, "transcripts that are not whole"),
        ],
        tests: &[
            "governor::a_smaller_model_takes_the_place_of_one_that_does_not_fit",
            "governor::a_worker_is_asked_to_leave_at_its_next_window_when_memory_becomes_scarce",
            "governor::a_summary_gets_by_with_a_quantised_context_before_another_model_is_thought_of",
            "governor::when_no_smaller_model_is_left_the_run_ends_with_its_own_code_and_can_be_resumed",
        ],
        open: "",
    },
    Promise {
        number: 39,
        what: "Loading and unloading take less than 10 % of the processing time; isolation as such at most 1 %",
        drawn: &[
            itself(OVERHEAD, "loading and unloading, of the whole run, most"),
            itself(OVERHEAD, "isolation overhead, median of the pairs"),
            itself(HANDOVER, "what is left above both, median"),
        ],
        tests: &[],
        open: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn results(value: f64) -> Vec<Measurement> {
        vec![Measurement {
            criterion: 13,
            name: PAIR.to_owned(),
            command: String::new(),
            machine: String::new(),
            figures: vec![Figure::at_most("tree / both engines at once", value, "", 0.42)],
            notes: Vec::new(),
        }]
    }

    #[test]
    fn a_share_is_told_as_what_it_is_less_and_judged_by_the_promise() {
        let drawn = less(PAIR, "tree / both engines at once", 30.0);
        let found = drawn.found(&results(0.385)).expect("measured");
        assert_eq!((found.value.as_str(), found.target.as_str(), found.met), ("61.5 % less", "≥ 30 %", Some(true)));
        assert_eq!(drawn.found(&results(0.71)).expect("measured").met, Some(false));
    }

    #[test]
    fn a_figure_is_told_as_it_was_measured_and_not_at_all_before() {
        let drawn = itself(PAIR, "tree / both engines at once");
        let found = drawn.found(&results(0.5)).expect("measured");
        assert_eq!((found.value.as_str(), found.target.as_str(), found.met), ("0.5", "≤ 0.42", Some(false)));
        assert_eq!(itself(PAIR, "tree / both").found(&results(0.5)), Some(found), "its beginning will do");
        assert_eq!(drawn.found(&[]), None);
        assert_eq!(itself(PAIR, "another figure").found(&results(0.5)), None);
    }
}
