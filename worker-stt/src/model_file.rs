//! Looks a model file over before whisper.cpp reads it. whisper.cpp believes what it reads: a wrong number of
//! dimensions overwrites its stack, a wrong number of heads divides by zero, and a file that was cut off in its
//! last tensor loads without complaint.
//!
//! ```text
//!  magic, 11 numbers │ mel filters │ vocabulary │ (tensor: dimensions, name length, type; shape; name; data)*
//! ```
//!
//! Reads headers and skips data, so it takes milliseconds for a file of any size. Allocates nothing that the file
//! asks for. Failures are sentences about the file.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const MAGIC: u32 = 0x6767_6d6c;
/// Spectrum bins of whisper's Fourier transform of 400 samples.
const SPECTRUM: i32 = 201;
const LONGEST_WORD: u32 = 1024;
const LONGEST_NAME: i32 = 128;

/// Checks the file at `path`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let mut reader = Checked::open(path)?;
    let header = header(&mut reader)?;
    filters(&mut reader, &header)?;
    vocabulary(&mut reader, &header)?;
    let mut tensors = 0;
    while !reader.is_at_end() {
        tensor(&mut reader)?;
        tensors += 1;
    }
    if tensors == 0 {
        return Err("it holds no weights".to_owned());
    }
    Ok(())
}

struct Header {
    n_vocab: i32,
    n_mels: i32,
}

fn header(reader: &mut Checked<impl Read + Seek>) -> Result<Header, String> {
    if reader.number()?.cast_unsigned() != MAGIC {
        return Err("it is not a whisper model in ggml format".to_owned());
    }
    let mut field = |name: &str, low: i32, high: i32| {
        let value = reader.number()?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(format!("its {name} is {value}")) }
    };
    // English-only, multilingual, and multilingual with Cantonese. whisper.cpp derives token numbers from it.
    let n_vocab = field("vocabulary size", 51_864, 51_866)?;
    field("audio context", 1, 1500)?;
    let audio_state = field("audio state size", 1, 8192)?;
    let audio_heads = field("number of audio heads", 1, 256)?;
    field("number of audio layers", 1, 256)?;
    field("text context", 1, 4096)?;
    let text_state = field("text state size", 1, 8192)?;
    let text_heads = field("number of text heads", 1, 256)?;
    field("number of text layers", 1, 256)?;
    let n_mels = field("number of mel bands", 80, 128)?;
    field("weight format", 0, 4000)?;
    if audio_state != text_state || audio_state % audio_heads != 0 || text_state % text_heads != 0 {
        return Err("its sizes contradict each other".to_owned());
    }
    if n_mels != 80 && n_mels != 128 {
        return Err(format!("its number of mel bands is {n_mels}"));
    }
    Ok(Header { n_vocab, n_mels })
}

fn filters(reader: &mut Checked<impl Read + Seek>, header: &Header) -> Result<(), String> {
    let (bands, bins) = (reader.number()?, reader.number()?);
    if bands != header.n_mels || bins != SPECTRUM {
        return Err(format!("its mel filters are {bands} by {bins}"));
    }
    reader.skip(u64::from(bands.unsigned_abs()) * u64::from(bins.unsigned_abs()) * 4)
}

fn vocabulary(reader: &mut Checked<impl Read + Seek>, header: &Header) -> Result<(), String> {
    let words = reader.number()?;
    if !(1..=header.n_vocab).contains(&words) {
        return Err(format!("its vocabulary claims {words} words"));
    }
    for _ in 0..words {
        let length = reader.number()?.cast_unsigned();
        if length > LONGEST_WORD {
            return Err("its vocabulary is damaged".to_owned());
        }
        reader.skip(u64::from(length))?;
    }
    Ok(())
}

fn tensor(reader: &mut Checked<impl Read + Seek>) -> Result<(), String> {
    let (dimensions, name, kind) = (reader.number()?, reader.number()?, reader.number()?);
    if !(1..=4).contains(&dimensions) || !(1..=LONGEST_NAME).contains(&name) {
        return Err(format!("a tensor's header is damaged at byte {}", reader.at));
    }
    let Some((block, bytes)) = block_of(kind) else {
        return Err(format!("a tensor has weights of the unknown kind {kind}"));
    };
    let mut elements: u64 = 1;
    let mut row = 0;
    for dimension in 0..dimensions {
        let size = u64::try_from(reader.number()?).unwrap_or(0);
        if dimension == 0 {
            row = size;
        }
        // whisper.cpp multiplies in 32 bits.
        elements = elements.saturating_mul(size);
        if elements == 0 || elements > u64::from(i32::MAX.unsigned_abs()) {
            return Err(format!("a tensor's shape is damaged at byte {}", reader.at));
        }
    }
    if row % block != 0 {
        return Err(format!("a tensor's rows do not fit its weights at byte {}", reader.at));
    }
    reader.skip(u64::from(name.unsigned_abs()))?;
    reader.skip(elements / block * bytes)
}

/// Elements and bytes of a block, for the kinds of weights that ggml numbers so.
fn block_of(kind: i32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),
        1 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}

/// A reader that knows how much is left.
pub(crate) struct Checked<R> {
    inner: BufReader<R>,
    at: u64,
    length: u64,
}

impl Checked<File> {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        Ok(Self { inner: BufReader::new(file), at: 0, length })
    }
}

impl<R: Read + Seek> Checked<R> {
    /// Of something `length` bytes long.
    #[cfg(test)]
    pub(crate) fn new(inner: R, length: u64) -> Self {
        Self { inner: BufReader::new(inner), at: 0, length }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.length
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.cut_off(),
            _ => error.to_string(),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn number(&mut self) -> Result<i32, String> {
        self.bytes().map(i32::from_le_bytes)
    }

    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), String> {
        if bytes > self.length.saturating_sub(self.at) {
            return Err(self.cut_off());
        }
        self.at += bytes;
        // Small steps stay inside the buffer.
        match i64::try_from(bytes) {
            Ok(bytes) => self.inner.seek_relative(bytes),
            Err(_) => self.inner.seek(SeekFrom::Start(self.at)).map(drop),
        }
        .map_err(|error| error.to_string())
    }

    fn cut_off(&self) -> String {
        format!("it was cut off: it ends at byte {} in the middle of its contents", self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::check;

    /// The smallest file that passes: one word, one tensor of 32 elements of `kind`.
    fn model(change: impl FnOnce(&mut Vec<i32>), kind: i32, data: usize) -> Vec<u8> {
        let mut numbers = vec![0x6767_6d6c, 51_864, 1500, 96, 3, 3, 448, 96, 3, 3, 80, 1008];
        change(&mut numbers);
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut put = |numbers: &[i32]| bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        put(&[80, 201]);
        put(&vec![0; 80 * 201]);
        put(&[1, 4, 0]);
        put(&[2, 4, kind, 32, 1, 0]);
        bytes.extend(vec![0; data]);
        bytes
    }

    fn verdict(bytes: &[u8]) -> Result<(), String> {
        let name = format!("meetcap-model-file-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a file in the temp folder");
        let verdict = check(&path);
        std::fs::remove_file(&path).expect("the file is there");
        verdict
    }

    #[test]
    fn a_whole_file_passes() {
        assert_eq!(verdict(&model(|_| (), 8, 34)), Ok(()));
        assert_eq!(verdict(&model(|_| (), 1, 64)), Ok(()));
    }

    #[test]
    fn every_shorter_file_is_refused() {
        let whole = model(|_| (), 8, 34);
        let tensor = whole.len() - 34 - 24;
        let lengths = (0..60).chain(64_370..64_380).chain(tensor..whole.len());
        for length in lengths {
            assert!(verdict(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn lying_headers_are_refused() {
        for (field, value) in [(0, 1), (1, 60_000), (3, 97), (4, 0), (5, -1), (7, 128), (10, 81), (2, i32::MAX)] {
            assert!(verdict(&model(|numbers| numbers[field] = value, 8, 34)).is_err(), "field {field} = {value}");
        }
        assert!(verdict(&model(|_| (), 4, 34)).is_err(), "a kind of weights that is no more");
        assert!(verdict(&model(|_| (), 8, 35)).is_err(), "something is left over");
        let mut dimensions = model(|_| (), 8, 34);
        let at = dimensions.len() - 34 - 24;
        dimensions[at] = 9;
        assert!(verdict(&dimensions).is_err(), "nine dimensions");
    }
}
