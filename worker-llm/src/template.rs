//! The model's chat template, rendered as Hugging Face's tokenisers render it, because that is what models are
//! trained with. llama.cpp's own `apply_chat_template` only guesses which of its built-in ones looks alike.
//!
//! The transcript never passes through here, nor do notes: *stand-ins* of random letters take their places, and the
//! rendered text is cut there. A template may trim, split and repeat what it likes; it cannot see a word, and what it
//! does to the transcript shows as a stand-in that is gone or doubled.
//!
//! Everything is one message of the user. Templates differ in what they make of a system message: some refuse it,
//! some put it into the user's; and models of a few billion weights follow best what stands in the user's turn.
//!
//! A template is code from a file of unknown origin: it runs with a budget, without includes, files or
//! network. Failures: `ModelInvalid`, with the template's own message.

use std::hash::{BuildHasher, Hasher, RandomState};

use jiff::ZonedDateTime;
use meetcap_protocol::payload::llm::Subject;
use meetcap_protocol::{FaultKind, WorkerFault};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};

use crate::thoughts::Habit;

/// What a template may spend. A usual one needs a few thousand.
const FUEL: u64 = 5_000_000;

/// What stands in front of the lines. The demo model's template looks for the first.
pub(crate) fn introduction(subject: Subject) -> &'static str {
    match subject {
        Subject::Transcript => "\n\ntranscript:\n",
        Subject::Parts => "\n\nparts:\n",
    }
}
/// What stands in front of notes.
const NOTES: &str = "\n\nmanual notes:\n";
/// What stands after the transcript when the model has no template: a base model goes on from here.
const BARE_ENDING: &str = "\n\nsummary:\n";

/// What is to be rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) instructions: &'a str,
    pub(crate) subject: Subject,
    /// Whether there are notes.
    pub(crate) notes: bool,
}

/// The prompt without its transcript.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) before: String,
    /// What stands between notes and transcript; `None` where there are no notes, or the template drops them.
    pub(crate) between: Option<String>,
    pub(crate) after: String,
    /// Whether control tokens in it are meant as such: true for a chat template, false for bare text.
    pub(crate) has_controls: bool,
    /// Whether the instructions are in it.
    pub(crate) instructed: bool,
    pub(crate) habit: Habit,
}

/// What a template may refer to besides the messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names<'a> {
    pub(crate) bos: &'a str,
    pub(crate) eos: &'a str,
}

/// Renders `template` around the places of notes and transcript. Without a template: instructions, notes, transcript,
/// and a line that asks for the summary, all as plain text.
///
/// # Errors
/// `ModelInvalid` when the template does not render or does not pass the user's message on exactly once.
pub(crate) fn render(template: Option<&str>, names: Names<'_>, request: &Request<'_>) -> Result<Rendered, WorkerFault> {
    let Request { instructions, subject, notes } = *request;
    let introduction = introduction(subject);
    let Some(template) = template else {
        let (before, between) = if notes {
            (format!("{instructions}{NOTES}"), Some(introduction.to_owned()))
        } else {
            (format!("{instructions}{introduction}"), None)
        };
        let after = BARE_ENDING.to_owned();
        return Ok(Rendered { before, between, after, has_controls: false, instructed: true, habit: Habit::Answers });
    };
    let (notes_here, lines_here) = (stand_in(), stand_in());
    let notes = if notes { format!("{NOTES}{notes_here}") } else { String::new() };
    let content = format!("{instructions}{notes}{introduction}{lines_here}");
    let text = evaluate(template, names, &content)
        .map_err(|error| invalid(&format!("its chat template does not render: {error}")))?;
    let (before, after) = match cut(&text, &lines_here) {
        Ok(Some(halves)) => halves,
        Ok(None) => return Err(invalid("its chat template drops or rewrites the user's message")),
        Err(Repeated) => return Err(invalid("its chat template repeats the user's message")),
    };
    let (before, between) = match cut(before, &notes_here) {
        Ok(Some((before, between))) => (before, Some(between.to_owned())),
        Ok(None) => (before, None),
        Err(Repeated) => return Err(invalid("its chat template repeats the user's message")),
    };
    if after.contains(&notes_here) {
        return Err(invalid("its chat template turns the user's message round"));
    }
    Ok(Rendered {
        before: before.to_owned(),
        between,
        after: after.to_owned(),
        has_controls: true,
        instructed: before.contains(instructions.trim()),
        habit: Habit::of(template, after),
    })
}

struct Repeated;

/// What stands before and after the one place of `mark`; `None` where there is none.
fn cut<'t>(text: &'t str, mark: &str) -> Result<Option<(&'t str, &'t str)>, Repeated> {
    match text.split_once(mark) {
        Some((_, after)) if after.contains(mark) => Err(Repeated),
        halves => Ok(halves),
    }
}

fn invalid(why: &str) -> WorkerFault {
    WorkerFault::new(FaultKind::ModelInvalid, format!("the model cannot be prompted: {why}; use another model"))
}

/// Letters only, so that trimming leaves it whole; random, so that no instruction can hold it by intent.
fn stand_in() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random()).bytes().map(|b| char::from(b'a' + b % 26)).collect()
}

fn evaluate(template: &str, names: Names<'_>, content: &str) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, Error> {
        jiff::fmt::strtime::format(&format, &ZonedDateTime::now())
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(ends_in_a_line_of_text(template))
        .build()?;
    environment.set_syntax(syntax);
    let template = without_generation_tags(template);
    let template = environment.template_from_str(&template)?;
    template.render(context! {
        messages => vec![context! { role => "user", content => content }],
        // Hugging Face passes these as none when they are not given, and templates ask for either.
        tools => (),
        documents => (),
        add_generation_prompt => true,
        // Models that can think aloud first are told to answer at once, or not to think long: a summary needs no
        // riddles solved. Families differ in what they listen to.
        enable_thinking => false,
        thinking => false,
        reasoning_effort => "low",
        bos_token => names.bos,
        eos_token => names.eos,
    })
}

/// Jinja drops one newline at the end of a template, and Hugging Face lets it: there it is an editor's. Only
/// when the last line is literal text (`…<|im_start|>assistant⏎`) it is the prompt's own and stays.
fn ends_in_a_line_of_text(template: &str) -> bool {
    template.strip_suffix('\n').is_some_and(|rest| !rest.ends_with('}') && !rest.ends_with('\n'))
}

/// `{% generation %}` marks what the model is to learn when it is trained and does nothing when it is used;
/// minijinja does not know it. `if true` keeps the tag's whitespace control.
fn without_generation_tags(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((text, tag)) = rest.split_once("{%") {
        let Some((inside, after)) = tag.split_once("%}") else { break };
        let name = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']);
        let inside = match name.trim() {
            "generation" => inside.replace("generation", "if true"),
            "endgeneration" => inside.replace("endgeneration", "endif"),
            _ => inside.to_owned(),
        };
        out.extend([text, "{%", &inside, "%}"]);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
