//! The speech phase: recording in, transcript on disk.

use std::path::{Path, PathBuf};

use meetcap_protocol::payload::stt::{DropReason, SttItem};

use super::llm::Material;
use super::{Job, Run, own_cost};
use crate::errors::JobError;
use crate::event::{Event, Phase, ProgressUnit};
use crate::memory::PhaseRecord;
use crate::output::{self, Format, OutputNames, Stretch, SttUsed, Transcript};
use crate::service::{ModelService, SttService};
use crate::worker::Update;

/// What there is to summarise; no lines when nobody spoke.
pub(super) async fn phase(run: &mut Run, job: &Job, audio: &Path, names: &OutputNames) -> Result<Material, JobError> {
    let baseline = own_cost();
    let model = std::path::absolute(&job.stt.path).unwrap_or_else(|_| job.stt.path.clone());
    let model = crate::models::Model { path: model, ..job.stt.clone() };
    let mut service = SttService::new(run.host.clone(), model.clone(), audio.to_path_buf(), job.threads);
    let result = transcribe(run, &mut service, job, audio, names).await;
    let exit = service.unload_model().await;
    if result.is_ok() {
        run.note_exit(exit.as_ref());
    }
    let record = PhaseRecord::new(Phase::Stt, &model, service.facts(), baseline, own_cost());
    run.ledger.phases.push(record);
    result
}

async fn transcribe(
    run: &mut Run,
    service: &mut SttService,
    job: &Job,
    audio: &Path,
    names: &OutputNames,
) -> Result<Material, JobError> {
    service.load_model().await?;
    let mut listener = Listener::new(run, audio);
    let output = service.transcribe(job.language.clone(), |update| listener.hear(update)).await?;
    let Listener { mut transcript, damage, .. } = listener;

    transcript.sample_rate = output.sample_rate;
    transcript.duration = output.duration;
    transcript.language = output.language;
    let engine = service.facts().report.as_ref().map(|report| report.engine.clone()).unwrap_or_default();
    transcript.stt = SttUsed {
        engine,
        model_name: job.stt.name.clone(),
        model_path: job.stt.path.to_string_lossy().into_owned(),
        model_requested: job.stt.requested.clone(),
        models: Vec::new(),
    };
    for (at, detail) in damage {
        run.warn("damaged_audio", format!("at {at:.1} s: {detail}; what could be read was transcribed"));
    }
    for stretch in &transcript.dropped {
        let message = format!(
            "between {:.1} s and {:.1} s there is sound, but the model found no words in it",
            stretch.start, stretch.end
        );
        run.ledger.warnings.push(format!("no_text: {message}"));
        run.host.events.warn("no_text", message);
    }
    if transcript.is_empty() {
        run.warn("no_speech", "no speech was found; the transcript is empty");
    }
    run.write(&render(&transcript, &job.formats, names))?;
    if let Err(error) = service.acknowledge().await {
        run.warn("worker_exit", format!("{error}; its work was complete before that"));
    }
    let lines = if transcript.is_empty() { Vec::new() } else { output::text::lines(&transcript) };
    Ok(Material { lines, language: Some(transcript.language).filter(|language| !language.is_empty()) })
}

fn render(transcript: &Transcript, formats: &[Format], names: &OutputNames) -> Vec<(PathBuf, String)> {
    let text = |format| match format {
        Format::Txt => output::text::render(transcript),
        Format::Json => output::json::render(transcript),
        Format::Srt => output::subtitles::srt(transcript),
        Format::Vtt => output::subtitles::vtt(transcript),
    };
    formats.iter().map(|format| (names.path(*format), text(*format))).collect()
}

/// Turns what the worker tells into a transcript and events.
struct Listener {
    events: crate::event::EventSink,
    transcript: Transcript,
    damage: Vec<(f64, String)>,
}

impl Listener {
    fn new(run: &Run, audio: &Path) -> Self {
        let transcript = Transcript { audio_path: audio.to_string_lossy().into_owned(), ..Transcript::default() };
        Self { events: run.host.events.clone(), transcript, damage: Vec::new() }
    }

    fn hear(&mut self, update: Update<SttItem>) {
        match update {
            Update::Progress { done, total } => {
                let total = total.map(|total| total.max(done));
                self.events.send(Event::Progress { phase: Phase::Stt, done, total, unit: ProgressUnit::Seconds });
            }
            Update::Item(SttItem::Segment(segment)) => {
                self.transcript.push(&segment);
                if let Some(kept) = self.transcript.segments.last() {
                    self.events.send(Event::Segment {
                        id: kept.id,
                        start: kept.start,
                        end: kept.end,
                        text: kept.text.clone(),
                        confidence: kept.confidence,
                    });
                }
            }
            Update::Item(SttItem::Dropped { start, end, reason }) => {
                let reason = match reason {
                    DropReason::NoText => "no_text",
                };
                self.transcript.dropped.push(Stretch { start, end, reason: reason.to_owned() });
            }
            Update::Item(SttItem::Damaged { at, detail }) => self.damage.push((at, detail)),
            Update::Item(SttItem::Audio(_)) | Update::UnitStarted(_) | Update::UnitDone(_) => {}
        }
    }
}
