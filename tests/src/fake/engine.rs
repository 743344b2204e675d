//! Engines without a model: fixed words out, and at every step what the script says.

use meetcap_protocol::payload::llm::{
    Finish, Llm, LlmCount, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmParts, LlmPlanReport, LlmPlanRequest, LlmSize,
};
use meetcap_protocol::payload::stt::{AudioInfo, Segment, Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::runtime::{Engine, JobContext, LoadContext};
use meetcap_protocol::{FromWorker, LoadReport, Spoken, WorkerFault};

use super::lies::{self, Lie};
use super::{Script, Scripted, Step};

/// Windows of a recording, a second each, when the script has no other number.
pub const WINDOWS: u64 = 3;

/// What is heard in a window.
pub fn window_text(window: u64) -> String {
    format!("This is window {window}.")
}

/// What is answered to every transcript.
pub const ANSWER: &str = "## Meeting Title\nScriptedMeeting\n\n## Summary\nThe team discussed the script.\n\n\
    ## Participants\n- Alice\n\n## Key Discussion Points\n- the script is short\n\n## Decisions Made\n\
    - ship the script\n\n## Action Items\n- [ ] Alice — write the report (due: Friday)\n\n\
    ## Notable Quotes\nnone\n\n## Meeting Tone\nconstructive";

/// Speech.
#[derive(Debug)]
pub struct FakeStt {
    script: Script,
}

impl FakeStt {
    pub fn new(script: Script) -> Self {
        Self { script }
    }
}

fn loaded(context: &impl Fn(f32)) -> LoadReport {
    for quarter in 0..=4_u8 {
        context(f32::from(quarter) / 4.0);
    }
    LoadReport { engine: "fake".to_owned(), device: "cpu".to_owned() }
}

impl Engine for FakeStt {
    type Role = Stt;

    fn plan(&mut self, (): &()) -> Result<(), WorkerFault> {
        self.script.act(&Step::Plan)
    }

    fn load(&mut self, _load: &SttLoad, context: &LoadContext<Stt>) -> Result<LoadReport, WorkerFault> {
        self.script.act(&Step::Load)?;
        Ok(loaded(&|fraction| context.progress(fraction)))
    }

    fn process(&mut self, job: &SttJob, context: &JobContext<Stt>) -> Result<SttOutput, WorkerFault> {
        let recording = job.audio.to_path();
        let name = recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.script.act(&Step::Job(name.clone()))?;
        let windows = self.script.windows();
        let duration = windows as f64;
        context.item(SttItem::Audio(AudioInfo { sample_rate: 16_000, channels: 1, duration: Some(duration) }));
        for window in job.first_unit..windows {
            let start = window as f64;
            context.unit_started(window, start, start + 1.0);
            self.script.act(&Step::Window(window))?;
            self.script.act(&Step::WindowOf(window, name.clone()))?;
            context.cancel().check()?;
            let text = Spoken(window_text(window));
            match self.script.drops(window) {
                Some(reason) => context.item(SttItem::Dropped { start, end: start + 1.0, reason }),
                None => {
                    let segment = Segment { confidence: Some(0.5), ..Segment::new(start, start + 1.0, text) };
                    context.item(SttItem::Segment(segment));
                }
            }
            context.progress(start + 1.0, Some(duration));
            context.unit_done(window)?;
        }
        Ok(SttOutput { duration, units: windows, ..Self::output() })
    }

    fn unload(&mut self) {
        let _ = self.script.act(&Step::Unload);
    }
}

impl Scripted for FakeStt {
    fn report((): &()) {}

    /// Of a recording without a window.
    fn output() -> SttOutput {
        SttOutput { sample_rate: 16_000, duration: 0.0, language: "en".to_owned(), units: 0 }
    }

    fn honest() -> (Vec<FromWorker<Stt>>, SttOutput) {
        lies::honest_speech()
    }

    fn lie(name: &str) -> Option<Lie<Stt>> {
        lies::of_speech(name)
    }
}

/// Ten tokens in every line; of set-ups, what `size` says of each.
fn planned(request: &LlmPlanRequest, size: impl Fn(usize) -> u64) -> LlmPlanReport {
    match request {
        LlmPlanRequest::Count { notes, lines, .. } => LlmPlanReport::Counted(LlmCount {
            trained_context: 8192,
            instructed: true,
            overhead: 50,
            notes: vec![10; notes.len()],
            lines: vec![10; lines.len()],
            ..LlmCount::default()
        }),
        LlmPlanRequest::Size { setups, .. } => {
            let size = |index| LlmSize {
                host: LlmParts { weights: size(index), ..LlmParts::default() },
                gpu: LlmParts::default(),
            };
            LlmPlanReport::Sized((0..setups.len()).map(size).collect())
        }
    }
}

/// A summary that says what it was asked.
fn echo(job: &LlmJob) -> String {
    let joined = |lines: &[Spoken]| lines.iter().map(|line| line.0.as_str()).collect::<Vec<_>>().join(" / ");
    let (subject, notes, lines) = (job.subject, joined(&job.notes), joined(&job.lines));
    format!("## Meeting Title\nEcho\n\n## Summary\n{subject:?}; notes: {notes}; lines: {lines}\n")
}

/// Summaries.
#[derive(Debug)]
pub struct FakeLlm {
    script: Script,
    chunk: u64,
}

impl FakeLlm {
    pub fn new(script: Script) -> Self {
        Self { script, chunk: 0 }
    }
}

impl Engine for FakeLlm {
    type Role = Llm;

    fn plan(&mut self, request: &LlmPlanRequest) -> Result<LlmPlanReport, WorkerFault> {
        if matches!(request, LlmPlanRequest::Count { .. }) {
            self.script.act(&Step::Plan)?;
        }
        Ok(planned(request, |index| self.script.size(index)))
    }

    fn load(&mut self, _load: &LlmLoad, context: &LoadContext<Llm>) -> Result<LoadReport, WorkerFault> {
        self.script.act(&Step::Load)?;
        Ok(loaded(&|fraction| context.progress(fraction)))
    }

    fn process(&mut self, job: &LlmJob, context: &JobContext<Llm>) -> Result<LlmOutput, WorkerFault> {
        let chunk = self.chunk;
        self.chunk += 1;
        self.script.act(&Step::Window(chunk))?;
        let reply = self.script.reply(chunk, job.subject);
        context.progress(80.0, Some(160.0));
        let answer = match reply.map(|reply| &reply.text[..]) {
            None => ANSWER.to_owned(),
            Some("echo") => echo(job),
            Some(text) => text.to_owned(),
        };
        for delta in answer.split_inclusive(' ') {
            context.cancel().check()?;
            context.item(LlmItem::Delta(delta.into()));
        }
        context.progress(140.0, Some(160.0));
        let finish = reply.map_or(Finish::EndOfText, |reply| reply.finish);
        let output = LlmOutput { finish, ..Self::output() };
        Ok(if finish == Finish::NoRoom { LlmOutput { answer_tokens: 0, ..output } } else { output })
    }

    fn unload(&mut self) {
        let _ = self.script.act(&Step::Unload);
    }
}

impl Scripted for FakeLlm {
    fn report(request: &LlmPlanRequest) -> LlmPlanReport {
        planned(request, |_| 3 << 20)
    }

    fn honest() -> (Vec<FromWorker<Llm>>, LlmOutput) {
        lies::honest_answer()
    }

    fn lie(name: &str) -> Option<Lie<Llm>> {
        lies::of_summaries(name)
    }

    fn output() -> LlmOutput {
        LlmOutput { finish: Finish::EndOfText, prompt_tokens: 80, thought_tokens: 0, answer_tokens: 60 }
    }
}
