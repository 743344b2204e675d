//! What a summary is made of, across the workers that it takes: what is done, what is not, and the journal's word on
//! both.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::LlmCount;

use super::{Order, TEMPERATURE};
use crate::errors::JobError;
use crate::journal::{Chunk, LlmHeader, ModelIdentity, Record, United, digest, fingerprint};
use crate::models::Model;
use crate::models::header::ModelError;
use crate::output;
use crate::pipeline::keeping::Keeping;
use crate::pipeline::recovery::Spot;
use crate::summary::{self, Gist, Group, Limits, Summary};

/// The whole of it.
pub(super) struct Work<'run> {
    /// Among the tasks.
    pub(super) at: usize,
    pub(super) order: Order<'run>,
    pub(super) instructions: String,
    pub(super) uniting_instructions: String,
    pub(super) notes: Vec<Spoken>,
    pub(super) lines: Vec<Spoken>,
    keeping: Option<&'run mut Keeping>,
    /// What the queue was made for: the model's file, and the context.
    plan: Option<(PathBuf, u32)>,
    /// What is not done; unknown before the first plan.
    pub(super) queue: Option<VecDeque<Part>>,
    pub(super) summaries: Vec<Done>,
    pub(super) united: Vec<United>,
    /// How the whole reads, where the model has written that.
    pub(super) gist: Option<Gist>,
}

/// A part that is done.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) lines: Range<usize>,
    pub(super) summary: Summary,
}

/// One job for the model.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) lines: Range<usize>,
    pub(super) max_tokens: u32,
    /// Answers to it that did not end; each further one is begun with another seed, and warmer.
    pub(super) cut: u8,
}

/// Nobody speaks in headings: a line that looks like one would be taken for the beginning of an answer. The bundled
/// model lost every item of a part with `## Decisions Made` in it, and none where the hashes were gone.
fn without_heading(line: &str) -> &str {
    let text = line.trim_start();
    let rest = text.trim_start_matches('#');
    if rest.len() < text.len() && rest.starts_with(char::is_whitespace) { rest } else { line }
}

impl<'run> Work<'run> {
    pub(super) fn new(at: usize, order: Order<'run>, keeping: Option<&'run mut Keeping>) -> Self {
        let statements = |lines: &'run [String]| {
            lines.iter().flat_map(|line| output::text::statements(without_heading(line))).map(Spoken::from).collect()
        };
        Self {
            at,
            instructions: summary::instructions(order.language),
            uniting_instructions: summary::uniting_instructions(order.language),
            notes: statements(order.notes),
            lines: statements(order.lines),
            order,
            keeping,
            plan: None,
            queue: None,
            summaries: Vec::new(),
            united: Vec::new(),
            gist: None,
        }
    }

    pub(super) fn spot(&self) -> Option<Spot> {
        let Some(part) = self.queue.as_ref()?.front() else {
            // Behind all lines.
            let unit = u64::try_from(self.lines.len() + self.united.len()).ok()?;
            return Some(Spot { unit, name: "the parts' summaries".to_owned() });
        };
        let unit = u64::try_from(part.lines.start).ok()?;
        let name = format!("lines {} to {}", part.lines.start + 1, part.lines.end);
        Some(Spot { unit, name })
    }

    /// Jobs that are done, of whatever kind.
    pub(super) fn steps(&self) -> usize {
        self.summaries.len() + self.united.len()
    }

    /// Sets out: what the journal has is taken over, the rest is queued. With another model or less context than
    /// before, what is done stays and the rest is cut anew.
    pub(super) fn begin(&mut self, model: &Model, plan: &summary::Plan, count: &LlmCount) -> Result<(), JobError> {
        let made_for = (model.path.clone(), plan.n_ctx);
        match &self.plan {
            Some((path, n_ctx)) if *path == model.path && *n_ctx <= plan.n_ctx => return Ok(()),
            Some(_) => self.cut_anew(model, plan, count)?,
            None => self.take_over(model, plan)?,
        }
        self.plan = Some(made_for);
        Ok(())
    }

    fn header(&self, model: &Model, plan: &summary::Plan, chunks: Vec<Range<usize>>) -> Result<LlmHeader, JobError> {
        let file =
            fingerprint(&model.path).map_err(|source| ModelError::Missing { path: model.path.clone(), source })?;
        let told = [&self.instructions[..], &self.uniting_instructions].into_iter();
        Ok(LlmHeader {
            model: ModelIdentity::new(model, file),
            instructions: digest(told.chain(self.order.notes.iter().map(String::as_str))),
            lines: digest(self.order.lines.iter().map(String::as_str)),
            seed: self.order.seed,
            temperature: TEMPERATURE,
            n_ctx: plan.n_ctx,
            max_tokens: plan.max_tokens,
            chunks,
        })
    }

    fn take_over(&mut self, model: &Model, plan: &summary::Plan) -> Result<(), JobError> {
        let mut remaining = plan.chunks.clone();
        if self.keeping.is_some() {
            let header = self.header(model, plan, plan.chunks.clone())?;
            if let Some(keeping) = &mut self.keeping {
                let (done, open) = keeping.resume_summary(&header);
                let done = done.into_iter().map(|Chunk { lines, summary }| Done { lines, summary });
                self.summaries = done.collect();
                self.united = keeping.progress.llm.as_ref().map(|llm| llm.united.clone()).unwrap_or_default();
                remaining = open;
            }
        }
        self.enqueue(remaining, plan.max_tokens);
        Ok(())
    }

    fn cut_anew(&mut self, model: &Model, plan: &summary::Plan, count: &LlmCount) -> Result<(), JobError> {
        self.united.clear();
        let next = self.summaries.last().map_or(0, |done| done.lines.end);
        let rest = LlmCount { lines: count.lines[next.min(count.lines.len())..].to_vec(), ..count.clone() };
        let (open, max_tokens) = if rest.lines.is_empty() {
            (Vec::new(), plan.max_tokens)
        } else {
            let cut = summary::chunk::plan(&rest, Limits { context: plan.n_ctx })?;
            let open = cut.chunks.iter().map(|lines| lines.start + next..lines.end + next);
            (open.collect(), cut.max_tokens)
        };
        if self.keeping.is_some() {
            let done = self.summaries.iter().map(|done| done.lines.clone());
            let header = self.header(model, plan, done.chain(open.iter().cloned()).collect())?;
            self.keep(Record::LlmHeader(header));
            for Done { lines, summary } in self.summaries.clone() {
                self.keep(Record::Chunk(Chunk { lines, summary }));
            }
        }
        self.enqueue(open, max_tokens);
        Ok(())
    }

    fn enqueue(&mut self, open: Vec<Range<usize>>, max_tokens: u32) {
        let part = |lines| Part { lines, max_tokens, cut: 0 };
        self.queue = Some(open.into_iter().map(part).collect());
    }

    fn keep(&mut self, record: Record) {
        if let Some(keeping) = &mut self.keeping
            && let Err(error) = keeping.keep(record)
        {
            tracing::warn!(%error, "a finished part of the summary is not in the journal");
        }
    }

    /// The part at the head of the queue is summarised.
    pub(super) fn done(&mut self, answer: &str) {
        let Some(part) = self.queue.as_mut().and_then(VecDeque::pop_front) else { return };
        let done = Done { lines: part.lines, summary: summary::parse(answer) };
        self.keep(Record::Chunk(Chunk { lines: done.lines.clone(), summary: done.summary.clone() }));
        self.summaries.push(done);
    }

    /// Some parts read as one.
    pub(super) fn unite(&mut self, group: Group, gist: Gist) {
        let united = United { group, gist };
        self.keep(Record::United(united.clone()));
        self.united.push(united);
    }

    /// What was written of this group before.
    pub(super) fn united(&self, group: &Group) -> Option<&Gist> {
        self.united.iter().find(|united| united.group == *group).map(|united| &united.gist)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_looks_like_a_heading_is_given_without_its_hashes() {
        assert_eq!(without_heading("## Decisions Made").trim(), "Decisions Made");
        assert_eq!(without_heading("  # a # b").trim(), "a # b");
        for same in ["#1 priority", "we say # twice", "[Speaker 1]: ## x", "##", ""] {
            assert_eq!(without_heading(same), same);
        }
    }
}
