//! The findings as one screen of text.

use meetcap_supervisor::memory::Bytes;

use super::models::Use;
use super::{Findings, Place};

/// Lines with a head each, which names what they are about.
struct Page(Vec<String>);

impl Page {
    /// A line under the head of the one before.
    fn more(&mut self, text: impl AsRef<str>) {
        self.0.push(format!("{:<9} {}", "", text.as_ref()));
    }

    fn row(&mut self, head: &str, text: impl AsRef<str>) {
        self.0.push(format!("{head:<9} {}", text.as_ref()));
    }

    /// All under one head.
    fn rows(&mut self, head: &str, texts: impl IntoIterator<Item = String>) {
        for (at, text) in texts.into_iter().enumerate() {
            self.row(if at == 0 { head } else { "" }, text);
        }
    }
}

pub(super) fn lines(findings: &Findings) -> Vec<String> {
    let mut page = Page(Vec::new());
    memory(findings, &mut page);
    page.rows(
        "gpu",
        match &findings.memory.gpus[..] {
            [] => vec!["none, or no driver that tells of its memory".to_owned()],
            gpus => gpus.iter().map(|gpu| format!("{}: {}, {} free", gpu.name, gpu.total, gpu.free)).collect(),
        },
    );
    page.rows(
        "workers",
        findings.workers.iter().map(|worker| {
            let place = worker.path.as_deref().unwrap_or("not found");
            let version = worker.version.as_deref().unwrap_or("no version");
            let verdict = if worker.fits { "ok" } else { "NOT USABLE" };
            let level = worker.level.as_deref().map_or_else(String::new, |level| format!(", for {level}"));
            format!("{}: {verdict}, {version}{level}, {place}", worker.program)
        }),
    );
    let walls = match findings.sandbox.as_str() {
        "full" => "full: a worker opens its model and its recording, and nothing else",
        less => less,
    };
    page.row("sandbox", walls);
    models(findings, &mut page);
    page.rows("disk", findings.disks.iter().map(place));
    page.row("config", findings.config.as_deref().unwrap_or("no file; defaults hold"));
    if findings.ready {
        let yes = if findings.advice.is_empty() { "yes" } else { "yes, but" };
        page.row("ready", yes);
    }
    page.rows("NOT READY", findings.problems.iter().cloned());
    for advice in &findings.advice {
        page.more(advice);
    }
    page.0
}

fn memory(findings: &Findings, page: &mut Page) {
    let bounds: Vec<String> = findings
        .memory
        .limits
        .iter()
        .map(|limit| {
            let used = limit.percent_with(Bytes(0));
            format!("{}: {}, {} in use ({used:.0} %), {} free", limit.of, limit.limit, limit.used, limit.available())
        })
        .collect();
    match bounds.len() {
        0 => page.row("memory", "cannot be read on this system; nothing will be refused"),
        1 => {
            page.rows("memory", bounds);
            page.more("no control group sets a limit");
        }
        _ => page.rows("memory", bounds),
    }
    match findings.memory.pressure {
        Some(pressure) => page.more(format!(
            "pressure: tasks waited for memory {:.1} % of the last 10 s (all of them {:.1} %)",
            pressure.some, pressure.full
        )),
        None => page.more("pressure: the kernel does not tell"),
    }
    let (warning, critical) = (findings.warning_threshold, findings.critical_threshold);
    let take = findings.may_take_bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    page.more(format!("a model may take {take} now (warning at {warning} %, refused above {critical} %)"));
}

fn models(findings: &Findings, page: &mut Page) {
    let found = &findings.models;
    let used = |what: &str, model: &Use| {
        let Some(name) = &model.model else { return format!("{what}: none") };
        let need = match (model.need_bytes, model.fits_now) {
            (Some(need), Some(true)) => format!(", needs {need}, fits now"),
            (Some(need), Some(false)) => format!(", needs {need}, DOES NOT FIT NOW"),
            _ => String::new(),
        };
        let why = if model.is_configured { "configured" } else { "the largest that is here and fits this machine" };
        let usable = if model.problem.is_some() { ", NOT USABLE" } else { "" };
        format!("{what}: {name}{usable}{need} ({why})")
    };
    page.rows("models", [used("speech", &found.speech), used("summary", &found.summary)]);
    match &found.folder {
        Some(folder) if found.installed > 0 => {
            page.more(format!("{} in {folder}, {}", found.installed, found.bytes));
        }
        Some(folder) => page.more(format!("none in {folder} yet")),
        None => page.more("no folder to keep them in: HOME is not set, nor models_dir"),
    }
}

fn place(place: &Place) -> String {
    let Place { what, folder, free_bytes } = place;
    match free_bytes {
        Some(free) => format!("{free} free for {what}: {folder}"),
        None => format!("unknown for {what}: {folder}"),
    }
}
