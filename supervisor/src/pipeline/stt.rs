//! The speech phase: recording in, transcript on disk.
//!
//! Windows are kept as they come, in the journal and in memory; a worker that dies is replaced by one that goes
//! on at the first window that is not kept; a window that kills twice is left out, with a mark.
//!
//! A worker that is done with a recording goes on with the next, whose model it holds already. One that died is
//! started again for the recording it was at; one that gave way to a smaller model did so for all that follow. A
//! recording whose windows are all kept needs no worker, and without one that does none is started.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;
use meetcap_protocol::payload::stt::{DropReason, SttItem, SttOutput};

use super::admission::Candidate;
use super::ahead::{Ahead, Early};
use super::batch::{Recording, fail_all};
use super::keeping::Keeping;
use super::material::Material;
use super::recovery::{Next, Recovery, Spot};
use super::rungs::{Rungs, SpeechUse};
use super::turn::{Closed, Decisions, Turn};
use super::{Heard, Job, Run, Sign, absolute, check_device};
use crate::config::Device;
use crate::errors::JobError;
use crate::event::{Event, EventSink, Phase, ProgressUnit};
use crate::journal::{Gap, ModelUsed, Progress, Record, SttDone, Window};
use crate::models::Model;
use crate::models::vad::Detector;
use crate::output::text::clock;
use crate::output::{self, Format, ModelStretch, OutputNames, Stretch, SttUsed, Transcript};
use crate::restart::RestartLimits;
use crate::service::{Accounted, Host, LlmService, ModelService, SttService};
use crate::worker::{Update, WorkerExit};

/// Why a window is missing, in transcript.json.
const GAP_REASON: &str = "worker_died";
/// What the user is told of stretches without text.
const LOSSES: [(DropReason, &str, &str); 3] = [
    (DropReason::NoText, "no_text", "there is sound, but the model found no words in it"),
    (DropReason::NoSpeech, "no_text", "there is sound, but the model holds it for no speech"),
    (DropReason::Repetition, "repetition", "the model said the same over and over; its text is left out"),
];
/// The engine's name where no worker was needed any more.
const ENGINE: &str = "whisper.cpp";

/// The phase's model and its worker, from recording to recording.
struct Desk {
    rungs: Rungs,
    /// Whether memory was asked for.
    entered: bool,
    decisions: Decisions,
    turn: Option<Turn<SttService>>,
    /// Everything that workers may have to read.
    audio: Vec<PathBuf>,
    ahead: Option<Ahead>,
}

impl Desk {
    async fn enter(&mut self, run: &mut Run) -> Result<(), JobError> {
        if self.entered {
            self.decisions.tell(run);
            return Ok(());
        }
        let before = Decisions::count(run);
        let entered = self.rungs.enter(run).await;
        self.decisions.learn(run, before);
        self.entered = true;
        entered
    }

    fn turn(&mut self, run: &Run, job: &Job) -> &mut Turn<SttService> {
        let Self { rungs, turn, audio, .. } = self;
        turn.get_or_insert_with(|| {
            let Candidate { model, on_gpu, windows, .. } = rungs.current();
            let is_unusual = !SpeechUse::of(job).is_usual(*windows);
            let mut service = SttService::new(run.host.clone(), model.clone(), job.audio.clone(), job.threads);
            service.set_recordings(audio.clone());
            service.set_detector(match &job.vad {
                Detector::Silero(path) => Detector::Silero(absolute(path)),
                Detector::Energy => Detector::Energy,
            });
            service.set_yields(rungs.yields(&run.host.memory));
            // Where no device was asked for, the worker computes where it was built to.
            service.set_cpu_only(job.resources.device.is_some() && !on_gpu);
            service.set_exact_tokens(job.resources.exact.map(|exact| exact.window_tokens));
            Turn::begin(Phase::Stt, model.clone(), service).unusual(is_unusual)
        })
    }

    /// Ends the model's turn, if there is one.
    async fn close(&mut self, host: &Host, sign: &Sign) -> Option<Closed> {
        let turn = self.turn.take()?;
        Some(turn.close(host, sign, self.rungs.current().need, None).await)
    }

    async fn step_down(&mut self, run: &mut Run, exit: WorkerExit) -> Result<(), JobError> {
        let before = Decisions::count(run);
        let stepped = self.rungs.step_down(run, exit).await;
        self.decisions.learn(run, before);
        stepped
    }
}

/// Transcribes one recording after the other with one worker; what became of each is written into it. What can be done
/// beforehand for the next phase is done beside it. Returns the next phase's worker, if it was started early.
pub(super) async fn phase(recordings: &mut [Recording<'_>], rungs: Rungs, early: Option<Early>) -> Option<LlmService> {
    let Recording { run, .. } = recordings.first()?;
    let (host, sign) = (run.host.clone(), run.sign.clone());
    let audio = recordings.iter().map(|recording| recording.audio.clone()).collect();
    let (successor, ahead) = early.map_or((None, None), |early| (early.successor, Some(early.ahead)));
    let mut desk = Desk { rungs, entered: false, decisions: Decisions::default(), turn: None, audio, ahead };
    for at in 0..recordings.len() {
        let (earlier, rest) = recordings.split_at_mut(at);
        let Some((recording, later)) = rest.split_first_mut() else { break };
        recording.run.take_turn();
        match transcribe(earlier, recording, &mut desk).await {
            Ok(material) => recording.material = material,
            Err(error) if error.ends_phase() => {
                later.iter_mut().for_each(|recording| desk.decisions.tell(&mut recording.run));
                fail_all(rest, error);
                break;
            }
            Err(error) => recording.result = Err(error),
        }
    }
    let is_wanted = recordings.iter().any(|recording| recording.result.is_ok() && !recording.material.lines.is_empty());
    let successor = successor.filter(|_| is_wanted && desk.turn.is_some());
    let started = async {
        match successor {
            Some(successor) => successor.start().await,
            None => None,
        }
    };
    // While this phase's worker is ending.
    let (started, closed) = tokio::join!(started, desk.close(&host, &sign));
    if let Some(closed) = closed {
        closed.enter(recordings.iter_mut().map(|recording| &mut recording.run));
    }
    started
}

/// What there is to summarise; no lines when nobody spoke.
async fn transcribe(
    earlier: &mut [Recording<'_>],
    recording: &mut Recording<'_>,
    desk: &mut Desk,
) -> Result<Material, JobError> {
    let Recording { run, job, audio, names, keeping, .. } = recording;
    let mut listener = Listener::new(run, audio, keeping);
    listener.replay();
    if listener.keeping.progress.stt_done.is_some() {
        return settle(run, job, names, listener);
    }
    desk.enter(run).await?;
    loop {
        let candidate = desk.rungs.current().clone();
        let ahead = desk.ahead.clone();
        let turn = desk.turn(run, job);
        turn.service.turn_to(audio.clone());
        turn.service.set_options(job.speech.clone());
        turn.service.set_windows(candidate.windows);
        let before = turn.service.facts().process;
        let mut recovery = Recovery::new(Phase::Stt, RestartLimits::default());
        run.sign.with(|sign| sign.working(Phase::Stt, &candidate.model.name, None));
        let work = Work { job, candidate: &candidate, ahead: ahead.as_ref() };
        let done = work.persist(run, &mut turn.service, &mut listener, &mut recovery).await;
        match done {
            Ok(()) => {
                let result = settle(run, job, names, listener);
                turn.share(run, recovery, before, result.is_ok()).await;
                return result;
            }
            Err(JobError::Worker(exit)) if exit.wants_smaller() => {
                recovery.record(&exit, listener.spot());
                turn.share(run, recovery, before, false).await;
                if let Some(closed) = desk.close(&run.host, &run.sign).await {
                    closed.enter(earlier.iter_mut().map(|recording| &mut recording.run).chain([&mut *run]));
                }
                run.take_turn();
                desk.step_down(run, *exit).await?;
            }
            Err(error) => {
                turn.share(run, recovery, before, false).await;
                return Err(error);
            }
        }
    }
}

/// Every window is done: the transcript goes to the disk.
fn settle(run: &mut Run, job: &Job, names: &OutputNames, listener: Listener<'_>) -> Result<Material, JobError> {
    let resumed_at = listener.resumed_at;
    let (transcript, keeping) = listener.finish(job);
    tell_findings(run, keeping, &transcript);
    run.write(&render(&transcript, &job.formats, names))?;
    run.heard = Some(Heard::of(&transcript, resumed_at));
    // What is on disk need not be in memory, while other recordings are at work.
    keeping.progress.windows = Vec::new();
    let lines = if transcript.is_empty() { Vec::new() } else { output::text::lines(&transcript) };
    Ok(Material { lines, language: Some(transcript.language).filter(|language| !language.is_empty()) })
}

/// One recording and the model that hears it.
struct Work<'a> {
    job: &'a Job,
    candidate: &'a Candidate,
    ahead: Option<&'a Ahead>,
}

impl Work<'_> {
    /// Runs workers until one reaches the end of the recording.
    async fn persist(
        &self,
        run: &mut Run,
        service: &mut SttService,
        listener: &mut Listener<'_>,
        recovery: &mut Recovery,
    ) -> Result<(), JobError> {
        loop {
            let before = listener.keeping.progress.next_unit();
            recovery.crowd(service.windows() > NonZeroU8::MIN);
            let failure = match self.attempt(run, service, listener).await {
                Ok(output) => return listener.complete(output),
                Err(failure) => failure,
            };
            run.ledger.warnings.append(&mut listener.keeping.take_told());
            if listener.keeping.progress.next_unit() > before {
                recovery.progressed();
            }
            let device = service.facts().report.as_ref().map(|report| report.device.clone());
            let spot = listener.spot();
            match recovery.after(run, failure, spot, device.as_deref()).await? {
                Next::Again => {}
                Next::Skip(unit) => listener.leave_out(unit),
            }
            if recovery.cpu_only() {
                service.set_cpu_only(true);
            }
            if recovery.one_at_a_time() {
                service.set_windows(NonZeroU8::MIN);
            }
        }
    }

    async fn attempt(
        &self,
        run: &mut Run,
        service: &mut SttService,
        listener: &mut Listener<'_>,
    ) -> Result<SttOutput, JobError> {
        let Self { job, candidate, ahead } = self;
        let (model, on_cpu) = (&candidate.model, !candidate.on_gpu);
        listener.open = None;
        service.load_model().await?;
        run.sign.with(|sign| sign.working(Phase::Stt, &model.name, service.facts().pid));
        run.checkpoint("stt_loaded");
        run.tell_of_sandbox(Phase::Stt, service.facts());
        if let Some(ahead) = ahead {
            ahead.begin();
        }
        if let Some(report) = &service.facts().report {
            listener.engine.clone_from(&report.engine);
            check_device(
                WorkerKind::Stt,
                job.resources.device.filter(|device| !on_cpu || *device == Device::Cpu),
                report,
            )?;
        }
        listener.written_by(model);
        let first_unit = listener.keeping.progress.next_unit();
        service.transcribe(job.language.clone(), first_unit, |update| listener.hear(update)).await
    }
}

/// What the user should know about the result.
fn tell_findings(run: &mut Run, keeping: &mut Keeping, transcript: &Transcript) {
    run.ledger.warnings.append(&mut keeping.take_told());
    for damaged in keeping.progress.windows.iter().flat_map(|window| &window.damaged) {
        let at = clock(damaged.at);
        run.warn("damaged_audio", format!("at {at}: {}; what could be read was transcribed", damaged.detail));
    }
    for stretch in &transcript.gaps {
        let (start, end) = (clock(stretch.start), clock(stretch.end));
        run.warn("gap", format!("{start} to {end} is missing in the transcript: the worker died of it twice"));
    }
    for (reason, code, why) in LOSSES {
        let lost: Vec<&Stretch> = transcript.dropped.iter().filter(|stretch| stretch.reason == reason.name()).collect();
        let Some(first) = lost.first() else { continue };
        let (start, end) = (clock(first.start), clock(first.end));
        let more = if lost.len() > 1 { format!(" and {} more stretches", lost.len() - 1) } else { String::new() };
        run.warn(code, format!("{start} to {end}{more}: {why}"));
    }
    if transcript.is_empty() {
        let found = transcript.dropped.iter().any(|stretch| stretch.suspect);
        let message = if found { "no words were found in what may be speech" } else { "no speech was found" };
        run.warn("no_speech", format!("{message}; the transcript is empty"));
    }
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

/// A window that the worker is at.
struct OpenWindow {
    window: Window,
    start: f64,
    end: f64,
}

/// Turns what workers tell into records, a transcript and events. A window counts as a whole or not at all.
struct Listener<'run> {
    events: EventSink,
    sign: Sign,
    keeping: &'run mut Keeping,
    transcript: Transcript,
    open: Option<OpenWindow>,
    engine: String,
    /// Seconds that an earlier run has done.
    resumed_at: f64,
}

impl<'run> Listener<'run> {
    fn new(run: &Run, audio: &Path, keeping: &'run mut Keeping) -> Self {
        let transcript = Transcript { audio_path: audio.to_string_lossy().into_owned(), ..Transcript::default() };
        let (events, sign) = (run.host.events.clone(), run.sign.clone());
        Self { events, sign, keeping, transcript, open: None, engine: ENGINE.to_owned(), resumed_at: 0.0 }
    }

    /// Takes over what an earlier run has done, and tells it as if it happened now.
    fn replay(&mut self) {
        let done = self.keeping.progress.next_unit();
        if done == 0 {
            return;
        }
        let windows = std::mem::take(&mut self.keeping.progress.windows);
        for window in &windows {
            self.add(window);
        }
        self.keeping.progress.windows = windows;
        let reached = self.transcript.segments.last().map_or(0.0, |segment| segment.end);
        self.resumed_at = self.keeping.progress.stt_done.as_ref().map_or(reached, |done| done.duration);
        let place = if self.keeping.progress.stt_done.is_some() { "the summary".to_owned() } else { clock(reached) };
        self.events.warn("resumed", format!("continuing an earlier run at {place}; {done} windows were done"));
    }

    fn add(&mut self, window: &Window) {
        for segment in &window.segments {
            self.transcript.push(segment);
            let Some(kept) = self.transcript.segments.last() else { continue };
            self.events.send(Event::Segment {
                id: kept.id,
                start: kept.start,
                end: kept.end,
                text: kept.text.clone(),
                confidence: kept.confidence,
            });
        }
    }

    /// From here on this model writes.
    fn written_by(&mut self, model: &Model) {
        let model = ModelUsed::from(model);
        if self.keeping.progress.models.last().is_none_or(|(_, last)| *last != model) {
            // Nothing is misplaced while the transcript is not complete.
            let _ = self.keeping.keep(Record::Model(model));
        }
    }

    fn hear(&mut self, update: Update<SttItem>) -> Result<(), String> {
        match update {
            Update::UnitStarted { unit, start, end } => {
                let window = Window { start: Some(start), ..Window::new(unit) };
                self.open = Some(OpenWindow { window, start, end });
            }
            Update::Item(SttItem::Audio(info)) => {
                if self.keeping.progress.audio.is_none() {
                    self.keeping.keep(Record::Audio(info)).map_err(|error| error.to_string())?;
                }
            }
            Update::Item(item) => {
                let open = self.open.as_mut().ok_or("an item came outside of any window")?;
                open.window.hear(item);
            }
            Update::UnitDone(_) => {
                if let Some(OpenWindow { window, .. }) = self.open.take() {
                    self.keeping.keep(Record::Window(window.clone())).map_err(|error| error.to_string())?;
                    self.add(&window);
                }
            }
            Update::Progress { done, total } => {
                let total = total.map(|total| total.max(done));
                if let Some(total) = total.filter(|total| *total > 0.0) {
                    self.sign.with(|sign| sign.progress(done / total));
                }
                self.events.send(Event::Progress { phase: Phase::Stt, done, total, unit: ProgressUnit::Seconds });
            }
        }
        Ok(())
    }

    /// Where a worker was when it died.
    fn spot(&self) -> Option<Spot> {
        self.open.as_ref().map(|open| Spot {
            unit: open.window.unit,
            name: format!("window {} ({} to {})", open.window.unit, clock(open.start), clock(open.end)),
        })
    }

    /// Marks the window that killed its workers.
    fn leave_out(&mut self, unit: u64) {
        let Some(OpenWindow { start, end, .. }) = self.open.take() else { return };
        // It follows the last one that was kept: anything else was refused when it began.
        let _ = self.keeping.keep(Record::Gap(Gap { unit, start, end, reason: GAP_REASON.to_owned() }));
    }

    fn complete(&mut self, output: SttOutput) -> Result<(), JobError> {
        self.keeping.keep(Record::SttDone(SttDone::from(output))).map_err(JobError::Account)
    }

    fn finish(mut self, job: &Job) -> (Transcript, &'run mut Keeping) {
        let model = &job.stt;
        let progress = &self.keeping.progress;
        if let Some(done) = &progress.stt_done {
            self.transcript.sample_rate = done.sample_rate;
            self.transcript.duration = done.duration;
            self.transcript.language.clone_from(&done.language);
        }
        let requested = || ModelUsed::from(&Model { path: absolute(&model.path), ..model.clone() });
        let last = progress.models.last().map_or_else(requested, |(_, model)| model.clone());
        self.transcript.stt = SttUsed {
            engine: std::mem::take(&mut self.engine),
            model_name: last.name,
            model_path: last.path,
            model_requested: job.stt.requested.clone(),
            vad: job.vad.name().to_owned(),
            models: stretches(progress, self.transcript.duration),
        };
        let gap = |gap: &Gap| Stretch { start: gap.start, end: gap.end, reason: gap.reason.clone(), suspect: false };
        self.transcript.gaps = progress.gaps.iter().map(gap).collect();
        let dropped = progress.windows.iter().flat_map(|window| &window.dropped);
        self.transcript.dropped = dropped
            .map(|dropped| Stretch {
                start: dropped.start,
                end: dropped.end,
                reason: dropped.reason.name().to_owned(),
                suspect: dropped.reason.is_loss(),
            })
            .collect();
        (self.transcript, self.keeping)
    }
}

/// Which model wrote from when to when; nothing where one wrote it all.
fn stretches(progress: &Progress, duration: f64) -> Vec<ModelStretch> {
    if progress.models.len() < 2 {
        return Vec::new();
    }
    let start = |unit: u64| {
        let windows = progress.windows.iter().filter(|window| window.unit >= unit).filter_map(|window| window.start);
        let gaps = progress.gaps.iter().filter(|gap| gap.unit >= unit).map(|gap| gap.start);
        windows.chain(gaps).fold(duration, f64::min)
    };
    let starts: Vec<f64> = progress.models.iter().map(|(unit, _)| start(*unit)).collect();
    let ends = starts.iter().skip(1).copied().chain([duration]);
    let models = progress.models.iter().map(|(_, model)| model.name.clone());
    models
        .zip(starts.iter().zip(ends))
        .map(|(model_name, (from, to))| ModelStretch { model_name, from: *from, to })
        .collect()
}
