//! What a model is told. Pure.
//!
//! Short, because every token of it is paid for in every chunk, and small models follow few rules better than
//! many. The worker puts `transcript:` and the lines behind it, notes before that, or `parts:` and what was written of
//! the parts.

/// The instructions, with the language to answer in where it is known. They end with a newline.
pub fn instructions(language: Option<&str>) -> String {
    let language = named(language, "the transcript's language");
    format!(
        "Summarize the meeting transcript below in Markdown, in {language}. \
         Use only what was said; invent nothing. Keep names as spoken.\n\
         Use exactly these headings, in English and in this order:\n\
         ## Meeting Title\n\
         ## Summary\n\
         ## Participants\n\
         ## Key Discussion Points\n\
         ## Decisions Made\n\
         ## Action Items\n\
         ## Notable Quotes\n\
         ## Meeting Tone\n\
         Write lists with one `- ` item per line and action items as `- [ ] owner — task (due: date)`; \
         an unknown owner or date is `tbd`. If a section has nothing, write `none`.\n"
    )
}

/// The same for uniting what was written of the parts of a transcript.
pub fn uniting_instructions(language: Option<&str>) -> String {
    let language = named(language, "their language");
    format!(
        "Below are titles and summaries of the parts of one meeting, in order. \
         Write one title and one summary of the whole meeting in Markdown, in {language}. \
         Use only what they say; invent nothing. Keep names as they are.\n\
         Use exactly these headings, in English and in this order:\n\
         ## Meeting Title\n\
         ## Summary\n\
         The title is one line, the summary at most three short paragraphs.\n"
    )
}

fn named(language: Option<&str>, whose: &str) -> String {
    match language.map(str::trim).filter(|l| !l.is_empty()) {
        Some(code) => format!("{whose} ({code})"),
        None => whose.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn the_language_is_named_where_it_is_known() {
        assert!(instructions(Some("de")).contains("language (de)."));
        assert!(uniting_instructions(Some("de")).contains("their language (de)."));
        assert_eq!(instructions(None), instructions(Some(" ")));
    }

    #[test]
    fn they_are_short() {
        // About four letters a token: under 200 tokens.
        assert!(instructions(Some("en")).len() < 800, "{}", instructions(Some("en")).len());
    }

    #[test]
    fn a_model_that_repeats_them_has_said_nothing_of_the_meeting() {
        let all = instructions(None);
        let headings: Vec<&str> = all.lines().filter(|l| l.starts_with("##")).collect();
        assert_eq!(headings.len(), 8);
        assert!(parse(&headings.join("\n")).is_empty());
        assert!(parse("## Action Items\n- [ ] owner — task (due: date)").is_empty());
    }
}
