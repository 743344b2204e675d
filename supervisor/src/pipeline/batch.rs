//! Several recordings, phase by phase, so that each model is loaded once for all of them. One recording is a batch of
//! one.
//!
//! ```text
//!  all are looked at ─► those that fail at sight are closed ─► speech: 1, 2, 3 … ─► closed without a summary to come
//!  nothing is started yet: files, headers, journals             one worker             │
//!                                                              summaries: 1, 3 … ─► closed
//!                                                              one worker
//! ```
//!
//! Each recording has its own journal, lock, outputs, ledger and end. What fails for one (its audio, its folder, a part
//! that kills workers) is its own failure, and the others go on. What would befall every other as well
//! ([`JobError::ends_phase`]: no room in memory, a model that cannot be loaded, an interruption) ends the phase for all
//! that still need it; transcripts that were made stay, and journals with them.
//!
//! The worker's memory comes back once, when its phase ends, so a recording is closed no earlier than that.
//!
//! Only jobs that ask for the same models in the same way share workers. Others follow as a batch of their own.
//! What memory did over time is a batch's: the ledger of each recording has all of it up to the moment when the
//! recording was closed, as its figures are those of workers that served the others as well.

use std::path::{Path, PathBuf};

use super::ahead::{Ahead, Early, Successor};
use super::keeping::{self, Keeping};
use super::material::Material;
use super::rungs::Rungs;
use super::{Job, Run, RunReport, Supervisor, absolute, finish, llm, notes_beside, speech_rungs, stt, summary_rungs};
use crate::errors::JobError;
use crate::event::{Event, EventSink, Phase};
use crate::input;
use crate::output::{self, OutputNames};
use crate::stop::Stop;

/// One recording on its way.
#[derive(Debug)]
pub(super) struct Recording<'job> {
    pub(super) run: Run,
    pub(super) job: &'job Job,
    pub(super) audio: PathBuf,
    pub(super) names: OutputNames,
    pub(super) keeping: Keeping,
    pub(super) material: Material,
    /// What somebody wrote down by hand.
    notes: Vec<String>,
    pub(super) result: Result<(), JobError>,
}

/// What ended a phase for all of these.
pub(super) fn fail_all(recordings: &mut [Recording<'_>], error: JobError) {
    let errors = error.shared_by(recordings.len());
    for (recording, error) in recordings.iter_mut().zip(errors) {
        recording.result = Err(error);
    }
}

/// Where reports go.
struct Reports<'a, Told> {
    stop: &'a Stop,
    closed: Vec<Option<RunReport>>,
    told: Told,
}

impl<Told: FnMut(usize, &RunReport)> Reports<'_, Told> {
    fn close(&mut self, at: usize, report: RunReport) {
        (self.told)(at, &report);
        self.closed[at] = Some(report);
    }
}

/// Runs all jobs to their ends; the reports are in the order of the jobs. `told` hears of each as soon as it is closed.
pub(super) async fn run(
    supervisor: &Supervisor,
    jobs: &[Job],
    events: EventSink,
    stop: &Stop,
    told: impl FnMut(usize, &RunReport) + Send,
) -> Vec<RunReport> {
    let Some(first) = jobs.first() else { return Vec::new() };
    let events = if jobs.len() > 1 { events.of_several() } else { events };
    let begin = supervisor.begin(&absolute(&first.audio), events, stop);
    let mut reports = Reports { stop, closed: jobs.iter().map(|_| None).collect(), told };
    let mut sound = Vec::new();
    let mut looked_at: Vec<_> = jobs.iter().enumerate().map(|(at, job)| (at, job, supervisor.check(job))).collect();
    // What fails at sight is told first.
    looked_at.sort_by_key(|(.., names)| names.is_ok());
    for (at, job, names) in looked_at {
        let run = begin.of(at, absolute(&job.audio));
        if let Some(recording) = open(run, job, names, &mut reports) {
            sound.push(recording);
        }
    }
    while let Some(first) = sound.first() {
        let wanted = first.job;
        let alike = sound.iter().take_while(|recording| is_alike(recording.job, wanted)).count();
        let others = sound.split_off(alike);
        run_alike(std::mem::replace(&mut sound, others), &mut reports).await;
        begin.host.events.begin_timeline_anew();
    }
    reports.closed.into_iter().flatten().collect()
}

/// Whether workers that serve one can serve the other.
fn is_alike(one: &Job, other: &Job) -> bool {
    fn of(job: &Job) -> impl PartialEq {
        (&job.stt, &job.llm, &job.vad, job.threads, job.resources)
    }
    of(one) == of(other)
}

/// Begins with one that was looked at, and opens its journal; what fails here is closed at once.
fn open<'job>(
    mut run: Run,
    job: &'job Job,
    names: Result<OutputNames, JobError>,
    reports: &mut Reports<'_, impl FnMut(usize, &RunReport)>,
) -> Option<Recording<'job>> {
    run.take_turn();
    run.host.events.send(Event::RunStarted {
        audio_path: run.ledger.audio_path.clone(),
        stt: Some(job.stt.name.clone()),
        llm: job.llm.as_ref().map(|model| model.name.clone()),
        output_dir: names.as_ref().map(|names| names.dir.to_string_lossy().into_owned()).unwrap_or_default(),
    });
    let (at, audio) = (run.at, run.subject.clone());
    let opened = names.and_then(|names| {
        let unreadable = |source| JobError::Input(input::InputError::Unreadable { path: job.audio.clone(), source });
        let header = keeping::header(&audio, job).map_err(unreadable)?;
        Ok((Keeping::open(&names, &header, job.resume, run.host.events.clone())?, names))
    });
    let (keeping, names) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            reports.close(at, finish(run, Err(error), reports.stop, None, None));
            return None;
        }
    };
    // The journal is locked: nobody else writes these outputs.
    output::remove_leftovers(&names.dir, &targets(job, &names), std::time::SystemTime::now());
    run.checkpoint("start");
    Some(Recording {
        run,
        job,
        audio,
        names,
        keeping,
        material: Material::default(),
        notes: Vec::new(),
        result: Ok(()),
    })
}

/// Everything that a job may write.
pub(super) fn targets(job: &Job, names: &OutputNames) -> Vec<PathBuf> {
    let transcripts = job.formats.iter().map(|format| names.path(*format));
    transcripts.chain([names.run(), names.summary()]).collect()
}

/// Both phases, for recordings whose jobs are alike.
async fn run_alike(
    mut recordings: Vec<Recording<'_>>,
    reports: &mut Reports<'_, impl FnMut(usize, &RunReport) + Send>,
) {
    let Some(first) = recordings.first_mut() else { return };
    first.run.take_turn();
    let (speech, summary, early) = match prepare(first) {
        Ok(prepared) => prepared,
        Err(error) => {
            fail_all(&mut recordings, error);
            recordings.into_iter().for_each(|recording| recording.close(reports));
            return;
        }
    };
    let started = stt::phase(&mut recordings, speech, early).await;
    let mut talks = Vec::new();
    for mut recording in recordings {
        if recording.is_to_be_summarised() {
            talks.push(recording);
        } else {
            recording.close(reports);
        }
    }
    if let Some(rungs) = summary {
        let tasks = talks.iter_mut().map(Recording::task).collect();
        let results = llm::phase(rungs, started, tasks).await;
        talks.iter_mut().zip(results).for_each(|(recording, result)| recording.result = result);
    }
    talks.into_iter().for_each(|recording| recording.close(reports));
}

/// Both phases are looked at before anything is started for either. Gives both ladders, and what can be done for the
/// summary beforehand.
fn prepare(first: &mut Recording<'_>) -> Result<(Rungs, Option<Rungs>, Option<Early>), JobError> {
    let Recording { run, job, .. } = first;
    run.account_for_threads(job.threads);
    let speech = speech_rungs(run, job)?;
    let Some(model) = &job.llm else { return Ok((speech, None, None)) };
    let summary = summary_rungs(run, model, &job.resources)?;
    run.has_a_chance(Phase::Llm, summary.candidates(), summary.wish())?;
    let is_early = !run.host.memory.explicit_lifecycle;
    let model = &summary.current().model;
    let successor = is_early.then(|| Successor::new(llm::service(run, model, job.threads, &job.resources)));
    let reserved = speech.current().need.total() + summary.current().need.total();
    let ahead = Ahead::new(model.path.clone(), reserved, run.host.memory.thresholds.warning);
    Ok((speech, Some(summary), Some(Early { successor, ahead })))
}

impl Recording<'_> {
    fn is_to_be_summarised(&mut self) -> bool {
        if self.result.is_err() || self.job.llm.is_none() {
            return false;
        }
        self.run.take_turn();
        if self.material.lines.is_empty() {
            self.run.warn("no_summary", "there is no text to summarise");
            return false;
        }
        self.notes = notes_beside(&mut self.run, &self.audio, &self.names.stem);
        true
    }

    fn task(&mut self) -> llm::Task<'_> {
        let Self { run, job, names, keeping, material, notes, .. } = self;
        let order = llm::Order {
            lines: &material.lines,
            notes,
            language: job.language.as_deref().or(material.language.as_deref()),
            seed: job.seed,
            threads: job.threads,
            resources: job.resources,
            target: names.summary(),
        };
        llm::Task { run, order, keeping: Some(keeping) }
    }

    /// Closes the account. The journal goes once the ledger is written: a run that is killed before that has left
    /// something undone, and the next one must find all the rest done.
    fn close(self, reports: &mut Reports<'_, impl FnMut(usize, &RunReport)>) {
        let Self { mut run, names, mut keeping, result, .. } = self;
        run.take_turn();
        run.ledger.warnings.append(&mut keeping.take_told());
        // What an unfinished run has done is kept for the next one; a journal of nothing is litter.
        run.ledger.resumable = result.is_err() && keeping.is_of_use();
        let at = run.at;
        let ledger: &Path = &names.run();
        reports.close(at, finish(run, result, reports.stop, Some(ledger), Some(keeping)));
    }
}
