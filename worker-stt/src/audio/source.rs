//! The file as symphonia gets to see it: looked at first, so that what is foreign is named and not searched for
//! something that looks like a frame; and a WAV of more than 4 GiB (RF64, BW64) in the form of one whose length is
//! not known, which is read to its end.
//!
//! A file that was cut off may promise an index at an end that it does not have. Read as a stream, which has no end
//! to look at, it gives what is there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use meetcap_protocol::media::{self, Media};
use meetcap_protocol::{FaultKind, WorkerFault};
use symphonia::core::io::MediaSource;

use super::unusable;

pub(super) struct Source {
    file: File,
    bytes: u64,
    at: u64,
    /// Its first four bytes are to be read as `RIFF`.
    long_wave: bool,
    head: Vec<u8>,
    /// Whether symphonia may look at the end before the middle.
    seekable: bool,
}

impl Source {
    /// # Errors
    /// What cannot be opened, is no file, is empty, or is of a kind that is not read here.
    pub(super) fn open(path: &Path, seekable: bool) -> Result<Self, WorkerFault> {
        let fault = |why: &str| WorkerFault::new(FaultKind::BadInput, format!("{}: {why}", path.display()));
        let unopened = |error: io::Error| fault(&format!("cannot be opened: {error}"));
        // Asked before opening: to open a pipe may wait for ever.
        let metadata = std::fs::metadata(path).map_err(unopened)?;
        if !metadata.is_file() {
            return Err(fault("is not a file"));
        }
        if metadata.len() == 0 {
            return Err(fault("is empty"));
        }
        let mut file = File::open(path).map_err(unopened)?;
        let mut head = Vec::with_capacity(media::HEAD);
        let read = (&mut file).take(media::HEAD as u64).read_to_end(&mut head).and_then(|_| file.rewind());
        read.map_err(|error| fault(&format!("cannot be read: {error}")))?;
        if let Some(Media::Foreign(name)) = media::of_start(&head) {
            return Err(unusable(path, &format!("it is {name}, which is not decoded here")));
        }
        let long_wave =
            (head.starts_with(b"RF64") || head.starts_with(b"BW64")) && head[4..].get(4..8) == Some(b"WAVE");
        Ok(Self { file, bytes: metadata.len(), at: 0, long_wave, head, seekable })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its first bytes.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if self.long_wave && self.at < 4 {
            let name = &b"RIFF"[usize::try_from(self.at).unwrap_or(4)..];
            buffer[..read].iter_mut().zip(name).for_each(|(byte, name)| *byte = *name);
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes).filter(|_| self.seekable)
    }
}
