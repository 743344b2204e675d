//! A first run: a model is missing, and the right ones can be had.
//!
//! On a terminal they are offered, with sizes and licences, and fetched after a yes. Elsewhere nobody can say yes: the
//! run ends with 4 and the command that fetches them. Nothing is ever fetched without having been asked for.

use std::io::{IsTerminal, Write};
use std::path::Path;

use meetcap_supervisor::event::Phase;
use meetcap_supervisor::memory::gate::room;
use meetcap_supervisor::memory::read_system;
use meetcap_supervisor::models::catalog::Entry;
use meetcap_supervisor::models::free_space;
use meetcap_supervisor::models::offer::{Machine, Offer, offer};
use meetcap_supervisor::models::shelf::{Shelf, Sought};
use meetcap_supervisor::models::vad::Detector;
use meetcap_supervisor::{ExitCode, Model, Stop};

use super::args::Common;
use super::models_command::fetch;
use super::render::{printable, say};
use super::table::{absent, aligned};
use super::{Refusal, lookup, sizes};

/// A model as it was sought.
#[derive(Debug)]
pub(crate) struct Wanted {
    sought: Sought,
    /// By an option or the configuration.
    is_named: bool,
}

impl Wanted {
    pub(crate) fn of(shelf: &Shelf, given: Option<&Path>, phase: Phase) -> Result<Self, Refusal> {
        Ok(Self { sought: lookup::seek(shelf, given, phase)?, is_named: given.is_some() })
    }
}

/// One for each phase that is wanted.
#[derive(Debug)]
pub(crate) struct Wants {
    pub(crate) speech: Option<Wanted>,
    pub(crate) summary: Option<Wanted>,
}

impl Wants {
    /// Whether anything would have to be fetched.
    pub(crate) fn lacks_any(&self) -> bool {
        self.each().any(|(_, wanted)| !matches!(wanted.sought, Sought::Here(_)))
    }

    /// Whether anything was left to be chosen, and nothing is here to choose from.
    fn has_choice(&self) -> bool {
        self.each().any(|(_, wanted)| matches!(wanted.sought, Sought::Nothing))
    }

    fn each(&self) -> impl Iterator<Item = (Phase, &Wanted)> {
        let [speech, summary] = [(Phase::Stt, &self.speech), (Phase::Llm, &self.summary)];
        [speech, summary].into_iter().filter_map(|(phase, wanted)| Some((phase, wanted.as_ref()?)))
    }
}

/// Models as they are used.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) speech: Option<Model>,
    pub(crate) summary: Option<Model>,
}

/// All models that are wanted, those that are not here fetched after a yes.
pub(crate) async fn settle(
    shelf: &Shelf,
    wants: Wants,
    threads: u16,
    common: &Common,
    stop: &Stop,
) -> Result<Settled, Refusal> {
    if !wants.lacks_any() {
        if !common.loudness.quiet {
            wants.each().for_each(tell);
        }
        return settled(shelf, &wants, None);
    }
    let catalog = shelf.catalog();
    let machine = Machine { room: room(&read_system(), shelf.thresholds), threads };
    let offered = offer(&catalog, machine);
    let missing = missing(&wants, offered.as_ref(), has_detector(shelf));
    let Some(folder) = shelf.folder.as_deref() else {
        return Err(Refusal::new(
            ExitCode::Model,
            "no model is here, and there is no folder for models as HOME is not set; pass --stt and --llm with paths",
        ));
    };
    let command = format!("meetcap-supervisor models pull {}", names(&missing).join(" "));
    let may_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !may_ask || common.loudness.quiet || common.events.is_some() {
        return Err(refusal(&wants, &command));
    }
    show(&missing, &wants, machine, folder);
    if !ask(stop).await? {
        say!("nothing was fetched");
        return Err(refusal(&wants, &command));
    }
    let missing: Vec<Entry> = missing.into_iter().cloned().collect();
    fetch::all(shelf, &missing, false, stop).await?;
    settled(shelf, &wants, offered.as_ref())
}

/// Whoever named none is told which one it is.
fn tell((phase, wanted): (Phase, &Wanted)) {
    if let (Sought::Here(model), false) = (&wanted.sought, wanted.is_named) {
        let (what, option) = (phase.purpose(), phase.option());
        say!("{what} model: {}, the largest here that fits this machine; {option} names another", model.name);
    }
}

/// What has to be fetched: what was named, else what is offered; with a detector where a first speech model comes.
fn missing<'e>(wants: &'e Wants, offered: Option<&Offer<'e>>, has_detector: bool) -> Vec<&'e Entry> {
    let mut missing = Vec::new();
    let mut is_first = false;
    for (phase, wanted) in wants.each() {
        match &wanted.sought {
            Sought::Here(_) => {}
            Sought::Fetchable(entry) => missing.push(&**entry),
            Sought::Nothing => {
                missing.extend(offered.map(|offered| of_phase(offered, phase)));
                is_first |= phase == Phase::Stt;
            }
        }
    }
    missing.extend(offered.and_then(|offered| offered.detector).filter(|_| is_first && !has_detector));
    missing
}

const fn of_phase<'e>(offered: &Offer<'e>, phase: Phase) -> &'e Entry {
    match phase {
        Phase::Stt => offered.speech,
        Phase::Llm => offered.summary,
    }
}

fn settled(shelf: &Shelf, wants: &Wants, offered: Option<&Offer<'_>>) -> Result<Settled, Refusal> {
    let mut settled = Settled { speech: None, summary: None };
    for (phase, wanted) in wants.each() {
        let model = match &wanted.sought {
            Sought::Here(model) => Some(model.clone()),
            Sought::Fetchable(entry) => Some(here(shelf, entry, phase)?),
            Sought::Nothing => offered.map(|offered| here(shelf, of_phase(offered, phase), phase)).transpose()?,
        };
        match phase {
            Phase::Stt => settled.speech = model,
            Phase::Llm => settled.summary = model,
        }
    }
    Ok(settled)
}

/// The model of an entry, which is in the folder by now.
fn here(shelf: &Shelf, entry: &Entry, phase: Phase) -> Result<Model, Refusal> {
    Ok(shelf.model(Some(Path::new(&entry.name)), phase)?)
}

fn has_detector(shelf: &Shelf) -> bool {
    let folder = shelf.folder.as_deref();
    folder.is_some_and(|folder| Detector::choose(None, &folder.join("any"), None) != Detector::Energy)
}

fn names(entries: &[&Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

fn refusal(wants: &Wants, command: &str) -> Refusal {
    let mut lacking = Vec::new();
    let mut options = Vec::new();
    for (phase, wanted) in wants.each() {
        match &wanted.sought {
            Sought::Here(_) => {}
            Sought::Fetchable(entry) => lacking.push(entry.name.clone()),
            Sought::Nothing => {
                lacking.push(format!("a {} model", phase.purpose()));
                options.push(phase.option());
            }
        }
    }
    let files = options.iter().map(|option| match *option {
        "--stt" => "--stt with a whisper model in ggml format",
        _ => "--llm with an instruction-tuned GGUF model",
    });
    let files = files.collect::<Vec<_>>().join(" and ");
    let without = if wants.speech.is_some() && options.contains(&"--llm") { ", or --no-summary" } else { "" };
    let tiny = options.iter().map(|option| format!("{option} demo")).collect::<Vec<_>>().join(" ");
    let otherwise = match options[..] {
        [] => String::new(),
        _ => format!("; or pass {files}{without}, or try the bundled tiny models: {tiny}"),
    };
    let is = if lacking.len() > 1 { "are" } else { "is" };
    let lacking = lacking.join(" and ");
    let fitting = if wants.has_choice() { "what fits this machine" } else { "it" };
    Refusal::new(ExitCode::Model, format!("{lacking} {is} missing; fetch {fitting} with: {command}{otherwise}"))
}

/// What is offered, and what it costs.
fn show(missing: &[&Entry], wants: &Wants, machine: Machine, folder: &Path) {
    if wants.has_choice() {
        let room = machine.room.map_or_else(String::new, |room| format!("{room} of memory free for a model, "));
        say!("A model is missing. These fit this machine ({room}{} threads):", machine.threads);
    } else {
        say!("What was named is not here yet:");
    }
    say!("");
    let rows: Vec<[String; 5]> = missing
        .iter()
        .map(|entry| {
            [
                format!("  {}", entry.name),
                entry.bytes.map_or_else(absent, sizes::of_file),
                entry.kind.purpose().to_owned(),
                entry.languages.to_string(),
                entry.licence.clone(),
            ]
        })
        .collect();
    for line in aligned(&rows, [false, true, false, false, false]) {
        say!("{line}");
    }
    say!("");
    let free = free_space(folder);
    let free = free.map_or_else(|_| String::new(), |free| format!(" ({} free)", sizes::of_file(free)));
    let total = missing.iter().map(|entry| entry.bytes).sum::<Option<_>>();
    let total = total.map_or_else(String::new, |total| format!("{} ", sizes::of_file(total)));
    say!("They would be fetched from {}, {total}into {}{free}.", fetch::source(), folder.display());
}

/// Only a yes is one.
async fn ask(stop: &Stop) -> Result<bool, Refusal> {
    eprint!("{}", printable("Fetch them now? [y/N] "));
    let _ = std::io::stderr().flush();
    // A thread that waits for keys; it ends with the program.
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let _ = told.send(read.map(|_| line));
    });
    tokio::select! {
        () = stop.asked() => {
            eprintln!();
            Err(Refusal::new(fetch::interrupted(stop), "interrupted before anything was fetched"))
        }
        answer = answer => {
            let line = answer.ok().and_then(Result::ok).unwrap_or_default();
            if line.is_empty() {
                eprintln!();
            }
            Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
        }
    }
}
