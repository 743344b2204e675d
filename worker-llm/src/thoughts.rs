//! Thinking aloud, kept apart from the answer.
//!
//! Some models think before they answer, between marks that their templates know (`<think>` … `</think>`). What they
//! think is no part of the answer, takes tokens of its own, and may not end by itself: small models like to go round
//! in circles. So thoughts have a budget; when it is spent, the mark that ends them is put into the model's mouth and
//! it goes on with the answer, as their makers advise.
//!
//! ```text
//!           opening mark             closing mark, or the budget is spent
//!  Before ───────────────► Thinking ────────────────────────────────────► Before ── any other text ──► Answer
//! ```
//!
//! Marks count only before the answer: behind its first word they are what somebody wrote. Some templates open the
//! thought themselves; then it begins with `Thinking`. Some are told to close it at once; then there is none. Nothing
//! here fails or logs.

/// How a thought begins, how it ends, and what ends it when the budget is spent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    opens: &'static str,
    closes: &'static str,
    pub(crate) ending: &'static str,
}

const MARKS: [Marks; 4] = [
    Marks { opens: "<think>", closes: "</think>", ending: "\n</think>\n\n" },
    Marks { opens: "<thinking>", closes: "</thinking>", ending: "\n</thinking>\n\n" },
    Marks { opens: "[THINK]", closes: "[/THINK]", ending: "[/THINK]" },
    // Thoughts and answer are channels of one turn.
    Marks {
        opens: "<|channel|>analysis<|message|>",
        closes: "<|channel|>final<|message|>",
        ending: "<|end|><|start|>assistant<|channel|>final<|message|>",
    },
];

/// What ends each kind of thought.
pub(crate) fn endings() -> impl Iterator<Item = &'static str> {
    MARKS.iter().map(|marks| marks.ending)
}

/// What a model does before it answers, as far as its prompt tells.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Habit {
    /// Answers at once, or has been told to.
    Answers,
    /// Knows marks for thoughts and may begin with one.
    MayThink,
    /// The prompt ends within a thought.
    Thinks(Marks),
}

impl Habit {
    /// Of a model with this template, whose prompt ends so.
    pub(crate) fn of(template: &str, ending: &str) -> Self {
        let ending = ending.trim_end();
        if let Some(marks) = MARKS.iter().find(|marks| ending.ends_with(marks.opens)) {
            return Self::Thinks(*marks);
        }
        if MARKS.iter().any(|marks| ending.ends_with(marks.closes)) {
            return Self::Answers;
        }
        let known = MARKS.iter().any(|marks| template.contains(marks.closes) || template.contains(marks.opens));
        // Channels are often put together from their parts.
        if known || template.contains("<|channel|>") { Self::MayThink } else { Self::Answers }
    }

    pub(crate) fn thinks(self) -> bool {
        !matches!(self, Self::Answers)
    }
}

/// Where a reply stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Before,
    Thinking(Marks),
    Answer,
}

/// Takes a reply piece by piece and gives what of it is answer.
#[derive(Debug)]
pub(crate) struct Thoughts {
    place: Place,
    /// What may yet become a mark, names of control tokens included.
    held: String,
    /// The same without those names: answer, if it becomes none.
    plain: String,
}

impl Thoughts {
    pub(crate) fn new(habit: Habit) -> Self {
        let place = match habit {
            Habit::Thinks(marks) => Place::Thinking(marks),
            Habit::Answers | Habit::MayThink => Place::Before,
        };
        Self { place, held: String::new(), plain: String::new() }
    }

    /// For a reply that is all answer, whatever it is.
    pub(crate) fn none() -> Self {
        Self { place: Place::Answer, held: String::new(), plain: String::new() }
    }

    /// The marks of the thought that the reply stands in.
    pub(crate) fn open(&self) -> Option<Marks> {
        match self.place {
            Place::Thinking(marks) => Some(marks),
            Place::Before | Place::Answer => None,
        }
    }

    /// Takes a piece of text, or the name of a control token; gives answer.
    pub(crate) fn push(&mut self, piece: &str, is_control: bool) -> String {
        match self.place {
            Place::Answer => {
                if is_control {
                    String::new()
                } else {
                    piece.to_owned()
                }
            }
            Place::Thinking(marks) => {
                self.held.push_str(piece);
                match self.held.find(marks.closes) {
                    Some(at) => self.go_on(Place::Before, at + marks.closes.len()),
                    None => {
                        let kept = self.held.len().saturating_sub(marks.closes.len());
                        self.held.drain(..self.held.floor_char_boundary(kept));
                        String::new()
                    }
                }
            }
            Place::Before => {
                self.held.push_str(piece);
                if !is_control {
                    self.plain.push_str(piece);
                }
                self.look()
            }
        }
    }

    /// The reply is over; what is held back was no mark.
    pub(crate) fn finish(self) -> String {
        match self.place {
            Place::Before => self.plain.trim_start().to_owned(),
            Place::Thinking(_) | Place::Answer => String::new(),
        }
    }

    /// Ends the thought from outside.
    pub(crate) fn end(&mut self) {
        let _ = self.go_on(Place::Before, self.held.len());
    }

    fn look(&mut self) -> String {
        let text = self.held.trim_start();
        let blank = self.held.len() - text.len();
        for marks in MARKS {
            if text.starts_with(marks.opens) {
                return self.go_on(Place::Thinking(marks), blank + marks.opens.len());
            }
            if text.starts_with(marks.closes) {
                return self.go_on(Place::Before, blank + marks.closes.len());
            }
        }
        if MARKS.iter().any(|marks| marks.opens.starts_with(text) || marks.closes.starts_with(text)) {
            return String::new();
        }
        self.place = Place::Answer;
        self.held.clear();
        std::mem::take(&mut self.plain).trim_start().to_owned()
    }

    /// A mark ends at `at` in what is held; what stands behind it is text.
    fn go_on(&mut self, place: Place, at: usize) -> String {
        let rest = self.held.split_off(at);
        (self.place, self.held, self.plain) = (place, String::new(), String::new());
        if rest.is_empty() { String::new() } else { self.push(&rest, false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of every size; all must give the same.
    fn answer(habit: Habit, reply: &str) -> String {
        let characters: Vec<char> = reply.chars().collect();
        let answers: Vec<String> = (1..=characters.len().max(1))
            .map(|size| {
                let mut thoughts = Thoughts::new(habit);
                let mut answer = String::new();
                for piece in characters.chunks(size) {
                    answer += &thoughts.push(&piece.iter().collect::<String>(), false);
                }
                answer + &thoughts.finish()
            })
            .collect();
        assert!(answers.iter().all(|other| *other == answers[0]), "{reply}: {answers:?}");
        answers[0].clone()
    }

    #[test]
    fn what_is_thought_is_not_answered() {
        for reply in [
            "## Summary\nhm",
            "\n\n## Summary\nhm",
            "<think>\n## Title\nno\n</think>\n\n## Summary\nhm",
            " <think></think>## Summary\nhm",
            "<think>a</think>\n<think>b</think>\n## Summary\nhm",
            "[THINK]né[/THINK]## Summary\nhm",
            "</think>## Summary\nhm",
            "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>## Summary\nhm",
        ] {
            assert_eq!(answer(Habit::MayThink, reply), "## Summary\nhm", "{reply}");
        }
        assert_eq!(answer(Habit::MayThink, "<think>never ending </thin"), "");
        assert_eq!(answer(Habit::Answers, "<"), "<");
    }

    #[test]
    fn a_thought_that_the_prompt_has_opened_goes_on_to_its_end() {
        let habit = Habit::of("…", "<|im_end|>\n<|im_start|>assistant\n<think>\n");
        assert_eq!(answer(habit, "hm <think> hm</think>\nYes."), "Yes.");
        assert_eq!(answer(habit, "no end"), "");
    }

    #[test]
    fn marks_behind_the_first_word_are_text() {
        assert_eq!(
            answer(Habit::MayThink, "They spoke of <think> and </think>."),
            "They spoke of <think> and </think>."
        );
        assert_eq!(answer(Habit::MayThink, "<thinner> is not a mark"), "<thinner> is not a mark");
    }

    #[test]
    fn control_tokens_make_marks_but_no_text() {
        let mut thoughts = Thoughts::new(Habit::MayThink);
        let pieces = [("<|channel|>", true), ("final", false), ("<|message|>", true), ("Yes", false), ("<|x|>", true)];
        let answer: String = pieces.iter().map(|(piece, control)| thoughts.push(piece, *control)).collect();
        assert_eq!(answer, "Yes");
        let mut other = Thoughts::new(Habit::MayThink);
        assert_eq!(other.push("<|x|>", true) + &other.push("Yes", false), "Yes");
    }

    #[test]
    fn a_thought_can_be_ended_from_outside() {
        let mut thoughts = Thoughts::new(Habit::MayThink);
        assert_eq!(thoughts.push("<think>round and round </th", false), "");
        let marks = thoughts.open().expect("it thinks");
        assert!(marks.ending.contains("</think>"));
        thoughts.end();
        assert!(thoughts.open().is_none());
        assert_eq!(thoughts.push("ink", false), "ink");
    }

    #[test]
    fn habits_are_read_off_template_and_prompt() {
        let quiet = Habit::of("{{ '<think>' }}", "<|im_start|>assistant\n<think>\n\n</think>\n\n");
        assert!(!quiet.thinks(), "told to answer at once");
        assert!(Habit::of("{{ x.split('</think>') }}", "<|im_start|>assistant\n").thinks());
        assert!(!Habit::of("{{ messages }}", "<start_of_turn>model\n").thinks());
        assert!(matches!(Habit::of("", "assistant\n<think>\n"), Habit::Thinks(_)));
    }
}
