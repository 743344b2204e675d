//! What each method does.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connection::Own;
use super::params::{
    Cancel, Capabilities, EstimateModel, Initialized, Jobs, Memory, Models, RunMemory, ShutDown, Status, Submit,
    Submitted, Summarize, Wait,
};
use super::rpc::{Request, RpcError};
use super::{PROTOCOL_VERSION, Settings};
use crate::errors::JobError;
use crate::event::{EVENT_VERSION, Phase};
use crate::input::{absolute, parse_language};
use crate::memory::{read_own, read_system};
use crate::models::shelf::Sought;
use crate::models::vad::Detector;
use crate::models::{self, Model};
use crate::output::Format;
use crate::pipeline::{Job, Resources, SummarizeJob, Supervisor};
use crate::planning;
use crate::queue::{Closing, JobHandle, JobId, Submission, Trouble};
use crate::registry;
use crate::service::SpeechOptions;

/// All there are.
pub(super) const METHODS: &[&str] = &[
    "initialize",
    "job/submit",
    "job/summarize",
    "job/cancel",
    "job/status",
    "job/list",
    "memory/read",
    "models/list",
    "models/estimate",
    #[cfg(feature = "pull")]
    super::pulling::METHOD,
    "shutdown",
];

/// The name of what is bundled.
const DEMO: &str = "demo";

/// What all clients share.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) supervisor: Supervisor,
    pub(super) settings: Arc<Settings>,
}

impl From<JobError> for RpcError {
    fn from(error: JobError) -> Self {
        Trouble::from(&error).into()
    }
}

impl Desk {
    pub(super) async fn call(&self, request: Request, own: &mut Own) -> Result<Value, RpcError> {
        let Request { method, params } = request;
        let params = Value::Object(params);
        match method.as_str() {
            // What a client says of itself is of no use here.
            "initialize" => give(self.initialize()),
            "job/submit" => give(self.submit(&take(params)?, own)?),
            "job/summarize" => give(self.summarize(&take(params)?, own)?),
            "job/cancel" => {
                let Cancel { job_id } = take(params)?;
                // One that has ended is remembered and needs no more.
                match self.supervisor.job(job_id) {
                    Some(job) => job.cancel(),
                    None => drop(self.status(job_id)?),
                }
                self.status(job_id)
            }
            "job/status" => {
                let Status { job_id, subscribe } = take(params)?;
                if subscribe && let Some(job) = self.supervisor.job(job_id) {
                    own.listen(&job);
                }
                self.status(job_id)
            }
            "job/list" => give(Jobs { jobs: self.supervisor.jobs() }),
            "memory/read" => give(memory()),
            "models/list" => give(Models { models: self.models() }),
            "models/estimate" => self.estimate(&take(params)?),
            "shutdown" => {
                let ShutDown { wait } = take(params)?;
                self.supervisor.shut_down(if wait { Closing::Drained } else { Closing::Now }).await;
                own.has_shut_down = true;
                Ok(Value::Null)
            }
            #[cfg(feature = "pull")]
            super::pulling::METHOD => Err(RpcError::invalid("`models/pull` takes long; send it outside of a batch")),
            unknown => Err(RpcError::unknown_method(unknown)),
        }
    }

    fn initialize(&self) -> Initialized {
        Initialized {
            protocol_version: PROTOCOL_VERSION,
            server_version: env!("CARGO_PKG_VERSION"),
            capabilities: Capabilities {
                methods: METHODS.to_vec(),
                events: EVENT_VERSION,
                formats: Format::ALL.to_vec(),
                queue_limit: self.supervisor.queue_limit(),
                demo: self.settings.bundled.is_some(),
            },
        }
    }

    fn status(&self, id: JobId) -> Result<Value, RpcError> {
        give(self.supervisor.job_status(id).ok_or_else(|| RpcError::unknown_job(id))?)
    }

    fn submit(&self, asked: &Submit, own: &mut Own) -> Result<Submitted, RpcError> {
        let settings = &self.settings;
        let llm = match (asked.no_summary, &asked.llm) {
            (true, Some(_)) => return Err(RpcError::params("`llm` and `no_summary` exclude each other")),
            (true, None) => None,
            (false, llm) => Some(self.model(llm.as_deref(), settings.llm.as_deref(), Phase::Llm)?),
        };
        within("beam", asked.beam, SpeechOptions::MOST_BEAMS)?;
        within("windows", asked.windows, Resources::MOST_WINDOWS)?;
        let stt = self.model(asked.stt.as_deref(), settings.stt.as_deref(), Phase::Stt)?;
        let wish = asked.vad.as_deref().or(settings.vad.as_deref());
        let job = Job {
            vad: Detector::choose(wish, &stt.path, settings.shelf.folder.as_deref()),
            stt,
            audio: absolute(&asked.audio_path),
            llm,
            output_dir: asked.output_dir.as_deref().map(absolute),
            formats: formats(asked.formats.as_deref())?,
            language: language(asked.language.as_deref())?.or_else(|| settings.language.clone()),
            speech: SpeechOptions { translate: asked.translate, prompt: None, beam: asked.beam, words: asked.words },
            seed: asked.seed,
            threads: threads(asked.threads, settings)?,
            resume: asked.resume,
            resources: Resources {
                windows: asked.windows.and_then(NonZeroU8::new),
                ..resources(asked.force, asked.wait_for_memory.as_ref(), settings)?
            },
        };
        self.supervisor.check(&job)?;
        let job = self.supervisor.try_submit(Submission::from(job).with_priority(asked.priority))?;
        Ok(taken(job, asked.on_disconnect, own))
    }

    fn summarize(&self, asked: &Summarize, own: &mut Own) -> Result<Submitted, RpcError> {
        let settings = &self.settings;
        let job = SummarizeJob {
            transcript: absolute(&asked.transcript_path),
            llm: self.model(asked.llm.as_deref(), settings.llm.as_deref(), Phase::Llm)?,
            output_dir: asked.output_dir.as_deref().map(absolute),
            language: language(asked.language.as_deref())?,
            seed: asked.seed,
            threads: threads(asked.threads, settings)?,
            resources: resources(asked.force, asked.wait_for_memory.as_ref(), settings)?,
        };
        self.supervisor.check_transcript(&job)?;
        let job = self.supervisor.try_submit(Submission::from(job).with_priority(asked.priority))?;
        Ok(taken(job, asked.on_disconnect, own))
    }

    /// The model asked for, else the configured one.
    fn model(&self, given: Option<&Path>, configured: Option<&Path>, phase: Phase) -> Result<Model, RpcError> {
        Ok(self.seek(given.or(configured), phase)?.here(phase).map_err(JobError::from)?)
    }

    fn seek(&self, given: Option<&Path>, phase: Phase) -> Result<Sought, RpcError> {
        match &self.settings.bundled {
            Some(bundled) if given == Some(Path::new(DEMO)) => Ok(Sought::Here(bundled(phase)?)),
            _ => Ok(self.settings.shelf.seek(given, phase).map_err(JobError::from)?),
        }
    }

    fn models(&self) -> Vec<models::Listed> {
        let mut models = self.settings.shelf.folder.as_deref().map(models::list_in_folder).unwrap_or_default();
        let configured = [(&self.settings.stt, Phase::Stt), (&self.settings.llm, Phase::Llm)];
        let configured = configured.into_iter().filter_map(|(path, phase)| Some((path.clone()?, phase)));
        let demo = [Phase::Stt, Phase::Llm].map(|phase| (PathBuf::from(DEMO), phase));
        for (path, phase) in configured.chain(demo.into_iter().filter(|_| self.settings.bundled.is_some())) {
            let Ok(Model { name, path, .. }) = self.model(Some(&path), None, phase) else { continue };
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if models.iter().all(|known| known.path != path) {
                models.push(models::Listed { name, path, phase, bytes: crate::memory::Bytes(metadata.len()) });
            }
        }
        models
    }

    fn estimate(&self, asked: &EstimateModel) -> Result<Value, RpcError> {
        let phase = asked.phase.unwrap_or(Phase::Stt);
        let sought = self.seek(Some(&asked.model), phase)?;
        give(planning::of(&sought, asked.ctx, self.supervisor.memory(), &read_system())?)
    }
}

fn taken(job: JobHandle, then: super::params::OnDisconnect, own: &mut Own) -> Submitted {
    let job_id = job.id();
    own.add(job, then);
    Submitted { job_id }
}

fn memory() -> Memory {
    let runs = registry::list().into_iter().map(|run| RunMemory {
        pid: run.pid,
        worker_pid: run.worker_pid,
        phase: run.phase,
        model: run.model_name,
        path: run.audio_path,
        anonymous_bytes: run.memory.anonymous,
        file_backed_bytes: run.memory.file_backed,
        gpu_bytes: run.memory.gpu,
    });
    Memory { supervisor: read_own(), system: read_system(), runs: runs.collect() }
}

fn formats(given: Option<&[String]>) -> Result<Vec<Format>, RpcError> {
    let Some(given) = given else { return Ok(Format::DEFAULT.to_vec()) };
    let mut formats = Vec::new();
    for name in given {
        let format: Format = name.parse().map_err(|error| RpcError::params(format!("`formats`: {error}")))?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if formats.is_empty() {
        return Err(RpcError::params("`formats` is empty; leave it out, or name at least one"));
    }
    Ok(formats)
}

fn language(given: Option<&str>) -> Result<Option<String>, RpcError> {
    given.map(parse_language).transpose().map_err(|error| RpcError::params(format!("`language`: {error}")))
}

fn threads(given: Option<u16>, settings: &Settings) -> Result<u16, RpcError> {
    match given {
        Some(0) => Err(RpcError::params("`threads` has to be at least 1")),
        given => Ok(given.unwrap_or(settings.threads)),
    }
}

fn within(name: &str, given: Option<u8>, most: u8) -> Result<(), RpcError> {
    match given {
        Some(given) if !(1..=most).contains(&given) => {
            Err(RpcError::params(format!("`{name}` has to be between 1 and {most}")))
        }
        _ => Ok(()),
    }
}

fn resources(force: bool, wait: Option<&Wait>, settings: &Settings) -> Result<Resources, RpcError> {
    let wait = wait.map(Wait::duration).transpose();
    let wait = wait.map_err(|error| RpcError::params(format!("`wait_for_memory`: {error}")))?;
    let Resources { wait_for_memory, .. } = settings.resources;
    Ok(Resources { force, wait_for_memory: wait.unwrap_or(wait_for_memory), ..settings.resources })
}

pub(super) fn take<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params).map_err(|error| RpcError::params(error.to_string()))
}

pub(super) fn give(result: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|error| JobError::Internal(error.to_string()).into())
}
