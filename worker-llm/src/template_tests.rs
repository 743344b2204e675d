//! Templates of every kind, and what must come of each. Those of whole families of models are in
//! [`crate::template_formats`].

use super::*;

const NAMES: Names<'static> = Names { bos: "<s>", eos: "</s>" };

const ASKED: Request<'static> = Request { instructions: "Sum it up.", subject: Subject::Transcript, notes: false };

fn rendered(template: &str) -> (String, String) {
    let rendered = render(Some(template), NAMES, &ASKED).expect("renders");
    (rendered.before, rendered.after)
}

fn refusal(template: &str) -> String {
    let fault = render(Some(template), NAMES, &ASKED).expect_err("is refused");
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
    let template = "{% for a in range(9999) %}{% for b in range(9999) %}{% set x = a * b %}{% endfor %}{% endfor %}";
    assert!(refusal(template).contains("fuel"));
}

#[test]
fn without_a_template_the_prompt_is_plain_text() {
    let rendered = render(None, NAMES, &ASKED).expect("renders");
    assert_eq!(rendered.before, "Sum it up.\n\ntranscript:\n");
    assert_eq!(rendered.after, "\n\nsummary:\n");
    assert!(!rendered.has_controls);
}

#[test]
fn notes_have_a_place_of_their_own() {
    let with_notes = Request { notes: true, ..ASKED };
    let plain = render(None, NAMES, &with_notes).expect("renders");
    assert_eq!(plain.before, "Sum it up.\n\nmanual notes:\n");
    assert_eq!(plain.between.as_deref(), Some("\n\ntranscript:\n"));
    let chat = render(Some("<u>{{ messages[0].content }}</u>"), NAMES, &with_notes).expect("renders");
    assert_eq!(
        (chat.before, chat.between, chat.after),
        ("<u>Sum it up.\n\nmanual notes:\n".to_owned(), plain.between, "</u>".to_owned())
    );
    let twice = "{{ messages[0].content.split('transcript:')[0] }}{{ messages[0].content }}";
    let fault = render(Some(twice), NAMES, &with_notes).expect_err("is refused");
    assert!(fault.detail.contains("repeats"), "{}", fault.detail);
    let round = "{{ messages[0].content.split('transcript:')[1] }}{{ messages[0].content.split('transcript:')[0] }}";
    let fault = render(Some(round), NAMES, &with_notes).expect_err("is refused");
    assert!(fault.detail.contains("round"), "{}", fault.detail);
}

#[test]
fn a_template_that_keeps_the_transcript_alone_is_known_by_it() {
    let template = "[{{ (messages[0].content.split('transcript:\n') | last) | trim }}]";
    let rendered = render(Some(template), NAMES, &Request { notes: true, ..ASKED }).expect("renders");
    assert_eq!((rendered.instructed, rendered.between), (false, None));
    assert!(render(Some("{{ messages[0].content }}"), NAMES, &ASKED).expect("renders").instructed);
}

#[test]
fn stand_ins_differ_and_are_letters() {
    let (a, b) = (stand_in(), stand_in());
    assert_ne!(a, b);
    assert!(a.len() == 32 && a.bytes().all(|c| c.is_ascii_lowercase()));
}
