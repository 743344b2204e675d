//! `serve`: the library's server, with this program's models and configuration.

use std::path::Path;

use meetcap_supervisor::config::{self, Arguments};
use meetcap_supervisor::errors::{Advice, ErrorClass};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::queue::Trouble;
use meetcap_supervisor::server::{FindModel, Server, Settings};
use meetcap_supervisor::{ExitCode, Stop};

use super::args::ServeArgs;
use super::{Refusal, Setup, Wanted, model};

pub(crate) async fn run(args: ServeArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let loaded = config::load(args.config.as_deref(), Arguments::default())?;
    let setup = Setup::of(loaded.config, false)?;
    let own = &setup.config.supervisor;
    let settings = Settings {
        find_model: find_model(own.models_dir.clone()),
        has_demo: cfg!(feature = "demo"),
        stt: own.stt.clone(),
        llm: own.llm.clone(),
        vad: own.vad.clone(),
        language: own.language.clone(),
        threads: setup.threads(),
        resources: setup.resources(),
        models_dir: own.models_dir.clone(),
    };
    let server = Server::new(setup.supervisor.clone(), settings);
    match &args.listen {
        None => server.serve_stdio(stop).await,
        Some(path) => {
            let ready = || {
                if !args.loudness.quiet {
                    eprintln!("listening at {}", super::render::printable(&path.to_string_lossy()));
                }
            };
            server
                .listen(path, stop, ready)
                .await
                .map_err(|error| Refusal::new(ExitCode::Output, error.to_string()))?;
        }
    }
    Ok(match (stop.is_set(), stop.is_terminated()) {
        (_, true) => ExitCode::Terminated,
        (true, false) => ExitCode::Interrupted,
        (false, false) => ExitCode::Done,
    })
}

fn find_model(folder: Option<std::path::PathBuf>) -> Box<FindModel> {
    Box::new(move |given: &Path, phase| {
        let wanted = match phase {
            Phase::Stt => Wanted::Speech,
            Phase::Llm => Wanted::Summary,
        };
        model(Some(given), wanted, folder.as_deref()).map_err(|Refusal { code, message }| Trouble {
            message,
            class: ErrorClass::Input,
            exit_code: code.code(),
            advice: Advice::GiveUp,
        })
    })
}
