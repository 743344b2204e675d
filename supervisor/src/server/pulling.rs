//! `models/pull`: the one method that takes long. It goes on beside its client's other requests, tells how far it is in
//! notifications `models/progress`, and is answered when the model is here. It ends with its client, and what came is
//! gone on with by the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;

use super::Settings;
use super::connection::Out;
use super::methods::{give, take};
use super::params::{Pull, PulledModel};
use super::rpc::{ModelsProgress, Request, RpcError, answer};
use crate::errors::{Advice, ErrorClass, JobError};
use crate::exit_code::ExitCode;
use crate::models::header::ModelError;
use crate::models::pull::{Progress, PullError, Pulled, Wanted, pull};
use crate::models::store::{Installed, Store, StoreError};
use crate::queue::Trouble;
use crate::stop::Stop;

/// The method.
pub(super) const METHOD: &str = "models/pull";
/// Between two notifications.
const STEP: Duration = Duration::from_millis(500);

impl From<&PullError> for Trouble {
    fn from(error: &PullError) -> Self {
        let (class, exit_code, advice) = match error {
            PullError::Interrupted { .. } | PullError::Store(StoreError::Interrupted) => {
                (ErrorClass::Environment, ExitCode::Interrupted, Advice::RetrySame)
            }
            PullError::NotFound { .. }
            | PullError::Length { .. }
            | PullError::OtherHash { .. }
            | PullError::Insecure { .. } => (ErrorClass::Input, ExitCode::Model, Advice::GiveUp),
            _ => (ErrorClass::Environment, ExitCode::Model, Advice::RetrySame),
        };
        Self { message: error.to_string(), class, exit_code: exit_code.code(), advice }
    }
}

/// Begins a fetch; its answer goes to `out` when it is through.
pub(super) fn begin(settings: &Arc<Settings>, id: Option<Value>, request: Request, out: mpsc::Sender<Out>, stop: Stop) {
    let settings = settings.clone();
    tokio::spawn(async move {
        let result = carry_out(&settings, request, &out, stop).await;
        if let Some(id) = id {
            // Whoever does not read has gone.
            let _ = out.send(Out::Answer(answer(&id, result))).await;
        }
    });
}

async fn carry_out(
    settings: &Arc<Settings>,
    request: Request,
    out: &mpsc::Sender<Out>,
    stop: Stop,
) -> Result<Value, RpcError> {
    let Pull { name } = take(Value::Object(request.params))?;
    let entry = settings.shelf.catalog().find(&name).entry(&name).map_err(JobError::from)?.clone();
    let folder = settings.shelf.folder.clone();
    let folder = folder.ok_or_else(|| JobError::from(ModelError::NoFolder))?;
    let (network, called) = (settings.network.clone(), entry.name.clone());
    let wanted = Wanted::of(&entry, &network);
    let told = {
        let (out, name, mut last) = (out.clone(), called.clone(), None::<Instant>);
        move |progress: Progress| {
            if last.is_none_or(|last| last.elapsed() >= STEP) {
                last = Some(Instant::now());
                // A client that does not read misses some.
                let _ = out.try_send(Out::Progress(ModelsProgress::new(name.clone(), progress)));
            }
        }
    };
    let work = tokio::task::spawn_blocking(move || pull(&wanted, &Store::new(folder), &network, &stop, told));
    let done = work.await.map_err(|error| JobError::Internal(error.to_string()))?;
    let (model, was_here) = match done.map_err(|error| Trouble::from(&error))? {
        Pulled::Came(model) => (model, false),
        Pulled::WasHere(model) => (model, true),
    };
    let Installed { path, bytes, pin, .. } = model;
    let sha256 = pin.map(|pin| pin.sha256.to_string());
    give(PulledModel { name: called, path, bytes, sha256, was_here })
}
