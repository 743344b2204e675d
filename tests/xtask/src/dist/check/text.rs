//! The demo in surroundings that have nothing, and what is the same wherever it runs.

use std::path::Path;

use crate::demo::fresh_folder;
use crate::json::Json;
use crate::run::{Step, on_path};

/// What the demo has written, without what differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(super) transcript: String,
    /// Beginning and end of each segment, as they stand there. The confidence is left out: it is a sum of many numbers,
    /// which are added in another order at another width.
    times: Vec<String>,
    summary: String,
}

impl Text {
    /// What the demo left in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let file = folder.join(name);
            std::fs::read_to_string(&file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))
        };
        let json = Json::parse(&read("meeting.transcript.json")?)?;
        let time = |segment: &Json| format!("{:?} {:?}", segment.number("start"), segment.number("end"));
        let text = Self {
            transcript: read("meeting.transcript.txt")?,
            times: json.list("segments").iter().map(time).collect(),
            summary: without_date(&read("meeting.summary.md")?),
        };
        if text.times.is_empty() { Err("the demo has transcribed nothing".to_owned()) } else { Ok(text) }
    }

    /// What is not the same, for `who`.
    pub(crate) fn compare(&self, other: &Self, who: &str) -> Result<(), String> {
        let parts = [
            ("transcript", self.transcript == other.transcript),
            ("times", self.times == other.times),
            ("summary", self.summary == other.summary),
        ];
        let differs: Vec<&str> = parts.iter().filter(|(_, same)| !same).map(|(part, _)| *part).collect();
        if differs.is_empty() { Ok(()) } else { Err(format!("{who} gives another {}", differs.join(" and "))) }
    }
}

fn without_date(summary: &str) -> String {
    summary.lines().filter(|line| !line.starts_with("*Generated: ")).collect::<Vec<_>>().join("\n")
}

/// Runs the demo of `supervisor` with these variables and no others, as a user who owns nothing where this one may
/// decide that.
pub(crate) fn demo(supervisor: &Path, variables: &[(&str, &str)]) -> Result<Text, String> {
    let out = fresh_folder("dist-demo")?;
    super::super::tree::permit(&out, 0o777).map_err(|cause| format!("{}: {cause}", out.display()))?;
    let step = if cfg!(windows) {
        Step::new(supervisor)
    } else {
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
        Step::new("env").args(["-i"]).args(variables).args(as_nobody()).args([supervisor])
    };
    let ran = step.args(["demo", "-o"]).args([&out]).output();
    let text = ran.and_then(|_| Text::read(&out));
    let removed = std::fs::remove_dir_all(&out);
    let text = text?;
    removed.map_err(|cause| format!("{} could not be removed: {cause}", out.display()))?;
    Ok(text)
}

/// Words before a command that make another user run it; none where this one may not.
fn as_nobody() -> &'static [&'static str] {
    if is_root() && on_path("setpriv") { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] }
}

pub(crate) fn is_root() -> bool {
    cfg!(unix) && Step::new("id").args(["-u"]).output().is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(transcript: &str, summary: &str) -> Text {
        Text { transcript: transcript.to_owned(), times: vec!["0 1".to_owned()], summary: summary.to_owned() }
    }

    #[test]
    fn what_differs_is_named_and_the_date_is_not_compared() {
        assert_eq!(text("a", "b").compare(&text("a", "b"), "v3"), Ok(()));
        let why = text("a", "b").compare(&text("x", "y"), "v3").expect_err("two parts differ");
        assert_eq!(why, "v3 gives another transcript and summary");
        assert_eq!(without_date("# T\n*Generated: 2026-01-01 00:00*\n\nx"), "# T\n\nx");
    }
}
