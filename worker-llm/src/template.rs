//! The model's chat template, rendered as Hugging Face's tokenisers render it, because that is what models are
//! trained with. llama.cpp's own `apply_chat_template` only guesses which of its built-in ones looks alike.
//!
//! The transcript never passes through here: a *stand-in* of random letters takes its place, and the rendered
//! text is cut there. A template may trim, split and repeat what it likes; it cannot see a word, and what it
//! does to the transcript shows as a stand-in that is gone or doubled.
//!
//! A template is code from a file of unknown origin: it runs with a budget, without includes, files or
//! network. Failures: `ModelInvalid`, with the template's own message.

use std::hash::{BuildHasher, Hasher, RandomState};

use jiff::ZonedDateTime;
use meetcap_protocol::{FaultKind, WorkerFault};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};

/// What a template may spend. A usual one needs a few thousand.
const FUEL: u64 = 5_000_000;

/// What stands between instructions and transcript. The demo model's template looks for it.
pub(crate) const INTRODUCTION: &str = "\n\ntranscript:\n";
/// What stands after the transcript when the model has no template: a base model goes on from here.
const BARE_ENDING: &str = "\n\nsummary:\n";

/// The prompt without its transcript.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) before: String,
    pub(crate) after: String,
    /// Whether control tokens in it are meant as such: true for a chat template, false for bare text.
    pub(crate) has_controls: bool,
}

/// What a template may refer to besides the messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names<'a> {
    pub(crate) bos: &'a str,
    pub(crate) eos: &'a str,
}

/// Renders `template` around the place of the transcript. Without a template: instructions, transcript, and a
/// line that asks for the summary, all as plain text.
///
/// # Errors
/// `ModelInvalid` when the template does not render or does not pass the user's message on exactly once.
pub(crate) fn render(template: Option<&str>, names: Names<'_>, instructions: &str) -> Result<Rendered, WorkerFault> {
    let Some(template) = template else {
        let before = format!("{instructions}{INTRODUCTION}");
        return Ok(Rendered { before, after: BARE_ENDING.to_owned(), has_controls: false });
    };
    let stand_in = stand_in();
    let content = format!("{instructions}{INTRODUCTION}{stand_in}");
    let text = evaluate(template, names, &content)
        .map_err(|error| invalid(&format!("its chat template does not render: {error}")))?;
    let mut parts = text.split(&stand_in);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), None) => {
            Ok(Rendered { before: before.to_owned(), after: after.to_owned(), has_controls: true })
        }
        (_, None, _) => Err(invalid("its chat template drops or rewrites the user's message")),
        _ => Err(invalid("its chat template repeats the user's message")),
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
        // Models that can think aloud first are told to answer at once: the thinking would become the summary.
        enable_thinking => false,
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
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names { bos: "<s>", eos: "</s>" };

    fn rendered(template: &str) -> (String, String) {
        let rendered = render(Some(template), NAMES, "Sum it up.").expect("renders");
        (rendered.before, rendered.after)
    }

    fn refusal(template: &str) -> String {
        let fault = render(Some(template), NAMES, "Sum it up.").expect_err("is refused");
        assert_eq!(fault.kind, FaultKind::ModelInvalid);
        fault.detail
    }

    #[test]
    fn chat_ml() {
        let template = "{% for m in messages %}\n    {{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}\n{% endfor %}\n{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\n";
        let (before, after) = rendered(template);
        // Text between the tags of a block is kept, as in Jinja.
        assert_eq!(before, "    <|im_start|>user\nSum it up.\n\ntranscript:\n");
        assert_eq!(after, "<|im_end|>\n\n<|im_start|>assistant\n");
    }

    #[test]
    fn a_template_that_cuts_the_instructions_out() {
        let template = "{%- for m in messages if m.role == 'user' -%}<|im_start|>user\n{{ (m.content.split('transcript:\n') | last) | trim }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";
        let (before, after) = rendered(template);
        assert_eq!(before, "<|im_start|>user\n");
        assert_eq!(after, "<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn dates_and_begin_of_text_in_the_idiom_of_llama_3() {
        let template = "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n        {%- set date_string = strftime_now('%d %b %Y') %}\n    {%- endif %}\n{%- endif %}\n{%- if tools is not none %}{{- raise_exception('no tools here') }}{%- endif %}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system = '' %}\n{%- endif %}\n{{- '<|head|>system<|/head|>\\n\\nToday: ' + date_string + '\\n' + system }}\n{%- for m in messages %}\n    {{- '<|head|>' + m['role'] + '<|/head|>\\n\\n' + m['content'] | trim + '<|eot|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|head|>assistant<|/head|>\\n\\n' }}\n{%- endif %}\n";
        let (before, after) = rendered(template);
        let year = ZonedDateTime::now().year().to_string();
        assert!(before.starts_with("<s><|head|>system<|/head|>\n\nToday: "), "{before}");
        assert!(before.contains(&year), "{before}");
        assert!(before.ends_with("<|head|>user<|/head|>\n\nSum it up.\n\ntranscript:\n"), "{before}");
        assert_eq!(after, "<|eot|><|head|>assistant<|/head|>\n\n");
    }

    #[test]
    fn roles_that_must_alternate_in_the_idiom_of_gemma() {
        let template = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if m['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}{{ '<turn>' + role + '\n' + m['content'] | trim + '</turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}";
        let (before, after) = rendered(template);
        assert_eq!(before, "<s><turn>user\nSum it up.\n\ntranscript:\n");
        assert_eq!(after, "</turn>\n<turn>model\n");
    }

    #[test]
    fn python_methods_and_namespaces_in_the_idiom_of_qwen_3() {
        let template = "{%- set ns = namespace(seen=false, last=messages|length - 1) %}\n{%- for m in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if not ns.seen and m.role == 'user' and m.content is string and not (m.content.startswith('<tool>') and m.content.endswith('</tool>')) %}\n        {%- set ns.seen = true %}\n        {%- set ns.last = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for m in messages %}\n    {%- set content = m.content %}\n    {%- if '</think>' in content %}\n        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n    {%- endif %}\n    {%- if m.reasoning is defined %}{%- continue %}{%- endif %}\n    {{- '<|im_start|>' + m.role + '\\n' + content.strip('\\n') + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}";
        let (before, after) = rendered(template);
        assert_eq!(before, "<|im_start|>user\nSum it up.\n\ntranscript:\n");
        assert_eq!(after, "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
    }

    #[test]
    fn marks_for_training_do_nothing() {
        let template = "{% for m in messages %}\n{%- if m.role == 'assistant' %}{%- generation -%}{{ m.content }}{%- endgeneration -%}{%- else -%}[{{ m.content }}]{% endif %}{% endfor %}{% generation %}x{% endgeneration %}";
        assert_eq!(rendered(template).1, "]x");
    }

    #[test]
    fn a_template_that_loses_or_doubles_the_message_is_refused() {
        assert!(refusal("{{ bos_token }}hello").contains("drops"));
        assert!(refusal("{{ messages[0].content | upper }}").contains("drops"));
        assert!(refusal("{{ messages[0].content }}{{ messages[0].content }}").contains("repeats"));
    }

    #[test]
    fn a_template_that_raises_is_quoted() {
        assert!(refusal("{{ raise_exception('only tools') }}").contains("only tools"));
        assert!(refusal("{% for %}").contains("does not render"));
        assert!(refusal("{{ messages[0].content.undefined_thing.deeper }}").contains("does not render"));
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let template =
            "{% for a in range(9999) %}{% for b in range(9999) %}{% set x = a * b %}{% endfor %}{% endfor %}";
        assert!(refusal(template).contains("fuel"));
    }

    #[test]
    fn without_a_template_the_prompt_is_plain_text() {
        let rendered = render(None, NAMES, "Sum it up.").expect("renders");
        assert_eq!(rendered.before, "Sum it up.\n\ntranscript:\n");
        assert_eq!(rendered.after, "\n\nsummary:\n");
        assert!(!rendered.has_controls);
    }

    #[test]
    fn stand_ins_differ_and_are_letters() {
        let (a, b) = (stand_in(), stand_in());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|c| c.is_ascii_lowercase()));
    }
}
