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

use meetcap_protocol::whisper::{BINS, LONGEST_NAME, LONGEST_WORD, MAGIC, MOST_DIMENSIONS, Numbers, Seen};

/// Checks a file from its beginning.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(file: &File, length: u64) -> Result<(), String> {
    read(&mut Checked::new(file, length))
}

fn read(reader: &mut Checked<impl Read + Seek>) -> Result<(), String> {
    let numbers = header(reader)?;
    filters(reader, &numbers)?;
    vocabulary(reader, &numbers)?;
    let mut seen = Seen::none_of(&numbers);
    while !reader.is_at_end() {
        tensor(reader, &numbers, &mut seen)?;
    }
    match seen.missing() {
        0 => Ok(()),
        missing => Err(format!("it was cut off: it lacks {missing} of {} tensors", numbers.tensors())),
    }
}

fn header(reader: &mut Checked<impl Read + Seek>) -> Result<Numbers, String> {
    if reader.number()?.cast_unsigned() != MAGIC {
        return Err("it is not a whisper model in ggml format".to_owned());
    }
    let mut numbers = [0; 11];
    for number in &mut numbers {
        *number = reader.number()?.cast_unsigned();
    }
    Numbers::read(numbers)
}

fn filters(reader: &mut Checked<impl Read + Seek>, numbers: &Numbers) -> Result<(), String> {
    let (bands, bins) = (reader.number()?.cast_unsigned(), reader.number()?.cast_unsigned());
    if bands != numbers.mel_bands || bins != BINS {
        return Err(format!("its mel filters are {bands} by {bins}"));
    }
    reader.skip(u64::from(bands) * u64::from(bins) * 4)
}

fn vocabulary(reader: &mut Checked<impl Read + Seek>, numbers: &Numbers) -> Result<(), String> {
    let words = reader.number()?.cast_unsigned();
    if !(1..=numbers.vocabulary).contains(&words) {
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

fn tensor(reader: &mut Checked<impl Read + Seek>, numbers: &Numbers, seen: &mut Seen) -> Result<(), String> {
    let at = reader.at;
    let mut number = || reader.number().map(i32::cast_unsigned);
    let (dimensions, length, kind) = (number()?, number()?, number()?);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) || !(1..=LONGEST_NAME).contains(&length) {
        return Err(format!("a tensor's header is damaged at byte {at}"));
    }
    let mut sizes = [1; MOST_DIMENSIONS as usize];
    for size in &mut sizes[..dimensions as usize] {
        *size = number()?;
    }
    let mut name = [0; LONGEST_NAME as usize];
    let name = &mut name[..length as usize];
    reader.fill(name)?;
    let expected = numbers.expect(name).ok_or_else(|| format!("the tensor {} is unknown", name.escape_ascii()))?;
    if !expected.is(sizes, kind) {
        return Err(format!("its tensor {} has another type or shape than its header says", name.escape_ascii()));
    }
    if !seen.add(&expected) {
        return Err(format!("its tensor {} is there twice", name.escape_ascii()));
    }
    reader.skip(expected.bytes())
}

/// A reader that knows how much is left.
pub(crate) struct Checked<R> {
    inner: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Checked<R> {
    /// Of something `length` bytes long, from its beginning.
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
    use std::io::Cursor;

    use super::*;

    const NUMBERS: [u32; 11] = [51_864, 1500, 96, 3, 1, 448, 96, 3, 1, 80, 2008];

    /// A file with all tensors, of zeros. `change` is for the numbers at its start.
    fn model(change: impl FnOnce(&mut [u32; 11])) -> Vec<u8> {
        let shape = Numbers::read(NUMBERS).expect("sound");
        let mut numbers = NUMBERS;
        change(&mut numbers);
        let mut bytes = Vec::new();
        put(&mut bytes, &[MAGIC]);
        put(&mut bytes, &numbers);
        put(&mut bytes, &[80, 201]);
        put(&mut bytes, &vec![0; 80 * 201]);
        put(&mut bytes, &[1, 4, 0]);
        for name in shape.names() {
            let expected = shape.expect(name.as_bytes()).expect("there is one");
            put(&mut bytes, &[3, u32::try_from(name.len()).expect("short"), expected.kind.id]);
            put(&mut bytes, &expected.sizes);
            bytes.extend(name.as_bytes());
            bytes.resize(bytes.len() + usize::try_from(expected.bytes()).expect("small"), 0);
        }
        bytes
    }

    fn put(bytes: &mut Vec<u8>, numbers: &[u32]) {
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn verdict(bytes: &[u8]) -> Result<(), String> {
        read(&mut Checked::new(Cursor::new(bytes), bytes.len() as u64))
    }

    #[test]
    fn a_whole_file_passes() {
        assert_eq!(verdict(&model(|_| ())), Ok(()));
    }

    #[test]
    fn every_shorter_file_is_refused() {
        let whole = model(|_| ());
        let lengths = (0..60).chain(64_370..64_700).chain((60..whole.len()).step_by(4999));
        for length in lengths.chain(whole.len() - 500..whole.len()) {
            assert!(verdict(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn lying_headers_are_refused() {
        for (field, value) in [(0, 60_000), (2, 97), (3, 0), (4, u32::MAX), (6, 128), (9, 81), (1, 1 << 31), (10, 4)] {
            assert!(verdict(&model(|numbers| numbers[field] = value)).is_err(), "field {field} = {value}");
        }
        // What a model could have, but not one with these tensors.
        for (field, value) in [(0, 51_865), (1, 1499), (4, 2), (5, 447), (8, 2), (10, 2007), (10, 1)] {
            assert!(verdict(&model(|numbers| numbers[field] = value)).is_err(), "field {field} = {value}");
        }
        assert!(verdict(&[model(|_| ()), vec![0]].concat()).is_err(), "something is left over");
    }

    #[test]
    fn tensors_that_whisper_cpp_would_stumble_over_are_refused() {
        let whole = model(|_| ());
        let name = b"decoder.blocks.0.attn.key.weight";
        let at = whole.windows(name.len()).position(|part| part == name).expect("it is there") - 24;
        for (offset, value) in
            [(0, 0), (0, 9), (4, 0), (4, u32::MAX), (8, 99), (8, u32::MAX), (8, 7), (12, 97), (20, 2)]
        {
            let mut bytes = whole.clone();
            bytes[at + offset..at + offset + 4].copy_from_slice(&u32::to_le_bytes(value));
            assert!(verdict(&bytes).is_err(), "{value} at {offset}");
        }
        let mut other = whole.clone();
        other[at + 24] = b'D';
        assert!(verdict(&other).expect_err("a lie").contains("unknown"));
        let twice = [&whole[..], &whole[whole.len() - 384 - 36 - 24..]].concat();
        assert!(verdict(&twice).expect_err("a lie").contains("decoder.blocks.0.cross_attn.out.bias is there twice"));
    }
}
