//! Reading a model's head forward: bounded by the file's length, never past its end, skipping what is of no use.
//!
//! Nothing here allocates what a file asks for, and nothing goes on for long: a head longer than [`MAX_HEAD`] is no
//! head, so that a file of 20 GB made of lies costs no more time than one of 100 MB.

use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};

use thiserror::Error;

/// Several times the longest head there is: 260,000 tokens with their merges take about 20 MB.
pub(super) const MAX_HEAD: u64 = 64 << 20;

/// Why a head cannot be read.
#[derive(Debug, Error)]
pub(super) enum Damage {
    #[error("it is cut short: it has {found} of at least {expected} bytes; fetch it again")]
    Cut { expected: u64, found: u64 },
    #[error("{0}")]
    Lie(String),
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl Damage {
    pub(super) fn lie(what: impl Into<String>) -> Self {
        Self::Lie(what.into())
    }
}

/// Reads forward.
#[derive(Debug)]
pub(super) struct Walk<R> {
    reader: BufReader<R>,
    at: u64,
    len: u64,
    /// Bytes passed that were no data.
    head: u64,
}

impl<R: Read + Seek> Walk<R> {
    /// From the start of something `len` bytes long.
    pub(super) fn new(reader: R, len: u64) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, reader), at: 0, len, head: 0 }
    }

    /// Bytes from the start.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Back to the start.
    pub(super) fn rewind(&mut self) -> Result<(), Damage> {
        self.reader.rewind()?;
        (self.at, self.head) = (0, 0);
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Damage> {
        self.advance(bytes.len() as u64)?;
        self.reader.read_exact(bytes).map_err(|error| self.shrunk(error))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Damage> {
        self.bytes().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Part of the head: not read, but counted.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Damage> {
        self.advance(bytes)?;
        self.jump(bytes)
    }

    /// Data: may be of any size as long as the file holds it.
    pub(super) fn skip_data(&mut self, bytes: u64) -> Result<(), Damage> {
        let end = self.at.saturating_add(bytes);
        if end > self.len {
            return Err(Damage::Cut { expected: end, found: self.len });
        }
        self.at = end;
        self.jump(bytes)
    }

    /// Texts with their lengths (of `N` bytes) before them: the vocabulary. Looks at nothing but the lengths.
    pub(super) fn skip_texts<const N: usize>(&mut self, count: u64, longest: u64) -> Result<(), Damage> {
        let mut left = count;
        while left > 0 {
            // What lies whole in the buffer is passed over without a call for each.
            let buffer = self.reader.fill_buf()?;
            let mut used = 0;
            while left > 0 {
                let Some(field) = buffer.get(used..used + N) else { break };
                let text = length(field);
                let end = usize::try_from(text).ok().and_then(|text| text.checked_add(used + N));
                match end {
                    Some(end) if end <= buffer.len() && text <= longest => used = end,
                    _ => break,
                }
                left -= 1;
            }
            self.reader.consume(used);
            self.advance(used as u64)?;
            if left > 0 {
                let text = length(&self.bytes::<N>()?);
                if text > longest {
                    return Err(Damage::lie(format!("its vocabulary is damaged at byte {}", self.at)));
                }
                self.skip(text)?;
                left -= 1;
            }
        }
        Ok(())
    }

    fn advance(&mut self, bytes: u64) -> Result<(), Damage> {
        let end = self.at.saturating_add(bytes);
        if end > self.len {
            return Err(Damage::Cut { expected: end, found: self.len });
        }
        self.head = self.head.saturating_add(bytes);
        if self.head > MAX_HEAD {
            return Err(Damage::lie("it is damaged: its head is longer than that of any model"));
        }
        self.at = end;
        Ok(())
    }

    fn jump(&mut self, bytes: u64) -> Result<(), Damage> {
        // Inside the buffer this costs nothing; a plain `seek` would throw the buffer away.
        match i64::try_from(bytes) {
            Ok(bytes) => self.reader.seek_relative(bytes).map_err(Damage::from),
            Err(_) => Err(Damage::lie("a length is out of range")),
        }
    }

    /// A file that became shorter while it was read.
    fn shrunk(&self, error: std::io::Error) -> Damage {
        match error.kind() {
            ErrorKind::UnexpectedEof => Damage::Cut { expected: self.at, found: self.len },
            _ => Damage::Unreadable(error),
        }
    }
}

/// A number of up to eight bytes.
fn length(field: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..field.len()].copy_from_slice(field);
    u64::from_le_bytes(bytes)
}
