//! The last step of a summary in parts: the model writes one title and one summary of theirs. What is written is in the
//! journal; what cannot be written is no failure, the parts' own summaries stand then.

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{Finish, LlmCount, LlmJob, Subject};

use super::{Asked, TEMPERATURE, Work, ask};
use crate::errors::JobError;
use crate::output;
use crate::pipeline::Run;
use crate::service::LlmService;
use crate::summary::{Gist, Group, Meter, Plan, Step, Summary, Uniting};

/// Three short paragraphs and a title.
const ANSWER: u32 = 512;

/// Whether the parts are to be united by the model: there are several, and it can be told to.
pub(super) fn is_due(work: &Work<'_>, count: &LlmCount) -> bool {
    let parts = work.summaries.len() + work.queue.as_ref().map_or(0, std::collections::VecDeque::len);
    parts > 1 && count.instructed && work.order.resources.exact.is_none()
}

/// Where the work stands, with all that was written before put in. `None` when nothing is left to be asked.
pub(super) fn open(work: &mut Work<'_>, count: &LlmCount, plan: &Plan) -> Option<Uniting> {
    let summaries: Vec<Summary> = work.summaries.iter().map(|done| done.summary.clone()).collect();
    let mut uniting = Uniting::new(&summaries, room(work, count, plan));
    loop {
        match uniting.step() {
            Step::Ask(group) => match work.united(&group) {
                Some(gist) => uniting.answered(gist.clone()),
                None => return Some(uniting),
            },
            Step::United(gist) => {
                work.gist = Some(gist);
                return None;
            }
            Step::GiveUp => return None,
        }
    }
}

/// Bytes of text that a job is likely to have room for, by what the transcript's take; a quarter less, because other
/// words take other tokens.
fn room(work: &Work<'_>, count: &LlmCount, plan: &Plan) -> usize {
    let tokens: u64 = count.lines.iter().copied().map(u64::from).sum();
    let bytes: usize = work.lines.iter().map(|line| line.0.len() + 1).sum();
    let taken = u64::from(count.overhead) + u64::from(plan.max_thoughts) + u64::from(answer(plan));
    let room = u64::from(plan.n_ctx).saturating_sub(taken);
    let bytes = u128::from(room) * bytes as u128 * 3 / 4 / u128::from(tokens.max(1));
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn answer(plan: &Plan) -> u32 {
    ANSWER.min(plan.n_ctx / 4)
}

/// Asks until one is left.
pub(super) async fn unite(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    mut uniting: Uniting,
    plan: &Plan,
    meter: &mut Meter,
) -> Result<(), JobError> {
    loop {
        let group = match uniting.step() {
            Step::Ask(group) => group,
            Step::United(gist) => {
                work.gist = Some(gist);
                return Ok(());
            }
            Step::GiveUp => {
                stand_apart(run, "they do not fit into the context");
                return Ok(());
            }
        };
        if let Some(gist) = work.united(&group) {
            uniting.answered(gist.clone());
            continue;
        }
        meter.begin_one_of(uniting.jobs_left());
        let Asked { answer, finish } = ask(run, service, job(work, &uniting, &group, plan), meter).await?;
        match (finish, Gist::of(&answer)) {
            (Finish::NoRoom, _) => uniting.no_room(),
            (Finish::EndOfText, Some(gist)) => {
                meter.end();
                work.unite(group, gist.clone());
                uniting.answered(gist);
            }
            (Finish::EndOfText, None) => {
                stand_apart(run, "the model's answer held none");
                return Ok(());
            }
            (Finish::TokenLimit, _) => {
                stand_apart(run, "the model's answer reached its token limit");
                return Ok(());
            }
        }
    }
}

fn job(work: &Work<'_>, uniting: &Uniting, group: &Group, plan: &Plan) -> LlmJob {
    let lines = uniting.lines(group);
    LlmJob {
        instructions: work.uniting_instructions.clone(),
        notes: Vec::new(),
        subject: Subject::Parts,
        lines: lines.iter().flat_map(|line| output::text::statements(line)).map(Spoken::from).collect(),
        max_tokens: answer(plan),
        max_thoughts: plan.max_thoughts,
        exact: false,
        seed: work.order.seed,
        temperature: TEMPERATURE,
    }
}

fn stand_apart(run: &mut Run, why: &str) {
    run.warn(
        "summary_in_parts",
        format!("there is no one summary of the parts' summaries ({why}); they stand one after another"),
    );
}
