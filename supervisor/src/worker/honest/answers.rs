//! What a summary worker can honestly say: of how long lines are, of what a set-up takes, and in answer to a job.
//!
//! ```text
//!  Count ─► as many numbers as lines, none larger than its line can come to
//!  Size  ─► as many sizes as set-ups
//!  job   ─► ( Delta | Progress )* ─► Done      no more text than the tokens that were asked for can be
//! ```

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{
    Finish, Llm, LlmCount, LlmItem, LlmJob, LlmOutput, LlmParts, LlmPlanReport, LlmPlanRequest, LlmSize,
};

use super::{Judge, Judged, Lie, check_progress, plain};

/// Tokens that a byte of text can come to: one, where a vocabulary knows single bytes; more where a tokeniser takes
/// letters apart before (a ligature of three bytes may stand for eighteen letters).
const TOKENS_PER_BYTE: u64 = 32;
/// And for what stands around a line.
const TOKENS_AROUND: u64 = 64;
/// Tokens of a chat template with its instructions, of which the largest known have a few thousand.
const LONGEST_FRAME: u64 = 1 << 20;
/// No machine has so much memory. Sums of several stay far from where numbers end.
const LARGEST_PART: u64 = 1 << 50;

/// Bytes that a token can stand for: vocabularies hold runs of blanks and dashes of up to 128.
const BYTES_PER_TOKEN: u64 = 256;
/// What was held back for a mark that did not come.
const HELD_BACK: u64 = 4 << 10;
/// No answer is so long, whatever its tokens: the summary of a day has a few pages.
const LONGEST_ANSWER: u64 = 4 << 20;
/// What is told beside a message for every token.
const FEW: u32 = 64;

/// What was asked, as far as the answer depends on it: bytes of each line, or the number of set-ups.
#[derive(Debug)]
pub enum Asked {
    Count { instructions: u64, notes: Vec<u64>, lines: Vec<u64> },
    Size { setups: usize },
}

impl Judged for Llm {
    type Asked = Asked;
    type Judge = AnswerJudge;

    fn asked(request: &LlmPlanRequest) -> Asked {
        let bytes = |lines: &[Spoken]| lines.iter().map(|line| line.0.len() as u64).collect();
        match request {
            LlmPlanRequest::Count { instructions, notes, lines, .. } => {
                let instructions = instructions.len() as u64;
                Asked::Count { instructions, notes: bytes(notes), lines: bytes(lines) }
            }
            LlmPlanRequest::Size { setups, .. } => Asked::Size { setups: setups.len() },
        }
    }

    fn check_plan(asked: &Asked, report: &LlmPlanReport) -> Result<(), Lie> {
        match (asked, report) {
            (Asked::Count { instructions, notes, lines }, LlmPlanReport::Counted(count)) => {
                let LlmCount { overhead, notes: of_notes, lines: of_lines, .. } = count;
                check_counts("notes", notes, of_notes)?;
                check_counts("lines", lines, of_lines)?;
                if u64::from(*overhead) > most_tokens(*instructions) + LONGEST_FRAME {
                    return Err(Lie::new(format!("its template takes {overhead} tokens without any line")));
                }
                Ok(())
            }
            (Asked::Size { setups }, LlmPlanReport::Sized(sizes)) if sizes.len() == *setups => {
                let parts = |size: &LlmSize| {
                    [size.host, size.gpu]
                        .into_iter()
                        .flat_map(|LlmParts { weights, context, compute }| [weights, context, compute])
                };
                match sizes.iter().flat_map(parts).find(|part| *part > LARGEST_PART) {
                    Some(part) => Err(Lie::new(format!("a set-up takes {part} bytes"))),
                    None => Ok(()),
                }
            }
            (Asked::Size { setups }, LlmPlanReport::Sized(sizes)) => {
                Err(Lie::new(format!("it sized {} set-ups of {setups}", sizes.len())))
            }
            (Asked::Count { .. }, LlmPlanReport::Sized(_)) => Err(Lie::new("it sized where it should count")),
            (Asked::Size { .. }, LlmPlanReport::Counted(_)) => Err(Lie::new("it counted where it should size")),
        }
    }
}

fn most_tokens(bytes: u64) -> u64 {
    TOKENS_AROUND + TOKENS_PER_BYTE * bytes
}

/// # Errors
/// Another number of lines, or a line that cannot be so long.
fn check_counts(what: &str, asked: &[u64], counted: &[u32]) -> Result<(), Lie> {
    if asked.len() != counted.len() {
        return Err(Lie::new(format!("it counted {} {what} of {}", counted.len(), asked.len())));
    }
    let over = asked.iter().zip(counted).find(|(bytes, tokens)| u64::from(**tokens) > most_tokens(**bytes));
    match over {
        Some((bytes, tokens)) => Err(Lie::new(format!("it counted {tokens} tokens in {bytes} bytes"))),
        None => Ok(()),
    }
}

/// Hears one job.
#[derive(Debug)]
pub struct AnswerJudge {
    max_tokens: u32,
    n_ctx: u32,
    /// Bytes of text that may still come.
    text_left: u64,
    deltas: u32,
    deltas_left: u32,
    tellings_left: u32,
}

impl AnswerJudge {
    /// For a job in a context of `n_ctx` tokens.
    pub fn new(job: &LlmJob, n_ctx: u32) -> Self {
        // Thoughts take room too, and may turn out to be none: each token of the context is told of at most once.
        let most = n_ctx.max(job.max_tokens).saturating_add(FEW);
        let text = BYTES_PER_TOKEN * u64::from(job.max_tokens) + HELD_BACK;
        Self {
            max_tokens: job.max_tokens,
            n_ctx,
            text_left: text.min(LONGEST_ANSWER),
            deltas: 0,
            deltas_left: most,
            tellings_left: most,
        }
    }
}

impl Judge<Llm> for AnswerJudge {
    fn unit_started(&mut self, _: u64, _: f64, _: f64) -> Result<(), Lie> {
        Err(Lie::new("a summary has no units"))
    }

    fn unit_done(&mut self) {}

    fn progress(&mut self, done: f64, total: Option<f64>) -> Result<(), Lie> {
        self.tellings_left = self
            .tellings_left
            .checked_sub(1)
            .ok_or_else(|| Lie::new("it told its progress more often than it has tokens"))?;
        check_progress(done, total)
    }

    fn item(&mut self, item: LlmItem) -> Result<LlmItem, Lie> {
        let LlmItem::Delta(Spoken(text)) = item;
        let too_much = || Lie::new(format!("it answered more than {} tokens can be", self.max_tokens));
        let text_left = self.text_left.checked_sub(text.len() as u64).ok_or_else(too_much)?;
        let deltas_left = self.deltas_left.checked_sub(1).ok_or_else(too_much)?;
        (self.text_left, self.deltas_left, self.deltas) = (text_left, deltas_left, self.deltas.saturating_add(1));
        Ok(LlmItem::Delta(Spoken(plain(text))))
    }

    fn done(&mut self, output: &LlmOutput) -> Result<(), Lie> {
        let LlmOutput { finish, prompt_tokens, thought_tokens, answer_tokens } = *output;
        if finish == Finish::NoRoom {
            // What does not fit is larger than the context, and nothing came of it.
            return if self.deltas == 0 && thought_tokens == 0 && answer_tokens == 0 {
                Ok(())
            } else {
                Err(Lie::new("it answered what it had no room for"))
            };
        }
        let all = u64::from(prompt_tokens) + u64::from(thought_tokens) + u64::from(answer_tokens);
        if answer_tokens > self.max_tokens || all > u64::from(self.n_ctx) {
            return Err(Lie::new(format!(
                "{answer_tokens} tokens of answer behind {prompt_tokens} and {thought_tokens}, with at most {} in a context of {}",
                self.max_tokens, self.n_ctx
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn request(lines: &[&str]) -> LlmPlanRequest {
        LlmPlanRequest::Count {
            model: std::path::Path::new("a.gguf").into(),
            instructions: "Summarise.".to_owned(),
            notes: vec!["A note.".into()],
            lines: lines.iter().map(|line| (*line).into()).collect(),
        }
    }

    fn counted(notes: &[u32], lines: &[u32]) -> LlmPlanReport {
        let (notes, lines) = (notes.to_vec(), lines.to_vec());
        LlmPlanReport::Counted(LlmCount {
            trained_context: u32::MAX,
            overhead: 50,
            notes,
            lines,
            ..LlmCount::default()
        })
    }

    #[test]
    fn a_count_has_a_number_for_every_line_that_was_asked_about() {
        let asked = Llm::asked(&request(&["One.", "", "\u{fdfa}"]));
        assert_eq!(Llm::check_plan(&asked, &counted(&[3], &[3, 1, 40])), Ok(()));
        assert_eq!(Llm::check_plan(&asked, &counted(&[0], &[0, 0, 0])), Ok(()), "dropped by the template");
        for lie in [
            counted(&[3], &[3, 1]),
            counted(&[3], &[3, 1, 5, 7]),
            counted(&[], &[3, 1, 5]),
            counted(&[3], &[3, 100, 5]),
            counted(&[u32::MAX], &[3, 1, 5]),
            LlmPlanReport::Counted(LlmCount {
                overhead: u32::MAX,
                notes: vec![1],
                lines: vec![1; 3],
                ..LlmCount::default()
            }),
            LlmPlanReport::Sized(Vec::new()),
        ] {
            assert!(Llm::check_plan(&asked, &lie).is_err(), "{lie:?}");
        }
    }

    #[test]
    fn sizes_are_as_many_as_set_ups_and_of_this_world() {
        let size = |weights| LlmSize { host: LlmParts { weights, ..LlmParts::default() }, gpu: LlmParts::default() };
        let asked = Asked::Size { setups: 2 };
        assert_eq!(Llm::check_plan(&asked, &LlmPlanReport::Sized(vec![size(1 << 40), size(0)])), Ok(()));
        for lie in [
            LlmPlanReport::Sized(vec![size(1)]),
            LlmPlanReport::Sized(vec![size(1); 3]),
            LlmPlanReport::Sized(vec![size(1), size(u64::MAX)]),
            counted(&[], &[]),
        ] {
            assert!(Llm::check_plan(&asked, &lie).is_err(), "{lie:?}");
        }
    }

    fn judge(max_tokens: u32, n_ctx: u32) -> AnswerJudge {
        AnswerJudge::new(&LlmJob { max_tokens, ..LlmJob::default() }, n_ctx)
    }

    fn delta(text: &str) -> LlmItem {
        LlmItem::Delta(text.into())
    }

    fn output(finish: Finish, prompt_tokens: u32, thought_tokens: u32, answer_tokens: u32) -> LlmOutput {
        LlmOutput { finish, prompt_tokens, thought_tokens, answer_tokens }
    }

    #[test]
    fn an_answer_is_no_longer_than_its_tokens() {
        let mut honest = judge(100, 512);
        for _ in 0..100 {
            honest.item(delta(&"-".repeat(128))).expect("runs of dashes are tokens");
            honest.progress(80.0, Some(160.0)).expect("progress");
        }
        assert_eq!(honest.done(&output(Finish::TokenLimit, 80, 300, 100)), Ok(()));
        assert!(judge(100, 512).item(delta(&"x".repeat(30_000))).is_err());
        let mut pieces = judge(100, 512);
        assert_eq!((0..10_000).take_while(|_| pieces.item(delta("")).is_ok()).count(), 512 + 64);
        let mut endless = judge(u32::MAX, u32::MAX);
        assert!((0..5).any(|_| endless.item(delta(&"x".repeat(1 << 20))).is_err()));
        let mut told = judge(100, 512);
        assert!((0..1000).any(|_| told.progress(1.0, None).is_err()));
        assert!(told.progress(f64::NAN, None).is_err());
    }

    #[test]
    fn what_commands_a_terminal_is_taken_out_of_an_answer() {
        assert_eq!(judge(10, 512).item(delta("## A\n\u{1b}[2J\u{9b}x")), Ok(delta("## A\n[2Jx")));
    }

    #[test]
    fn the_account_of_an_answer_fits_the_context() {
        for lie in [
            output(Finish::EndOfText, 80, 0, 101),
            output(Finish::EndOfText, 500, 0, 60),
            output(Finish::TokenLimit, u32::MAX, u32::MAX, 1),
            output(Finish::NoRoom, 80, 0, 1),
            output(Finish::NoRoom, 80, 1, 0),
        ] {
            assert!(judge(100, 512).done(&lie).is_err(), "{lie:?}");
        }
        assert_eq!(judge(100, 512).done(&output(Finish::NoRoom, 9000, 0, 0)), Ok(()));
        let mut talker = judge(100, 512);
        talker.item(delta("an answer")).expect("taken");
        assert!(talker.done(&output(Finish::NoRoom, 9000, 0, 0)).is_err());
    }

    #[test]
    fn a_summary_has_no_units() {
        assert!(judge(1, 1).unit_started(0, 0.0, 1.0).is_err());
    }
}
