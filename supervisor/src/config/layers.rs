//! The layers, each laid over what was there before. Pure: text and variables are given.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Document, Entry, Given, entries, quoted_key, shortened};
use super::error::ConfigError;
use super::file::{FOLDER, HOME};
use super::kinds::{Setting, step};
use super::models::{self, FIELDS, Mistake};
use super::places::Places;
use super::settings::{self, Slot, Visitor, walk};
use super::similar::nearest;
use super::source::{Ignored, Provenance, Source};
use super::{Config, Device, Fallback};
use crate::models::catalog::Addition;

const MEMORY: &str = "memory";
const SUPERVISOR: &str = "supervisor";

/// What a command line can override; values are checked by whoever read it. `None` is an option that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    pub stt: Option<PathBuf>,
    pub llm: Option<PathBuf>,
    pub vad: Option<PathBuf>,
    pub language: Option<String>,
    pub threads: Option<u16>,
    pub device: Option<Device>,
    pub gpu_layers: Option<u32>,
    pub wait_for_memory: Option<Duration>,
    pub memory_report: Option<bool>,
    pub require_sandbox: Option<bool>,
}

/// The configuration that holds. `file` is the path of the file, for messages and for what is relative to it, and
/// its text; `variable` gives the value of an environment variable. An empty variable is one that is not set.
///
/// # Errors
/// A mistake in any layer, even one that another layer lies over; in the file, the first.
pub fn resolve(
    file: Option<(&Path, &str)>,
    variable: impl Fn(&str) -> Option<OsString>,
    arguments: Arguments,
) -> Result<(Config, Provenance), ConfigError> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (mut config, mut provenance) = (Config::default(), Provenance::default());
    config.supervisor.models_dir = variable(HOME).map(|home| PathBuf::from(home).join(FOLDER).join("models"));
    if let Some((path, text)) = file {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let places = Places { folder, home: variable(HOME).map(PathBuf::from) };
        lay_file(&mut config, &mut provenance, &Document::parse(path, text)?, &places)?;
    }
    let mut environment = Environment { variable, provenance: &mut provenance, mistake: None };
    walk(&mut config, &mut environment);
    if let Some(mistake) = environment.mistake {
        return Err(mistake);
    }
    lay_arguments(&mut config, &mut provenance, arguments);
    fit_thresholds(&mut config, &mut provenance)?;
    refuse_circle(&config.supervisor.fallback, &provenance)?;
    Ok((config, provenance))
}

fn lay_file(
    config: &mut Config,
    provenance: &mut Provenance,
    document: &Document<'_>,
    places: &Places,
) -> Result<(), ConfigError> {
    let sections = [document.section(MEMORY)?, document.section(SUPERVISOR)?];
    let mut layer = File { document, sections, places, provenance, known: Vec::new(), mistakes: Vec::new() };
    walk(config, &mut layer);
    let File { sections: [memory, supervisor], known, mut mistakes, .. } = layer;
    let keys =
        |section: &'static str| known.iter().filter_map(move |name| name.strip_prefix(section)?.strip_prefix('.'));

    let stray = supervisor.iter().filter(|entry| !keys(SUPERVISOR).any(|key| key == entry.key));
    if let Some(entry) = stray.min_by_key(|entry| entry.offset) {
        let (name, meant) = (format!("supervisor.{}", quoted_key(entry.key)), nearest(entry.key, keys(SUPERVISOR)));
        let mistake = document.unknown_key(entry, shortened(&name), meant, keys(SUPERVISOR).collect());
        mistakes.push((entry.offset, mistake));
    }
    if let Some((_, first)) = mistakes.into_iter().min_by_key(|(offset, _)| *offset) {
        return Err(first);
    }

    let mut ignored: Vec<(usize, Ignored)> = Vec::new();
    let mut ignore = |entry: &Entry<'_>, name: String, meant| {
        ignored.push((entry.offset, Ignored { at: document.source(entry), name: shortened(&name), meant }));
    };
    for entry in memory.iter().filter(|entry| !keys(MEMORY).any(|key| key == entry.key)) {
        ignore(entry, format!("memory.{}", quoted_key(entry.key)), nearest(entry.key, keys(MEMORY)));
    }
    for entry in document.top().filter(|entry| ![MEMORY, SUPERVISOR].contains(&entry.key)) {
        // No section of meetcap's comes near to these names.
        let meant = nearest(entry.key, [MEMORY, SUPERVISOR]);
        if meant.is_some() {
            ignore(&entry, quoted_key(entry.key), meant);
        }
    }
    ignored.sort_by_key(|(offset, _)| *offset);
    provenance.ignored = ignored.into_iter().map(|(_, ignored)| ignored).collect();
    Ok(())
}

/// What the file says.
struct File<'a> {
    document: &'a Document<'a>,
    /// `[memory]` and `[supervisor]`.
    sections: [Vec<Entry<'a>>; 2],
    places: &'a Places,
    provenance: &'a mut Provenance,
    /// Names of the settings that were asked for.
    known: Vec<&'static str>,
    /// With their places in the text.
    mistakes: Vec<(usize, ConfigError)>,
}

impl<'a> File<'a> {
    fn find(&mut self, name: &'static str) -> Option<Entry<'a>> {
        self.known.push(name);
        let (section, key) = name.split_once('.')?;
        self.sections[usize::from(section == SUPERVISOR)].iter().find(|entry| entry.key == key).cloned()
    }

    fn refuse(&mut self, entry: &Entry<'_>, name: String, allowed: &'static str) {
        self.mistakes.push((entry.offset, self.document.wrong_value(entry, name, allowed)));
    }
}

impl Visitor for File<'_> {
    fn setting<T>(&mut self, setting: &Setting<T>, slot: Slot<'_, T>) {
        let Some(entry) = self.find(setting.name) else { return };
        match (setting.read)(Given::from(entry.value), self.places) {
            Ok(value) => {
                slot.set(value);
                self.provenance.set(setting.name, self.document.source(&entry));
            }
            Err(allowed) => self.refuse(&entry, setting.name.to_owned(), allowed),
        }
    }

    fn fallback(&mut self, fallback: &mut Fallback) {
        let Some(found) = self.find(settings::FALLBACK) else { return };
        let toml::de::DeValue::Table(table) = found.value else {
            let allowed = "a table such as { \"whisper-large-v3\" = \"whisper-small\" }";
            return self.refuse(&found, settings::FALLBACK.to_owned(), allowed);
        };
        for entry in entries(table) {
            let name = || shortened(&format!("{}.{}", settings::FALLBACK, quoted_key(entry.key)));
            if entry.value.is_table() {
                self.refuse(&entry, name(), "one model for each; a name with a dot goes in quotes, which");
                continue;
            }
            let step = step(Given::from(entry.value), self.places);
            match self.places.model(entry.key).and_then(|from| Ok((from, step?))) {
                Ok((from, to)) => {
                    self.provenance.set_step(from.clone(), self.document.source(&entry));
                    fallback.insert(from, to);
                }
                Err(allowed) => self.refuse(&entry, name(), allowed),
            }
        }
    }

    fn models(&mut self, additions: &mut Vec<Addition>) {
        let Some(found) = self.find(settings::MODELS) else { return };
        let toml::de::DeValue::Table(table) = found.value else {
            let allowed = "a section with a line for each model, such as mine = \"https://host/path/model.gguf\",";
            return self.refuse(&found, settings::MODELS.to_owned(), allowed);
        };
        for entry in entries(table) {
            let mistake = match models::read(&entry) {
                Ok(model) => {
                    self.provenance.set_model(model.name().to_owned(), self.document.source(&entry));
                    additions.push(model);
                    continue;
                }
                Err(mistake) => mistake,
            };
            let name = shortened(&format!("{}.{}", settings::MODELS, quoted_key(entry.key)));
            match mistake {
                // What stands before an @ may be a password.
                Mistake::Model(allowed) if matches!(Given::from(entry.value), Given::Text(text) if text.contains('@')) =>
                {
                    let value = "an address with a name or a password in it".to_owned();
                    self.mistakes.push((entry.offset, self.document.wrong_value_told(&entry, name, value, allowed)));
                }
                Mistake::Model(allowed) => self.refuse(&entry, name, allowed),
                Mistake::Field(field, allowed) => self.refuse(&field, format!("{name}.{}", field.key), allowed),
                Mistake::Unknown(field) => {
                    let name = shortened(&format!("{name}.{}", quoted_key(field.key)));
                    let meant = nearest(field.key, FIELDS);
                    let unknown = self.document.unknown_key(&field, name, meant, FIELDS.to_vec());
                    self.mistakes.push((field.offset, unknown));
                }
            }
        }
    }
}

/// What the environment says.
struct Environment<'a, F> {
    variable: F,
    provenance: &'a mut Provenance,
    /// The first.
    mistake: Option<ConfigError>,
}

impl<F: Fn(&str) -> Option<OsString>> Visitor for Environment<'_, F> {
    fn setting<T>(&mut self, setting: &Setting<T>, slot: Slot<'_, T>) {
        let Some(variable) = &setting.variable else { return };
        let Some(given) = (self.variable)(variable.name) else { return };
        match (variable.read)(&given) {
            Ok(value) => {
                slot.set(value);
                self.provenance.set(setting.name, Source::Environment(variable.name));
            }
            Err(allowed) => {
                let value = in_quotes(&given);
                self.mistake.get_or_insert(ConfigError::Variable { variable: variable.name, value, allowed });
            }
        }
    }

    fn fallback(&mut self, _fallback: &mut Fallback) {}

    fn models(&mut self, _models: &mut Vec<Addition>) {}
}

fn in_quotes(value: &OsStr) -> String {
    format!("\"{}\"", shortened(&value.to_string_lossy()))
}

fn lay_arguments(config: &mut Config, provenance: &mut Provenance, arguments: Arguments) {
    let mut over = Over { provenance };
    let (memory, own) = (&mut config.memory, &mut config.supervisor);
    let Arguments {
        stt,
        llm,
        vad,
        language,
        threads,
        device,
        gpu_layers,
        wait_for_memory,
        memory_report,
        require_sandbox,
    } = arguments;
    over.lay(settings::STT, "--stt", stt, Slot::Maybe(&mut own.stt, ""));
    over.lay(settings::LLM, "--llm", llm, Slot::Maybe(&mut own.llm, ""));
    over.lay(settings::VAD, "--vad", vad, Slot::Maybe(&mut own.vad, ""));
    over.lay(settings::LANGUAGE, "--language", language, Slot::Maybe(&mut own.language, ""));
    over.lay(settings::THREADS, "--threads", threads, Slot::Maybe(&mut own.threads, ""));
    over.lay(settings::DEVICE, "--device", device, Slot::Maybe(&mut own.device, ""));
    over.lay(settings::GPU_LAYERS, "--gpu-layers", gpu_layers, Slot::Maybe(&mut own.gpu_layers, ""));
    over.lay(settings::WAIT_FOR_MEMORY, "--wait-for-memory", wait_for_memory, Slot::Always(&mut own.wait_for_memory));
    over.lay(settings::MEMORY_REPORT, "--memory-report", memory_report, Slot::Always(&mut memory.memory_report));
    over.lay(settings::REQUIRE_SANDBOX, "--require-sandbox", require_sandbox, Slot::Always(&mut own.require_sandbox));
}

struct Over<'a> {
    provenance: &'a mut Provenance,
}

impl Over<'_> {
    fn lay<T>(&mut self, name: &'static str, option: &'static str, given: Option<T>, slot: Slot<'_, T>) {
        if let Some(value) = given {
            slot.set(value);
            self.provenance.set(name, Source::Argument(option));
        }
    }
}

/// A default that somebody's lower `critical_threshold` has overtaken moves down with it: who sets one threshold
/// need not set the other. Two that were both set have to go together.
fn fit_thresholds(config: &mut Config, provenance: &mut Provenance) -> Result<(), ConfigError> {
    let memory = &mut config.memory;
    if memory.warning_threshold <= memory.critical_threshold {
        return Ok(());
    }
    let warning_from = provenance.of(settings::WARNING_THRESHOLD);
    if warning_from == Source::Default {
        memory.warning_threshold = memory.critical_threshold;
        provenance.set(settings::WARNING_THRESHOLD, Source::Follows(settings::CRITICAL_THRESHOLD));
        return Ok(());
    }
    Err(ConfigError::Thresholds {
        warning: memory.warning_threshold,
        warning_from,
        critical: memory.critical_threshold,
        critical_from: provenance.of(settings::CRITICAL_THRESHOLD),
    })
}

fn refuse_circle(fallback: &Fallback, provenance: &Provenance) -> Result<(), ConfigError> {
    let Some(circle) = fallback.circle() else { return Ok(()) };
    // The defaults have none, so somebody has closed this one.
    let closed = circle.iter().map(|model| provenance.of_step(model)).find(|from| *from != Source::Default);
    let models = circle.iter().map(|model| model.to_path_buf()).collect();
    Err(ConfigError::Circle { models, from: closed.unwrap_or(Source::Default) })
}
