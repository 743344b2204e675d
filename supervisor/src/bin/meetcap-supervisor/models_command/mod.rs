//! `models`: fetch, list, take in, check and remove models, and tell what they take.

pub(crate) mod fetch;
mod list;

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use meetcap_supervisor::config::{self, Arguments};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy};
use meetcap_supervisor::models::shelf::{Shelf, Sought};
use meetcap_supervisor::models::store::{How, StoreError, Verdict};
use meetcap_supervisor::{ExitCode, Stop, registry};

use super::args::{ModelsArgs, ModelsCommand};
use super::render::{new_bar, say};
use super::{Refusal, estimate, lookup, sizes};

pub(crate) async fn run(args: ModelsArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let config = config::load(args.config.as_deref(), Arguments::default())?.config;
    let (policy, shelf) = (MemoryPolicy::from(&config), Shelf::of(&config));
    match args.command {
        ModelsCommand::List { available: true, json } => list::available(&shelf, &policy, json),
        ModelsCommand::List { available: false, json } => list::installed(&shelf, &policy, json),
        ModelsCommand::Pull { names, quiet } => fetch::named(&shelf, &names, quiet, stop).await,
        ModelsCommand::Add { path, link } => {
            let how = if link { How::Link } else { How::Keep };
            let size = std::fs::metadata(&path).map_or(0, |file| file.len());
            let (store, reading) = (fetch::store(&shelf)?, Reading::new("reading", size));
            let told = reading.clone();
            let added = blocking(stop, move |stop| store.add(&path, how, stop, |count| told.passed(count))).await;
            reading.end();
            let added = added?;
            say!("{} is here: {}, {}", added.kind.purpose(), added.path.display(), sizes::of_file(added.bytes));
            Ok(ExitCode::Done)
        }
        ModelsCommand::Verify { name } => verify(&shelf, name.as_deref(), stop).await,
        ModelsCommand::Estimate { model, ctx, json } => {
            // Which phase a model is for its file tells; only the bundled ones share a name.
            if model.as_os_str() == lookup::DEMO {
                for phase in [Phase::Stt, Phase::Llm] {
                    estimate::print(&Sought::Here(lookup::bundled(phase)?), ctx, &policy, json)?;
                }
                return Ok(ExitCode::Done);
            }
            estimate::print(&shelf.find(&model)?, ctx, &policy, json)
        }
        ModelsCommand::Remove { names } => remove(&shelf, &names),
    }
}

/// Runs what reads or writes gigabytes on a thread of its own, so that Ctrl-C is heard.
async fn blocking<T: Send + 'static>(
    stop: &Stop,
    work: impl FnOnce(&Stop) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let given = stop.clone();
    let done = tokio::task::spawn_blocking(move || work(&given)).await;
    match done.map_err(|error| Refusal::new(ExitCode::Internal, error.to_string()))? {
        Err(StoreError::Interrupted) => Err(Refusal::new(fetch::interrupted(stop), "interrupted")),
        done => Ok(done?),
    }
}

async fn verify(shelf: &Shelf, name: Option<&str>, stop: &Stop) -> Result<ExitCode, Refusal> {
    let (store, catalog) = (fetch::store(shelf)?, shelf.catalog());
    let models = match name {
        Some(name) => vec![store.named(name, &catalog)?],
        None => store.installed(),
    };
    if models.is_empty() {
        say!("no model is in {}", store.folder().display());
    }
    let mut code = ExitCode::Done;
    for model in models {
        let known = catalog.by_file(&model.file);
        let expected = known.and_then(|entry| entry.sha256);
        let name = list::name(&model, &catalog);
        let reading = Reading::new(&name, model.bytes.0);
        let (told, store, given) = (reading.clone(), store.clone(), model.clone());
        let verdict =
            blocking(stop, move |stop| store.verify(&given, expected, stop, |count| told.passed(count))).await;
        reading.end();
        let again = match known {
            Some(_) => format!("meetcap-supervisor models remove {name} && meetcap-supervisor models pull {name}"),
            None => format!("meetcap-supervisor models remove {}", model.file),
        };
        match verdict? {
            Verdict::Good(digest) => say!("{name}: good, as it came (SHA-256 {digest})"),
            Verdict::Pinned(digest) => {
                let why = match expected {
                    Some(_) => "good, as the catalogue says",
                    None => "held to what it is from now on",
                };
                say!("{name}: {why} (SHA-256 {digest})");
            }
            Verdict::Changed { expected, found } => {
                code = ExitCode::Model;
                say!(
                    "error: {name}: CHANGED: it has SHA-256 {found}, and {expected} is right; fetch it again: {again}"
                );
            }
            Verdict::Length { expected, found } => {
                code = ExitCode::Model;
                let (expected, found) = (expected.0, found.0);
                say!("error: {name}: CHANGED: it has {found} bytes, and came with {expected}; fetch it again: {again}");
            }
        }
    }
    Ok(code)
}

fn remove(shelf: &Shelf, names: &[String]) -> Result<ExitCode, Refusal> {
    let (store, catalog) = (fetch::store(shelf)?, shelf.catalog());
    let running = registry::list();
    for name in names {
        // What is left of a fetch has no model yet, but its name is known all the same.
        let (file, called) = match store.named(name, &catalog) {
            Ok(model) => (model.file.clone(), list::name(&model, &catalog)),
            Err(error) => match catalog.named(name) {
                Some(entry) => (entry.file.clone(), entry.name.clone()),
                None if store.path(name).is_ok_and(|path| path.symlink_metadata().is_ok()) => {
                    (name.clone(), name.clone())
                }
                None => return Err(error.into()),
            },
        };
        let stem = std::path::Path::new(&file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let user = running.iter().find(|run| {
            run.model_name.as_deref().is_some_and(|used| used == called || used == stem || used == name.as_str())
        });
        if let Some(run) = user {
            let message = format!("{called} is in use by process {}; wait for its run, or end it first", run.pid);
            return Err(Refusal::new(ExitCode::Held, message));
        }
        let freed = store.remove(&file)?;
        say!("removed {called}: {}", sizes::of_file(freed));
    }
    Ok(ExitCode::Done)
}

/// Progress of reading a whole file.
#[derive(Debug, Clone)]
struct Reading {
    bar: ProgressBar,
    began: Instant,
}

impl Reading {
    fn new(what: &str, bytes: u64) -> Self {
        let bar = new_bar();
        bar.set_length(bytes.max(1));
        bar.set_message(format!("{what}, {}", sizes::of_file(Bytes(bytes))));
        Self { bar, began: Instant::now() }
    }

    fn passed(&self, count: u64) {
        self.bar.inc(count);
        // What is done in a moment needs no bar.
        if self.began.elapsed() > Duration::from_millis(300) {
            self.bar.tick();
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
