//! `models pull`, for whoever asked for it by a command or by a yes.

use std::path::PathBuf;

use meetcap_supervisor::memory::Bytes;
use meetcap_supervisor::models::catalog::Entry;
use meetcap_supervisor::models::pull::{Doing, Network, Progress, PullError, Pulled, Wanted, pull};
use meetcap_supervisor::models::shelf::Shelf;
use meetcap_supervisor::models::store::{Store, StoreError};
use meetcap_supervisor::{ExitCode, Stop};

use super::super::pace::about;
use super::super::render::{new_bar, printable, say};
use super::super::{Refusal, sizes};

/// The longest that a token's file may be.
const LARGEST_TOKEN: u64 = 8 << 10;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(ExitCode::Model, error.to_string())
    }
}

/// How the network may be used, as the environment says.
pub(crate) fn network() -> Network {
    let read = |path: &PathBuf| {
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_TOKEN);
        is_small.then(|| std::fs::read_to_string(path).ok()).flatten()
    };
    Network::from_environment(|name| std::env::var_os(name), read)
}

/// Where models come from.
pub(crate) fn source() -> String {
    network().host().to_owned()
}

/// Which code an interruption ends with.
pub(crate) fn interrupted(stop: &Stop) -> ExitCode {
    if stop.is_terminated() { ExitCode::Terminated } else { ExitCode::Interrupted }
}

/// The folder that models are fetched into.
pub(crate) fn store(shelf: &Shelf) -> Result<Store, Refusal> {
    let no_folder = "there is no folder for models, as HOME is not set; set models_dir in a configuration (--config)";
    shelf.folder.as_ref().map(Store::new).ok_or_else(|| Refusal::new(ExitCode::Usage, no_folder))
}

/// Fetches models by name; all names are looked up before anything is fetched.
pub(crate) async fn named(shelf: &Shelf, names: &[String], quiet: bool, stop: &Stop) -> Result<ExitCode, Refusal> {
    let catalog = shelf.catalog();
    let mut entries: Vec<Entry> = Vec::new();
    for name in names {
        let entry = catalog.find(name).entry(name)?;
        if !entries.contains(entry) {
            entries.push(entry.clone());
        }
    }
    all(shelf, &entries, quiet, stop).await?;
    Ok(ExitCode::Done)
}

/// Fetches models one after the other, with their progress on a terminal.
pub(crate) async fn all(shelf: &Shelf, entries: &[Entry], quiet: bool, stop: &Stop) -> Result<(), Refusal> {
    let (store, network) = (store(shelf)?, network());
    for entry in entries {
        one(&store, &network, entry, quiet, stop).await?;
    }
    Ok(())
}

async fn one(store: &Store, network: &Network, entry: &Entry, quiet: bool, stop: &Stop) -> Result<(), Refusal> {
    let wanted = Wanted::of(entry, network);
    let bar = (!quiet).then(new_bar);
    if let Some(bar) = &bar {
        // On a terminal the bar says so.
        if bar.is_hidden() {
            let size = entry.bytes.map_or_else(String::new, |bytes| format!(", {}", sizes::of_file(bytes)));
            say!("fetching {} from {}{size}, licence: {}", entry.name, wanted.host(), entry.licence);
        }
        if let Some(terms) = entry.terms() {
            say!("{} has terms of its own ({}): {terms}", entry.name, entry.licence);
        }
    }
    let told = {
        let (bar, name) = (bar.clone(), entry.name.clone());
        move |progress: Progress| {
            if let Some(bar) = &bar {
                bar.set_length(progress.bytes_total.max(1));
                bar.set_position(progress.bytes_done);
                bar.set_message(printable(&format!("{name}: {}", line(&progress))));
                bar.tick();
            }
        }
    };
    let work = {
        let (store, wanted, network, stop) = (store.clone(), wanted.clone(), network.clone(), stop.clone());
        tokio::task::spawn_blocking(move || pull(&wanted, &store, &network, &stop, told))
    };
    let result = work.await.map_err(|error| Refusal::new(ExitCode::Internal, format!("fetching failed: {error}")))?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (model, was_here) = match result {
        Ok(Pulled::Came(model)) => (model, false),
        Ok(Pulled::WasHere(model)) => (model, true),
        Err(error) => return Err(refusal(&error, stop)),
    };
    if !quiet {
        let size = sizes::of_file(model.bytes);
        if was_here {
            say!("{} is here already: {}, {size}", entry.name, model.path.display());
        } else {
            let vouched = model.pin.as_ref().is_some_and(|pin| pin.vouched);
            let checked = if vouched { "checked" } else { "nobody tells its SHA-256; it is held to what came" };
            say!("fetched {}: {}, {size}, {checked}", entry.name, model.path.display());
        }
    }
    Ok(())
}

fn refusal(error: &PullError, stop: &Stop) -> Refusal {
    let code = match error {
        PullError::Interrupted { .. } | PullError::Store(StoreError::Interrupted) => interrupted(stop),
        _ => ExitCode::Model,
    };
    Refusal::new(code, error.to_string())
}

/// `210 of 488 MB, 12 MB/s, about 23 s left`.
fn line(progress: &Progress) -> String {
    let size = |bytes: u64| sizes::of_file(Bytes(bytes));
    let so_far = format!("{} of {}", size(progress.bytes_done), size(progress.bytes_total));
    match &progress.doing {
        Doing::Waiting(why) => format!("{so_far}, waiting: {why}"),
        Doing::Checking => format!("{so_far} checked"),
        Doing::Fetching => {
            let speed = progress.bytes_per_second.map(|speed| format!(", {}/s", size(speed as u64)));
            let left = progress.seconds_left.and_then(|left| std::time::Duration::try_from_secs_f64(left).ok());
            let left = left.map(|left| format!(", {}", about(left)));
            format!("{so_far}{}{}", speed.unwrap_or_default(), left.unwrap_or_default())
        }
    }
}
