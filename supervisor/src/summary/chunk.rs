//! How a transcript is cut into chunks that fit a model's context, answer included. Pure.
//!
//! ```text
//! │ template, instructions │ notes │ lines of the chunk │ thoughts, where the model has any │ answer │
//! └──────────────────────────────────────── n_ctx ────────────────────────────────────────────────────┘
//! ```
//!
//! Notes go with every chunk, because they are about the whole meeting; those that would take more than their share
//! of the context are cut behind a whole line, and the plan tells how many lines are left.
//!
//! Nothing is ever cut within a line or left out: the chunks are whole lines, in order, and together all of
//! them. What cannot be done so is a [`Refusal`].

use std::ops::Range;

use meetcap_protocol::payload::llm::LlmCount;

/// Taken for the trained context of a model whose file does not tell it.
pub const UNKNOWN_CONTEXT: u32 = 8192;
/// Contexts are a multiple of this, as engines round them up anyway.
const CONTEXT_STEP: u64 = 256;
/// The answer's room, and what it needs besides repeating what was said: eight headings and their defaults.
const LEAST_ANSWER: u32 = 256;
const MOST_ANSWER: u32 = 1024;
const ANSWER_FRAME: u32 = 192;
/// The share of the context that notes may take of every chunk, and thoughts.
const NOTES_SHARE: u32 = 8;
const THOUGHTS_SHARE: u32 = 8;
/// Who has not begun to answer after so many tokens goes round in circles.
const MOST_THOUGHTS: u32 = 1024;
/// Models of today that are any good read more than this.
const SMALL_CONTEXT: u32 = 2048;

/// What bounds a plan besides the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest context, in tokens, that memory or the user allows.
    pub context: u32,
}

impl Default for Limits {
    /// Half an hour to an hour of speech at once. Longer contexts cost much memory, and small models lose the
    /// middle of them.
    fn default() -> Self {
        Self { context: 16_384 }
    }
}

/// How to go about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Tokens of context to allocate.
    pub n_ctx: u32,
    /// Lines of each job.
    pub chunks: Vec<Range<usize>>,
    /// Tokens of answer allowed to each job.
    pub max_tokens: u32,
    /// Tokens of thought before it.
    pub max_thoughts: u32,
    /// Lines of the notes that go with each job, from the first on.
    pub notes: usize,
    /// Tokens that each job takes besides its lines and its answer.
    pub fixed: u32,
}

/// Why there is no plan. It names counts, never lines' text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the transcript has no lines to summarize")]
    NoLines,
    #[error(
        "line {} of the transcript takes {tokens} tokens and a context of {context} has room for {room}; \
         use a model with a longer context or allow more memory", line + 1
    )]
    LineTooLong { line: usize, tokens: u32, room: u64, context: u32 },
    #[error(
        "instructions, notes and thoughts take {fixed} tokens and leave no room in a context of {context}; \
         use a model with a longer context or allow more memory"
    )]
    NoRoom { fixed: u32, context: u32 },
}

/// How many tokens an answer to a chunk of so many tokens may take in a context of this size.
///
/// A summary may repeat nearly everything that was said (the bundled model lists every sentence) and its
/// headings come on top, so: the transcript plus a frame. Below the least no model gets all headings out; above
/// the most it has lost itself. Half of the context always stays for the question: for the bundled model
/// (512 tokens) that means 256 for the answer and about 237 of transcript, which holds its 15 sentences (at most
/// 232 with the template around them, answered in at most 222, as measured).
pub fn answer_tokens(transcript_tokens: u64, context: u32) -> u32 {
    let wanted = transcript_tokens.saturating_add(u64::from(ANSWER_FRAME));
    let wanted = wanted.clamp(u64::from(LEAST_ANSWER), u64::from(MOST_ANSWER));
    u32::try_from(wanted).unwrap_or(MOST_ANSWER).min(context / 2)
}

/// Decides context, chunks and the answers' length. As few chunks as fit, all of about the same size.
///
/// # Errors
/// [`Refusal`]
pub fn plan(report: &LlmCount, limits: Limits) -> Result<Plan, Refusal> {
    if report.lines.is_empty() {
        return Err(Refusal::NoLines);
    }
    let trained = if report.trained_context == 0 { UNKNOWN_CONTEXT } else { report.trained_context };
    let context = trained.min(limits.context);
    let (notes, notes_tokens) = notes_within(&report.notes, context / NOTES_SHARE);
    let max_thoughts = if report.thinks { (context / THOUGHTS_SHARE).min(MOST_THOUGHTS) } else { 0 };
    let fixed = report.overhead.saturating_add(notes_tokens).saturating_add(max_thoughts);
    let room = chunk_room(fixed, context);
    if room == 0 {
        return Err(Refusal::NoRoom { fixed, context });
    }
    if let Some((line, &tokens)) = report.lines.iter().enumerate().find(|(_, t)| u64::from(**t) > room) {
        return Err(Refusal::LineTooLong { line, tokens, room, context });
    }
    let sums = Sums::new(&report.lines);
    let longest_line = report.lines.iter().copied().max().map_or(0, u64::from);
    let chunks = balanced(&sums, room.min(comfortable(context).max(longest_line)));
    let largest = chunks.iter().map(|c| sums.of(c)).max().unwrap_or_default();
    let needed = needed(fixed, largest, context).next_multiple_of(CONTEXT_STEP);
    let n_ctx = u32::try_from(needed).unwrap_or(context).min(context);
    Ok(Plan { n_ctx, chunks, max_tokens: answer_tokens(largest, context), max_thoughts, notes, fixed })
}

/// As many lines as fit, and their tokens.
fn notes_within(notes: &[u32], room: u32) -> (usize, u32) {
    let mut taken = (0, 0_u32);
    for tokens in notes {
        match taken.1.checked_add(*tokens).filter(|sum| *sum <= room) {
            Some(sum) => taken = (taken.0 + 1, sum),
            None => break,
        }
    }
    taken
}

/// The two halves of a chunk whose answer was cut by the token limit, of about the same size; `None` for a
/// single line. They fit wherever the whole did.
pub fn split(report: &LlmCount, chunk: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let lines = report.lines.get(chunk.clone())?;
    if lines.len() < 2 {
        return None;
    }
    let sums = Sums::new(lines);
    let middle = chunk.start + sums.nearest(sums.total() / 2).clamp(1, lines.len() - 1);
    Some((chunk.start..middle, middle..chunk.end))
}

/// The longest answer that fits behind a chunk: the last resort when the answer to a single line was cut.
pub fn longest_answer(report: &LlmCount, fixed: u32, chunk: &Range<usize>, n_ctx: u32) -> u32 {
    let tokens: u64 = report.lines.get(chunk.clone()).unwrap_or_default().iter().copied().map(u64::from).sum();
    u32::try_from(u64::from(n_ctx).saturating_sub(prompt(fixed, tokens))).unwrap_or(0)
}

/// The prompt of a chunk, with some slack: lines were counted one by one, and put together they may come out a
/// little longer.
fn prompt(fixed: u32, tokens: u64) -> u64 {
    let counted = u64::from(fixed).saturating_add(tokens);
    counted.saturating_add(8 + counted / 64)
}

fn needed(fixed: u32, tokens: u64, context: u32) -> u64 {
    prompt(fixed, tokens).saturating_add(u64::from(answer_tokens(tokens, context)))
}

/// How much a model of this context does well at once. A model with a small context is a small model: given as
/// much as fits it leaves out half of what was decided (60 sentences in two chunks gave the bundled one 14 of 27
/// decisions and actions). A third of the context is what it was trained on.
fn comfortable(context: u32) -> u64 {
    if context <= SMALL_CONTEXT { u64::from(context) / 3 } else { u64::from(context) }
}

/// The largest chunk that fits: what is needed only grows with the chunk, so halving finds it.
fn chunk_room(fixed: u32, context: u32) -> u64 {
    let (mut fits, mut too_large) = (0, u64::from(context) + 1);
    while fits + 1 < too_large {
        let middle = u64::midpoint(fits, too_large);
        if needed(fixed, middle, context) <= u64::from(context) {
            fits = middle;
        } else {
            too_large = middle;
        }
    }
    fits
}

/// Cuts into the fewest chunks of at most `room`, near equal shares. No line may be larger than `room`.
fn balanced(sums: &Sums, room: u64) -> Vec<Range<usize>> {
    let lines = sums.lines();
    let starts = earliest_starts(sums, room);
    let count = starts.len();
    let mut chunks = Vec::with_capacity(count);
    let mut start = 0;
    for left in (1..count).rev() {
        // What is left over, in equal shares, as near as the lines allow; but not so little that the chunks
        // after it could not hold the rest, nor more than fits, nor so much that one of them would be empty.
        let share = sums.before(start) + (sums.total() - sums.before(start)) / (left as u64 + 1);
        let least = starts[left - 1].max(start + 1);
        let most = sums.last_within(start, room).min(lines - left);
        let end = sums.nearest(share).min(most).max(least);
        chunks.push(start..end);
        start = end;
    }
    chunks.push(start..lines);
    chunks
}

/// Where the last one, two, three … chunks begin at the earliest when each is filled from the end. Their number
/// is the least number of chunks.
fn earliest_starts(sums: &Sums, room: u64) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut end = sums.lines();
    while end > 0 {
        end = sums.first_within(end, room);
        starts.push(end);
    }
    starts
}

/// Running sums of tokens: `0[i]` is what stands before line `i`.
struct Sums(Vec<u64>);

impl Sums {
    fn new(lines: &[u32]) -> Self {
        let mut sums = vec![0];
        let mut sum = 0;
        sums.extend(lines.iter().map(|&tokens| {
            sum += u64::from(tokens);
            sum
        }));
        Self(sums)
    }

    fn lines(&self) -> usize {
        self.0.len() - 1
    }

    fn total(&self) -> u64 {
        self.before(self.lines())
    }

    fn before(&self, line: usize) -> u64 {
        self.0[line]
    }

    fn of(&self, chunk: &Range<usize>) -> u64 {
        self.0[chunk.end] - self.0[chunk.start]
    }

    /// The cut with most nearly `tokens` before it.
    fn nearest(&self, tokens: u64) -> usize {
        let after = self.0.partition_point(|sum| *sum < tokens);
        match after.checked_sub(1) {
            Some(below) if after > self.lines() || tokens - self.0[below] <= self.0[after] - tokens => below,
            _ => after,
        }
    }

    /// The end of the largest chunk that begins at `start`.
    fn last_within(&self, start: usize, room: u64) -> usize {
        self.0.partition_point(|sum| *sum <= self.0[start].saturating_add(room)) - 1
    }

    /// The start of the largest chunk that ends at `end`; at least one line.
    fn first_within(&self, end: usize, room: u64) -> usize {
        self.0.partition_point(|sum| sum.saturating_add(room) < self.0[end]).min(end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(trained_context: u32, overhead: u32, lines: &[u32]) -> LlmCount {
        LlmCount { trained_context, overhead, lines: lines.to_vec(), ..LlmCount::default() }
    }

    /// A small generator; the seed is in every message.
    fn random(state: &mut u64, below: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    #[test]
    fn fifteen_sentences_are_one_chunk_for_the_bundled_model() {
        for tokens in [7, 9, 11] {
            let plan = plan(&report(512, 8, &[tokens; 15]), Limits::default()).expect("fits");
            assert_eq!((plan.n_ctx, plan.max_tokens), (512, 256));
            assert_eq!(plan.chunks.as_slice(), std::slice::from_ref(&(0..15)));
        }
        assert_eq!(chunk_room(8, 512), 237);
    }

    #[test]
    fn the_bundled_model_takes_a_long_meeting_in_even_parts() {
        let plan = plan(&report(512, 8, &[12; 64]), Limits::default()).expect("fits");
        assert_eq!(plan.chunks, [0..13, 13..26, 26..39, 39..51, 51..64]);
    }

    #[test]
    fn a_context_is_no_larger_than_needed() {
        let plan = plan(&report(131_072, 200, &[20; 100]), Limits::default()).expect("fits");
        // 2200 and slack, and 1024 of answer.
        assert_eq!((plan.n_ctx, plan.max_tokens, plan.chunks.len()), (3328, 1024, 1));
    }

    #[test]
    fn the_smallest_of_model_limit_and_default_rules() {
        let lines = [50; 1000];
        for (trained, limit, expected) in [(4096, 16_384, 4096), (0, 16_384, 8192), (131_072, 2048, 2048)] {
            let plan = plan(&report(trained, 200, &lines), Limits { context: limit }).expect("fits");
            assert!(plan.n_ctx <= expected, "{plan:?}");
            assert!(plan.n_ctx > expected / 2 && plan.chunks.len() > 1, "{plan:?}");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_numbers() {
        assert_eq!(plan(&report(512, 8, &[]), Limits::default()), Err(Refusal::NoLines));
        let refusal = plan(&report(512, 8, &[10, 238, 10]), Limits::default()).expect_err("too long");
        assert_eq!(refusal, Refusal::LineTooLong { line: 1, tokens: 238, room: 237, context: 512 });
        assert!(refusal.to_string().starts_with("line 2 of the transcript takes 238 tokens"), "{refusal}");
        let refusal = plan(&report(512, 300, &[10]), Limits::default()).expect_err("no room");
        assert_eq!(refusal, Refusal::NoRoom { fixed: 300, context: 512 });
        assert!(plan(&report(1, u32::MAX, &[u32::MAX; 3]), Limits { context: 0 }).is_err());
        assert!(plan(&report(u32::MAX, 9, &[u32::MAX - 1]), Limits { context: u32::MAX }).is_err());
    }

    #[test]
    fn chunks_of_random_transcripts_tile_and_fit_and_are_few_and_even() {
        for seed in 1..=3000_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let count = 1 + random(&mut state, 400) as usize;
            let widest = 1 + random(&mut state, 120);
            let lines: Vec<u32> = (0..count).map(|_| random(&mut state, widest) as u32).collect();
            let context = 512 + random(&mut state, 4000) as u32;
            let mut r = report(context, random(&mut state, 100) as u32, &lines);
            if context >= 1024 {
                r.thinks = random(&mut state, 4) == 0;
                r.notes = (0..random(&mut state, 20)).map(|_| random(&mut state, 60) as u32).collect();
            }
            let plan = plan(&r, Limits::default()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));

            let mut next = 0;
            for chunk in &plan.chunks {
                assert!(chunk.start == next && chunk.end > chunk.start, "seed {seed}: {plan:?}");
                next = chunk.end;
                let tokens: u64 = lines[chunk.clone()].iter().copied().map(u64::from).sum();
                let whole = prompt(plan.fixed, tokens) + u64::from(plan.max_tokens);
                assert!(whole <= u64::from(plan.n_ctx), "seed {seed}: {whole} in {plan:?}");
                assert!(longest_answer(&r, plan.fixed, chunk, plan.n_ctx) >= plan.max_tokens, "seed {seed}: {plan:?}");
            }
            assert!(next == count && plan.n_ctx <= context, "seed {seed}: {plan:?}");
            let notes: u32 = r.notes[..plan.notes].iter().sum();
            assert!(notes <= context / NOTES_SHARE, "seed {seed}: {plan:?}");
            assert_eq!(plan.fixed, r.overhead + notes + plan.max_thoughts, "seed {seed}");
            assert_eq!(plan.max_thoughts > 0, r.thinks, "seed {seed}");

            let sums = Sums::new(&lines);
            let longest = lines.iter().copied().max().map_or(0, u64::from);
            let room = chunk_room(plan.fixed, context).min(comfortable(context).max(longest));
            let mut fewest = 0;
            let mut at = 0;
            while at < count {
                at = sums.last_within(at, room);
                fewest += 1;
            }
            assert_eq!(plan.chunks.len(), fewest, "seed {seed}");
            // Even: no chunk is smaller than its share by more than the widest lines that had to be left whole.
            let share = sums.total() / fewest as u64;
            let least = plan.chunks.iter().map(|c| sums.of(c)).min().unwrap_or_default();
            assert!(least + fewest as u64 * widest >= share, "seed {seed}: {least} of {share} in {plan:?}");
        }
    }

    #[test]
    fn notes_go_with_every_chunk_as_far_as_they_have_room() {
        let with = |notes: &[u32]| {
            let r = LlmCount { notes: notes.to_vec(), ..report(4096, 200, &[20; 400]) };
            plan(&r, Limits::default()).expect("fits")
        };
        let (none, few, many) = (with(&[]), with(&[100, 200]), with(&[400, 400, 1]));
        assert_eq!((none.notes, none.fixed), (0, 200));
        assert_eq!((few.notes, few.fixed), (2, 500));
        assert_eq!((many.notes, many.fixed), (1, 600), "cut behind a whole line, and nothing behind the cut");
        assert!(few.chunks.len() >= none.chunks.len() && many.chunks.len() > none.chunks.len());
    }

    #[test]
    fn a_chunk_splits_into_halves_down_to_single_lines() {
        for seed in 1..=500_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let count = 1 + random(&mut state, 40) as usize;
            let lines: Vec<u32> = (0..count).map(|_| random(&mut state, 60) as u32).collect();
            let r = report(0, 0, &lines);
            let mut open = std::iter::once(0..count).collect::<Vec<_>>();
            let mut single = Vec::new();
            while let Some(chunk) = open.pop() {
                match split(&r, &chunk) {
                    Some((a, b)) => {
                        let tiles = a.start == chunk.start && a.end == b.start && b.end == chunk.end;
                        assert!(tiles && !a.is_empty() && !b.is_empty(), "seed {seed}: {chunk:?} {a:?} {b:?}");
                        open.extend([b, a]);
                    }
                    None => single.push(chunk),
                }
            }
            assert!(single.iter().enumerate().all(|(i, c)| *c == (i..i + 1)), "seed {seed}: {single:?}");
            assert_eq!(single.len(), count, "seed {seed}");
        }
        assert_eq!(split(&report(0, 0, &[1, 1, 8]), &(0..3)), Some((0..2, 2..3)));
        assert_eq!(split(&report(0, 0, &[1]), &(0..7)), None);
    }
}
