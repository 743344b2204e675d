//! `serve`: the library's server, with this program's models and configuration.

use meetcap_supervisor::config::{self, Arguments};
use meetcap_supervisor::errors::{Advice, ErrorClass};
use meetcap_supervisor::queue::Trouble;
use meetcap_supervisor::server::{Bundled, Server, Settings};
use meetcap_supervisor::{ExitCode, Stop};

use super::args::ServeArgs;
use super::models_command::fetch;
use super::{Refusal, Setup, lookup};

pub(crate) async fn run(args: ServeArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let loaded = config::load(args.config.as_deref(), Arguments::default())?;
    let setup = Setup::of(loaded.config, false)?;
    let own = &setup.config.supervisor;
    let settings = Settings {
        shelf: setup.shelf(),
        network: fetch::network(),
        bundled: bundled(),
        stt: own.stt.clone(),
        llm: own.llm.clone(),
        vad: own.vad.clone(),
        language: own.language.clone(),
        threads: setup.threads(),
        resources: setup.resources(),
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

fn bundled() -> Option<Box<Bundled>> {
    let trouble = |Refusal { code, message }| Trouble {
        message,
        class: ErrorClass::Input,
        exit_code: code.code(),
        advice: Advice::GiveUp,
    };
    cfg!(feature = "demo").then(|| -> Box<Bundled> { Box::new(move |phase| lookup::bundled(phase).map_err(trouble)) })
}
