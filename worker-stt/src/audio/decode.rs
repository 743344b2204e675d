//! Container and codec, by symphonia: a file becomes blocks of mono samples at the file's own rate.
//!
//! The kind of file is found by its content, never by its name. Of several tracks the default audio track is
//! taken, or the first that can be decoded. The container's clock is kept: where packets are missing, silence
//! stands in, so that what follows keeps its time.
//!
//! Failures: see the parent module. A panic inside symphonia is the file's fault, not ours, and is treated as
//! damage.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use meetcap_protocol::payload::stt::AudioInfo;
use meetcap_protocol::{FaultKind, WorkerFault};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3, FORMAT_ID_OGG,
};
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::codecs::{self, Chosen};
use super::mix::Mixer;
use super::priming::Priming;
use super::resample::RATES;
use super::source::Source;
use super::{Damage, mp4, names, unusable};

/// After so many tellings the rest is the same story.
const DAMAGE_TOLD: usize = 16;
/// Errors of the container in a row before the rest is given up.
const CONTAINER_ERRORS: u32 = 16;
/// Containers count time in steps of up to a millisecond, and a first packet may give fewer samples than it says.
/// Below this a difference is not a gap; the smallest packets that get lost whole are longer.
const LEAST_GAP: f64 = 0.05;
/// Damage closer to the last than this is the same damage.
const SAME_DAMAGE: f64 = 1.0;
/// Packets that gave nothing, after which whoever reads is asked whether to go on.
const EMPTY_PACKETS: u32 = 4096;
/// A longer gap is a damaged clock.
const LONGEST_GAP: f64 = 3600.0;
/// All gaps together: a file of a few kilobytes must not become weeks of silence.
const MOST_SILENCE: f64 = 4.0 * 3600.0;
/// A file that is shorter than its header says by more than this was cut off.
const LEAST_SHORTFALL: f64 = 0.5;

/// Seconds by the container's clock and by what was decoded, at the same place.
struct Anchor {
    clock: f64,
    decoded: f64,
}

pub(super) struct Decoder {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    codec: Box<dyn AudioDecoder>,
    track: u32,
    time_base: Option<TimeBase>,
    info: AudioInfo,
    /// What the decoder gives before the recording begins; taken off.
    priming: Priming,
    /// Whether the container's length is a measurement, not an estimate.
    length_is_exact: bool,
    anchor: Option<Anchor>,
    rate: u32,
    /// Seconds before `rate` came to hold, and frames since.
    base: f64,
    frames: u64,
    /// Frames of silence that go before `held`.
    silence: u64,
    /// A decoded block that waits for its turn; empty if none does.
    held: Vec<f32>,
    interleaved: Vec<f32>,
    mixer: Mixer,
    damage: Vec<Damage>,
    damage_left: usize,
    /// Seconds that gaps may still take.
    silence_left: f64,
    /// The container could only be read as a stream: its end, or what it says of it, is not there.
    is_stream: bool,
    last_damage: Option<f64>,
    ended: bool,
}

impl Decoder {
    /// As a file, and if that cannot be, as a stream from front to end.
    pub(super) fn open(path: &Path) -> Result<Self, WorkerFault> {
        let first = match Self::open_as(path, true) {
            Ok(decoder) => return Ok(decoder),
            Err(fault) => fault,
        };
        let mut decoder = Self::open_as(path, false).map_err(|_| first)?;
        decoder.is_stream = true;
        Ok(decoder)
    }

    fn open_as(path: &Path, seekable: bool) -> Result<Self, WorkerFault> {
        let source = Source::open(path, seekable)?;
        let (bytes, head) = (source.bytes(), source.head().to_vec());
        let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
        let format = guarded(|| {
            let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
            symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata)
        })
        .map_err(|error| unusable(path, &not_audio(path, &head, &error)))?;
        let Chosen { codec, track, priming } = codecs::choose(&*format, path).map_err(|why| unusable(path, &why))?;
        let estimated = [FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3, FORMAT_ID_ADTS];
        let mut decoder = Self {
            path: path.to_owned(),
            // Where the encoder told its delay it told the length too.
            length_is_exact: track.delay.is_some() || !estimated.contains(&format.format_info().format),
            track: track.id,
            time_base: track.time_base,
            info: AudioInfo { sample_rate: 0, channels: 0, duration: duration(&*format, &track) },
            priming,
            format,
            codec,
            anchor: None,
            rate: 0,
            base: 0.0,
            frames: 0,
            silence: 0,
            held: Vec::new(),
            interleaved: Vec::new(),
            mixer: Mixer::default(),
            damage: Vec::new(),
            damage_left: DAMAGE_TOLD,
            silence_left: MOST_SILENCE,
            is_stream: false,
            last_damage: None,
            ended: false,
        };
        while decoder.held.is_empty() && !decoder.ended {
            decoder.fill()?;
        }
        if decoder.held.is_empty() {
            let why = decoder.damage.first().map_or_else(String::new, |damage| format!(" ({})", damage.detail));
            return Err(unusable(path, &format!("it holds no audio{why}")));
        }
        decoder.info.sample_rate = decoder.rate;
        decoder.distrust_length(&track, bytes);
        Ok(decoder)
    }

    /// Whoever wrote a WAV without knowing its length yet filled in about the largest number there is. That is no
    /// length, and its absence no loss. (A length that the file falls short of by less was true once.)
    fn distrust_length(&mut self, track: &Track, bytes: u64) {
        const PLACEHOLDER: u64 = 0x7fff_0000;
        let (Some(CodecParameters::Audio(parameters)), Some(frames)) = (&track.codec_params, track.num_frames) else {
            return;
        };
        let Some(bits) = parameters.bits_per_coded_sample.or(parameters.bits_per_sample) else { return };
        let frame = (u64::from(bits.div_ceil(8)) * u64::from(self.info.channels)).max(1);
        let claimed = frames.saturating_mul(frame);
        let is_pcm = self.codec.codec_info().short_name.starts_with("pcm");
        if is_pcm && claimed > bytes && claimed >= PLACEHOLDER {
            self.length_is_exact = false;
            self.info.duration = Some((bytes / frame) as f64 / f64::from(self.rate));
        }
    }

    pub(super) fn info(&self) -> &AudioInfo {
        &self.info
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Seconds given out or held.
    pub(super) fn position(&self) -> f64 {
        if self.rate == 0 { self.base } else { self.base + self.frames as f64 / f64::from(self.rate) }
    }

    pub(super) fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// Replaces `block` by the next samples, perhaps none yet, and gives their rate; `None` at the end.
    pub(super) fn next_block(&mut self, block: &mut Vec<f32>) -> Result<Option<u32>, WorkerFault> {
        block.clear();
        if self.silence == 0 && self.held.is_empty() {
            self.fill()?;
        }
        if self.silence > 0 {
            let count = self.silence.min(u64::from(self.rate));
            self.silence -= count;
            block.resize(usize::try_from(count).unwrap_or(0), 0.0);
            return Ok(Some(self.rate));
        }
        std::mem::swap(block, &mut self.held);
        self.held.clear();
        Ok(if block.is_empty() && self.ended { None } else { Some(self.rate) })
    }

    /// Decodes until a block is held, or the end, or for long enough.
    fn fill(&mut self) -> Result<(), WorkerFault> {
        let (mut errors, mut packets) = (0, 0);
        while self.held.is_empty() && !self.ended && packets < EMPTY_PACKETS {
            packets += 1;
            match guarded(|| self.format.next_packet()) {
                Ok(Some(packet)) => {
                    errors = 0;
                    if packet.track_id == self.track {
                        self.decode(&packet);
                    }
                }
                // A file cut off in a packet ends like any other; whether it was too early its length says.
                Ok(None) => self.end(),
                Err(Failure::Panicked) => {
                    self.tell_end("the container is damaged beyond reading".to_owned());
                    self.end();
                }
                Err(Failure::Told(Error::ResetRequired)) => self.restart()?,
                Err(Failure::Told(Error::IoError(error))) if error.raw_os_error().is_some() => {
                    return Err(WorkerFault::new(
                        FaultKind::BadInput,
                        format!("{}: reading failed: {error}", self.path.display()),
                    ));
                }
                Err(Failure::Told(Error::IoError(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.end();
                }
                Err(Failure::Told(error)) => {
                    errors += 1;
                    if errors >= CONTAINER_ERRORS {
                        self.tell_end(format!("reading was given up: {error}"));
                        self.end();
                    } else if errors == 1 {
                        self.tell(&error.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        let missing = self.info.duration.unwrap_or(0.0) - self.position();
        if self.length_is_exact && self.frames > 0 && missing > LEAST_SHORTFALL {
            self.tell_end(format!("the recording ends {missing:.1} s before the length that the file gives"));
        } else if self.frames > 0 && (self.is_stream || self.lacks_last_page()) {
            self.tell_end("the file has no proper end; it may have been cut off here".to_owned());
        }
    }

    /// An Ogg file's length is found on its last page.
    fn lacks_last_page(&self) -> bool {
        self.format.format_info().format == FORMAT_ID_OGG && self.info.duration.is_none()
    }

    /// The container starts anew (recordings glued together): other tracks, other codecs, another clock.
    fn restart(&mut self) -> Result<(), WorkerFault> {
        let chosen = codecs::choose(&*self.format, &self.path).map_err(|why| unusable(&self.path, &why))?;
        let Chosen { codec, track, priming } = chosen;
        self.codec = codec;
        self.priming = priming;
        self.track = track.id;
        self.time_base = track.time_base;
        self.anchor = None;
        Ok(())
    }

    fn decode(&mut self, packet: &Packet) {
        let decoded = {
            let (codec, interleaved) = (&mut self.codec, &mut self.interleaved);
            guarded(|| codec.decode(packet).map(|buffer| take_samples(&buffer, interleaved)))
        };
        match decoded {
            Ok(block) => self.accept(packet, &block),
            Err(failure) => {
                self.tell(&failure.to_string());
                let _ = guarded(|| {
                    self.codec.reset();
                    Ok(())
                });
                // Silence in its place; if the packet does not know its length the next one's time will tell.
                if let Some(seconds) = self.seconds(packet.dur).filter(|seconds| *seconds < 1.0)
                    && self.rate > 0
                {
                    self.add_silence(seconds);
                }
            }
        }
    }

    fn accept(&mut self, packet: &Packet, block: &Block) {
        if block.frames == 0 || !RATES.contains(&block.rate) {
            if block.frames > 0 {
                self.tell("a packet has an impossible sample rate");
            }
            return;
        }
        if block.rate != self.rate {
            self.base = self.position();
            self.frames = 0;
            self.rate = block.rate;
        }
        if self.info.channels == 0 {
            self.info.channels = u16::try_from(block.channels).unwrap_or(u16::MAX);
        }
        self.mind_the_gap(packet);
        let numbers = self.mixer.push(&self.interleaved, block.channels, block.rate, &mut self.held);
        if !numbers {
            self.tell("samples that are no numbers; silence stands in for them");
        }
        self.take_off_priming();
        self.frames += self.held.len() as u64;
    }

    fn take_off_priming(&mut self) {
        let frames = self.priming.take(self.held.len(), self.rate);
        self.held.drain(..frames);
        // By the container's clock they were there.
        if let Some(anchor) = &mut self.anchor {
            anchor.decoded -= frames as f64 / f64::from(self.rate);
        }
    }

    /// Compares the container's clock with what was decoded.
    fn mind_the_gap(&mut self, packet: &Packet) {
        let Some(time_base) = self.time_base else { return };
        let first = packet.pts.saturating_add(packet.trim_start);
        let clock = time_base.calc_time_saturating(first).as_secs_f64();
        let decoded = self.position();
        let anchor = self.anchor.get_or_insert(Anchor { clock, decoded });
        let gap = (clock - anchor.clock) - (decoded - anchor.decoded);
        let past_the_end =
            self.info.duration.is_some_and(|length| self.length_is_exact && decoded + gap > length + 1.0);
        if gap.abs() > LONGEST_GAP || gap > self.silence_left || (gap > LEAST_GAP && past_the_end) {
            *anchor = Anchor { clock, decoded };
            self.tell("the container's clock jumps; its times are not followed");
        } else if gap > LEAST_GAP {
            self.silence_left -= gap;
            self.tell(&format!("{gap:.2} s are missing"));
            self.add_silence(gap);
        }
    }

    fn add_silence(&mut self, seconds: f64) {
        let frames = (seconds * f64::from(self.rate)).round() as u64;
        self.silence += frames;
        self.frames += frames;
    }

    fn seconds(&self, duration: Duration) -> Option<f64> {
        Some(self.time_base?.calc_duration(duration)?.as_secs_f64())
    }

    fn tell(&mut self, detail: &str) {
        let at = self.position();
        let again = self.last_damage.replace(at).is_some_and(|last| at - last < SAME_DAMAGE);
        if self.damage_left > 0 && !again {
            self.damage_left -= 1;
            self.damage.push(Damage { at, detail: detail.to_owned() });
        }
    }

    /// What ends the reading is always told.
    fn tell_end(&mut self, detail: String) {
        self.damage.push(Damage { at: self.position(), detail });
    }
}

/// Why symphonia gave nothing.
pub(super) enum Failure {
    Told(Error),
    Panicked,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Told(error) => error.fmt(f),
            Self::Panicked => f.write_str("malformed stream"),
        }
    }
}

/// Runs a piece of symphonia. What it was working on is in no defined state after a panic, but safe to reset.
pub(super) fn guarded<T>(work: impl FnOnce() -> symphonia::core::errors::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Failure::Told),
        Err(_) => Err(Failure::Panicked),
    }
}

fn not_audio(path: &Path, head: &[u8], failure: &Failure) -> String {
    if let Some(name) = names::of_wave(head) {
        return format!("it is a WAV file that holds {name}, which is not decoded here");
    }
    if head.get(4..8) == Some(b"ftyp") && mp4::tracks(path).is_empty() {
        return "its index (moov) is missing, without which no sound can be found in it: the recording was not finished, or \
                the file was cut off; a tool that repairs MP4 files may bring it back"
            .to_owned();
    }
    match failure {
        Failure::Told(Error::Unsupported(_)) => "it is not a kind of audio file that is known here".to_owned(),
        other => format!("its container is damaged ({other})"),
    }
}

/// Seconds, where the container says so.
fn duration(format: &dyn FormatReader, track: &Track) -> Option<f64> {
    let media = format.media_info();
    let of_track = track.time_base.zip(track.duration);
    let (time_base, duration) = of_track.or_else(|| media.time_base.zip(media.duration))?;
    Some(time_base.calc_duration(duration)?.as_secs_f64()).filter(|seconds| *seconds > 0.0)
}

/// What a packet turned out to be; its samples are in the scratch beside it.
struct Block {
    rate: u32,
    channels: usize,
    frames: usize,
}

fn take_samples(buffer: &GenericAudioBufferRef<'_>, interleaved: &mut Vec<f32>) -> Block {
    buffer.copy_to_vec_interleaved(interleaved);
    Block { rate: buffer.spec().rate(), channels: buffer.num_planes(), frames: buffer.frames() }
}
