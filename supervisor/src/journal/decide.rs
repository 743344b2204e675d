//! Whether what was found can be continued. Pure.

use super::format::{FORMAT_VERSION, Kind};
use super::progress::{LlmProgress, Progress};
use super::record::{Header, LlmHeader};

/// Whether to continue where an earlier run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Resume {
    /// Where it fits.
    #[default]
    Auto,
    Never,
}

/// Why earlier work is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    #[error("starting over, as asked; what an earlier run left is not used")]
    AskedFor,
    #[error("starting over: the journal of an earlier run cannot be read")]
    Unreadable,
    #[error("starting over: the journal of an earlier run has format {found}, this program uses {ours}")]
    OtherVersion { found: u32, ours: u32 },
    #[error("starting over: the recording has changed since the earlier run")]
    AudioChanged,
    #[error("starting over: the earlier run used another speech model ({before}; now {now})")]
    ModelChanged { before: String, now: String },
    #[error(
        "starting over: the earlier run was for another language ({}; now {})",
        language(.before.as_deref()),
        language(.now.as_deref())
    )]
    ParametersChanged { before: Option<String>, now: Option<String> },
    #[error("starting over: the earlier run was told otherwise how to write (--translate, --prompt, --beam, --words)")]
    OptionsChanged,
    #[error("starting over: the earlier run told speech from silence by another voice detector (--vad)")]
    DetectorChanged,
    #[error("starting over: the earlier run cut the recording by rule {found}, this program uses rule {ours}")]
    WindowRuleChanged { found: u32, ours: u32 },
    #[error("the summary starts over: the earlier run used another model ({before}; now {now})")]
    SummaryModelChanged { before: String, now: String },
    #[error("the summary starts over: its instructions, notes or settings, or the transcript's lines have changed")]
    SummaryChanged,
}

fn language(language: Option<&str>) -> &str {
    language.unwrap_or("not given")
}

/// What to do with a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Continue,
    StartOver(Option<Notice>),
}

/// A journal without work in it is started over without a word.
pub(super) fn verdict(kind: Kind, found: &Progress, now: &Header, resume: Resume) -> Verdict {
    let notice = match (kind, &found.header) {
        (Kind::Empty, _) => return Verdict::StartOver(None),
        (Kind::Journal, Some(_)) if found.is_empty() => return Verdict::StartOver(None),
        _ if resume == Resume::Never => Notice::AskedFor,
        (Kind::OtherVersion(version), _) => Notice::OtherVersion { found: version, ours: FORMAT_VERSION },
        (Kind::Foreign, _) | (Kind::Journal, None) => Notice::Unreadable,
        (Kind::Journal, Some(before)) => match difference(before, now) {
            Some(notice) => notice,
            None => return Verdict::Continue,
        },
    };
    Verdict::StartOver(Some(notice))
}

/// The gravest first.
fn difference(before: &Header, now: &Header) -> Option<Notice> {
    if !before.audio.matches(&now.audio) {
        return Some(Notice::AudioChanged);
    }
    if !before.stt.file.matches(&now.stt.file) {
        return Some(Notice::ModelChanged { before: before.stt.name.clone(), now: now.stt.name.clone() });
    }
    let (was, is) = (&before.parameters, &now.parameters);
    if was.window_rule != is.window_rule {
        return Some(Notice::WindowRuleChanged { found: was.window_rule, ours: is.window_rule });
    }
    if was.vad != is.vad {
        return Some(Notice::DetectorChanged);
    }
    if was.language != is.language {
        return Some(Notice::ParametersChanged { before: was.language.clone(), now: is.language.clone() });
    }
    (was != is).then_some(Notice::OptionsChanged)
}

/// Why the chunks of an earlier run do not fit; `None` when they do.
pub(super) fn summary_difference(before: &LlmProgress, now: &LlmHeader) -> Option<Notice> {
    let LlmProgress { header: was, .. } = before;
    if !was.model.file.matches(&now.model.file) {
        return Some(Notice::SummaryModelChanged { before: was.model.name.clone(), now: now.model.name.clone() });
    }
    // By model content; name and file time are not compared.
    (*now != LlmHeader { model: now.model.clone(), ..was.clone() }).then_some(Notice::SummaryChanged)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a plan of one chunk is a list of one range")]
mod tests {
    use super::*;
    use crate::journal::record::{Record, Window};
    use crate::journal::tests_disk::{header, llm_header};

    fn found() -> Progress {
        let mut progress = Progress::default();
        progress.apply(Record::Header(header())).expect("the header");
        progress.apply(Record::Window(Window::new(0))).expect("a window");
        progress
    }

    fn changed(change: impl FnOnce(&mut Header)) -> Verdict {
        let mut now = header();
        change(&mut now);
        verdict(Kind::Journal, &found(), &now, Resume::Auto)
    }

    #[test]
    fn the_same_recording_model_and_parameters_are_continued() {
        assert_eq!(changed(|_| {}), Verdict::Continue);
        // The names are for people: the same file under another name is the same model.
        assert_eq!(changed(|now| now.stt.name = "other".to_owned()), Verdict::Continue);
    }

    #[test]
    fn every_difference_starts_over_with_its_reason() {
        let over = |notice| Verdict::StartOver(Some(notice));
        assert_eq!(changed(|now| now.audio.size += 1), over(Notice::AudioChanged));
        let model = Notice::ModelChanged { before: "tiny".to_owned(), now: "base".to_owned() };
        let to_base = |now: &mut Header| {
            now.stt.file.size += 1;
            now.stt.name = "base".to_owned();
        };
        assert_eq!(changed(to_base), over(model));
        let rule = Notice::WindowRuleChanged { found: 1, ours: 7 };
        assert_eq!(changed(|now| now.parameters.window_rule = 7), over(rule));
        assert_eq!(changed(|now| now.parameters.vad = Some(now.audio.sha256)), over(Notice::DetectorChanged));
        let language = Notice::ParametersChanged { before: Some("en".to_owned()), now: None };
        assert_eq!(language.to_string(), "starting over: the earlier run was for another language (en; now not given)");
        assert_eq!(changed(|now| now.parameters.language = None), over(language));
        let options: [fn(&mut Header); 4] = [
            |now| now.parameters.translate = true,
            |now| now.parameters.prompt = Some(now.audio.sha256),
            |now| now.parameters.beam = Some(5),
            |now| now.parameters.words = true,
        ];
        assert!(options.into_iter().all(|change| changed(change) == over(Notice::OptionsChanged)));
        let ask = |kind, resume| verdict(kind, &Progress::default(), &header(), resume);
        assert_eq!(ask(Kind::Foreign, Resume::Auto), over(Notice::Unreadable));
        assert_eq!(ask(Kind::Journal, Resume::Auto), over(Notice::Unreadable));
        let version = Notice::OtherVersion { found: 9, ours: FORMAT_VERSION };
        assert_eq!(ask(Kind::OtherVersion(9), Resume::Auto), over(version));
        assert_eq!(verdict(Kind::Journal, &found(), &header(), Resume::Never), over(Notice::AskedFor));
    }

    #[test]
    fn where_nothing_is_lost_nothing_is_said() {
        let mut bare = Progress::default();
        bare.apply(Record::Header(Header { audio: llm_header().model.file, ..header() })).expect("the header");
        for resume in [Resume::Auto, Resume::Never] {
            assert_eq!(verdict(Kind::Journal, &bare, &header(), resume), Verdict::StartOver(None));
            assert_eq!(verdict(Kind::Empty, &Progress::default(), &header(), resume), Verdict::StartOver(None));
        }
    }

    #[test]
    fn chunks_are_kept_only_for_the_same_model_and_settings() {
        let before = LlmProgress { header: llm_header(), chunks: Vec::new(), united: Vec::new() };
        let ask = |change: fn(&mut LlmHeader)| {
            let mut now = llm_header();
            change(&mut now);
            summary_difference(&before, &now)
        };
        assert_eq!(ask(|_| {}), None);
        assert_eq!(ask(|now| now.model.name = "other".to_owned()), None);
        assert!(matches!(ask(|now| now.model.file.size += 1), Some(Notice::SummaryModelChanged { .. })));
        let changes: [fn(&mut LlmHeader); 5] = [
            |now| now.seed += 1,
            |now| now.n_ctx += 1,
            |now| now.temperature = 0.7,
            |now| now.instructions = now.lines,
            |now| now.chunks = vec![0..1],
        ];
        assert!(changes.iter().all(|change| ask(*change) == Some(Notice::SummaryChanged)));
    }
}
