//! Where somebody speaks, by Silero's network in whisper.cpp.
//!
//! whisper.cpp gives a probability for each [`WINDOW`] of 32 ms. Its network remembers what it heard, and every call
//! (`whisper_vad_detect_speech`) begins without memory. So a recording is heard in chunks, each with what lies before
//! it as lead-in, whose probabilities are not used:
//!
//! ```text
//!  recording   │ chunk 0       │ chunk 1       │ chunk 2  │
//!  call 0      ╞═══════════════╡
//!  call 1               ├──────╞═══════════════╡
//!  call 2                               ├──────╞══════════╡        ├ LEAD ╞ CHUNK
//! ```
//!
//! Chunks lie where they lie in the recording whatever the portions it arrives in, so that a job that is resumed hears
//! the same. Whoever changes them, or the thresholds, raises `meetcap_protocol::payload::stt::WINDOW_RULE`.
//!
//! Probabilities become one truth a [`FRAME`] for [`crate::vad::Segmenter`]: five windows are eight frames, and a frame
//! that reaches into a window with a voice is loud.
//!
//! Failures: `ModelMissing` and `ModelInvalid` name the detector's file; `Engine`, when it gives what is no probability.
//! Never is another detector used in its place. Memory: a chunk and its lead-in, twice while it is heard.

use std::collections::VecDeque;

use meetcap_protocol::runtime::{Cancel, OpenModel};
use meetcap_protocol::{FaultKind, ModelFile, WorkerFault};
use whisper_rs::WhisperVadContext;

use crate::loader::{Source, Watch};
use crate::vad::FRAME;
use crate::{native, vad_file};

/// Samples of a probability (32 ms).
const WINDOW: usize = 512;
/// Samples that are decided about at once (8 s): whole windows and whole frames.
const CHUNK: usize = 250 * WINDOW;
/// Samples heard before them (4 s): what the network remembers of the seconds before is nearly all of it.
const LEAD: usize = 125 * WINDOW;
const _: () = assert!(CHUNK.is_multiple_of(FRAME));

/// A voice begins at this probability, and ends below the other: Silero's own.
const BEGINS: f32 = 0.5;
const ENDS: f32 = 0.35;

/// What gives a probability for each [`WINDOW`], the last of which may be shorter.
pub(crate) trait Network {
    fn probabilities(&mut self, samples: &[f32]) -> Result<&[f32], WorkerFault>;
}

/// A loaded network.
pub(crate) struct Vad {
    context: WhisperVadContext,
    name: String,
}

impl Vad {
    /// Reads the network into memory.
    pub(crate) fn load(file: &ModelFile) -> Result<Self, WorkerFault> {
        let own = |fault: WorkerFault| WorkerFault::new(fault.kind, format!("voice detector {}", fault.detail));
        let model = OpenModel::open(file).map_err(own)?;
        let name = model.path().display().to_string();
        let invalid = |why: &str| {
            let detail = format!("voice detector {name}: {why}; fetch it again, or pass --vad energy");
            WorkerFault::new(FaultKind::ModelInvalid, detail)
        };
        vad_file::check(model.rewound()?, model.length()).map_err(|why| invalid(&why))?;
        // It is read in no time: nothing to watch.
        let watch = Watch { progress: &|_| (), cancel: &Cancel::default() };
        let mut source = Source::new(&model, &watch)?;
        let context = source.lend(native::detector);
        source.verdict().map_err(own)?;
        let context = context.ok_or_else(|| invalid("whisper.cpp does not take it"))?;
        Ok(Self { context, name })
    }
}

impl Network for Vad {
    fn probabilities(&mut self, samples: &[f32]) -> Result<&[f32], WorkerFault> {
        let fault = |name: &str, why: &str| {
            let detail = format!("voice detector {name}: {why}; fetch it again, or pass --vad energy");
            WorkerFault::new(FaultKind::Engine { code: 0 }, detail)
        };
        let windows = samples.len().div_ceil(WINDOW);
        if windows == 0 {
            return Ok(&[]);
        }
        if self.context.detect_speech(samples).is_err() {
            return Err(fault(&self.name, "whisper.cpp failed to compute it"));
        }
        let found = self.context.probabilities();
        if found.len() != windows || !found.iter().all(|probability| (0.0..=1.0).contains(probability)) {
            return Err(fault(&self.name, "what it gives are no probabilities"));
        }
        Ok(found)
    }
}

/// Tells of each frame whether somebody speaks in it, up to [`CHUNK`] later.
pub(crate) struct Listener<'network> {
    network: &'network mut dyn Network,
    /// The lead-in, then what is not judged.
    samples: Vec<f32>,
    /// Length of the lead-in.
    lead: usize,
    /// In the last window that was judged.
    is_voice: bool,
    /// Of the frames that are next.
    judged: VecDeque<bool>,
    finished: bool,
}

impl<'network> Listener<'network> {
    pub(crate) fn new(network: &'network mut dyn Network) -> Self {
        let (samples, judged) = (Vec::new(), VecDeque::new());
        Self { network, samples, lead: 0, is_voice: false, judged, finished: false }
    }

    /// Takes a frame; only the last may be shorter.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        // Some decoders give what is no number; the network would remember it.
        self.samples.extend(frame.iter().map(|sample| if sample.is_finite() { *sample } else { 0.0 }));
    }

    /// No more frames will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether somebody speaks in the next frame; `None` until it is certain.
    pub(crate) fn judge(&mut self) -> Result<Option<bool>, WorkerFault> {
        let new = self.samples.len() - self.lead;
        if self.judged.is_empty() && (new >= CHUNK || self.finished && new > 0) {
            self.hear(new.min(CHUNK))?;
        }
        Ok(self.judged.pop_front())
    }

    /// Judges so many samples, which become the next ones' lead-in.
    fn hear(&mut self, new: usize) -> Result<(), WorkerFault> {
        let end = self.lead + new;
        let found = self.network.probabilities(&self.samples[..end])?;
        let is_voice = &mut self.is_voice;
        let voices: Vec<bool> = found[self.lead / WINDOW..]
            .iter()
            .map(|&probability| {
                *is_voice = probability >= if *is_voice { ENDS } else { BEGINS };
                *is_voice
            })
            .collect();
        for start in (0..new).step_by(FRAME) {
            let last = (start + FRAME).min(new) - 1;
            self.judged.push_back(voices[start / WINDOW..=last / WINDOW].contains(&true));
        }
        self.samples.drain(..end - end.min(LEAD));
        self.lead = end.min(LEAD);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Random;

    /// Takes the first sample of each window for its probability, and remembers what it was given.
    #[derive(Default)]
    struct Parrot {
        heard: Vec<Vec<f32>>,
        probabilities: Vec<f32>,
    }

    impl Network for Parrot {
        fn probabilities(&mut self, samples: &[f32]) -> Result<&[f32], WorkerFault> {
            self.heard.push(samples.to_vec());
            self.probabilities = samples.chunks(WINDOW).map(|window| window[0]).collect();
            Ok(&self.probabilities)
        }
    }

    /// A recording with these probabilities, of `rest` samples more.
    fn recording(probabilities: &[f32], rest: usize) -> Vec<f32> {
        let mut samples: Vec<f32> = probabilities.iter().flat_map(|&first| [first; WINDOW]).collect();
        samples.resize(samples.len() + rest, 0.0);
        samples
    }

    fn frames(parrot: &mut Parrot, samples: &[f32]) -> Vec<bool> {
        let (mut listener, mut frames) = (Listener::new(parrot), Vec::new());
        for frame in samples.chunks(FRAME) {
            listener.push(frame);
            frames.extend(std::iter::from_fn(|| listener.judge().expect("it never fails")));
        }
        listener.finish();
        frames.extend(std::iter::from_fn(|| listener.judge().expect("it never fails")));
        frames
    }

    #[test]
    fn every_frame_is_judged_once_by_the_windows_it_reaches_into() {
        for seed in 1..=20 {
            let mut random = Random::new(seed * 77);
            let voices: Vec<bool> = (0..random.below(1200)).map(|_| random.below(3) == 0).collect();
            let probabilities: Vec<f32> = voices.iter().map(|voice| if *voice { 0.9 } else { 0.1 }).collect();
            let samples = recording(&probabilities, random.below(WINDOW));
            let found = frames(&mut Parrot::default(), &samples);
            assert_eq!(found.len(), samples.len().div_ceil(FRAME), "seed {seed}");
            for (frame, found) in found.iter().enumerate() {
                let windows = frame * FRAME / WINDOW..=(frame * FRAME + FRAME - 1) / WINDOW;
                let expected = windows.into_iter().any(|window| voices.get(window) == Some(&true));
                assert_eq!(*found, expected, "seed {seed}, frame {frame}");
            }
        }
    }

    #[test]
    fn every_chunk_is_heard_after_what_lies_before_it() {
        let probabilities: Vec<f32> = (0..700_u16).map(|window| f32::from(window) / 1000.0).collect();
        let mut parrot = Parrot::default();
        frames(&mut parrot, &recording(&probabilities, 100));
        let heard: Vec<(f32, usize)> = parrot.heard.iter().map(|samples| (samples[0], samples.len())).collect();
        assert_eq!(heard, [(0.0, CHUNK), (0.125, LEAD + CHUNK), (0.375, LEAD + 200 * WINDOW + 100)]);
    }

    #[test]
    fn a_voice_goes_on_until_it_is_unlikely_also_from_chunk_to_chunk() {
        let mut probabilities = vec![0.4; 600];
        probabilities[100] = 0.5;
        probabilities[400] = 0.34;
        let found = frames(&mut Parrot::default(), &recording(&probabilities, 0));
        let (first, last) = (found.iter().position(|loud| *loud), found.iter().rposition(|loud| *loud));
        assert_eq!((first, last), (Some(100 * WINDOW / FRAME), Some((400 * WINDOW - 1) / FRAME)));
        assert!(found[160..640].iter().all(|loud| *loud));
    }

    #[test]
    fn what_is_no_number_does_not_reach_the_network() {
        let mut parrot = Parrot::default();
        let found = frames(&mut parrot, &[f32::NAN, f32::INFINITY, 0.25]);
        assert_eq!((found, &parrot.heard), (vec![false], &vec![vec![0.0, 0.0, 0.25]]));
        assert!(frames(&mut Parrot::default(), &[]).is_empty(), "nothing is not heard");
    }

    #[test]
    fn a_file_that_is_no_detector_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let name = file.path().display().to_string();
        let missing = Vad::load(&file.path().with_extension("gone").as_path().into()).err().expect("there is none");
        assert_eq!(missing.kind, FaultKind::ModelMissing);
        let mut bytes = vad_file::tests::silero();
        bytes.truncate(800_000);
        std::fs::write(file.path(), bytes).expect("written");
        let invalid = Vad::load(&file.path().into()).err().expect("it is cut off");
        assert_eq!(invalid.kind, FaultKind::ModelInvalid);
        assert!(invalid.detail.contains(&name) && invalid.detail.contains("--vad energy"), "{}", invalid.detail);
    }

    #[test]
    fn whisper_cpp_loads_what_passes_and_gives_a_probability_for_each_window() {
        crate::native_log::install();
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), vad_file::tests::silero()).expect("written");
        let mut vad = Vad::load(&file.path().into()).expect("it loads");
        // Without any weight everything is as likely as not.
        assert_eq!(vad.probabilities(&vec![0.1; 3 * WINDOW + 7]).expect("it computes"), [0.5; 4]);
        assert_eq!(vad.probabilities(&[]).expect("nothing to compute"), []);
    }

    #[test]
    fn after_its_lead_in_a_network_of_random_weights_gives_what_it_gives_without_a_break() {
        crate::native_log::install();
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), vad_file::tests::silero_of(5)).expect("written");
        let mut vad = Vad::load(&file.path().into()).expect("it loads");
        let samples = crate::noise::speech_like(20.0, 8);
        let whole = vad.probabilities(&samples).expect("it computes").to_vec();
        let start = 100 * WINDOW;
        let part = vad.probabilities(&samples[start..]).expect("it computes")[LEAD / WINDOW..].to_vec();
        let whole = &whole[(start + LEAD) / WINDOW..];
        let off = part.iter().zip(whole).map(|(part, whole)| (part - whole).abs()).fold(0.0, f32::max);
        assert!(part.len() == whole.len() && off < 1e-4, "{off}");
        let (least, most) = whole.iter().fold((1.0_f32, 0.0_f32), |(low, high), &p| (low.min(p), high.max(p)));
        assert!(most - least > 0.01, "it hears something: {least} to {most}");
    }
}
