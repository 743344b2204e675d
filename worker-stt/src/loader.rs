//! whisper.cpp's model loader over an open file: it asks for bytes, and gets those of the one descriptor that was
//! checked. No name is opened again, and there is no copy of the weights but the engine's own.
//!
//! ```text
//!  whisper.cpp ── read(into its own tensor, n) ──► Source ── one read of n bytes ──► file
//!              ── eof? after each tensor ────────►        the end, or the load is to be stopped
//! ```
//!
//! whisper.cpp looks at no count of bytes it got. So a read that comes short fills up with zeros and says that the file
//! is at its end, where the engine stops; and [`Source::verdict`] says what it was. A load can be stopped between two
//! tensors, and tells how far it is.

#![expect(unsafe_code, reason = "whisper.cpp calls back with pointers of its own")]

use std::ffi::c_void;
use std::fs::File;
use std::io::{BufReader, Read};

use meetcap_protocol::runtime::{Cancel, OpenModel};
use meetcap_protocol::{FaultKind, WorkerFault};
use whisper_rs_sys::whisper_model_loader;

/// Progress is told when it has grown by this much.
const STEP: f32 = 0.01;

/// What a load may be watched with.
pub(crate) struct Watch<'a> {
    /// How much is read, between 0 and 1.
    pub(crate) progress: &'a dyn Fn(f32),
    pub(crate) cancel: &'a Cancel,
}

/// Where the engine gets its bytes from.
pub(crate) struct Source<'a> {
    model: &'a OpenModel,
    watch: &'a Watch<'a>,
    /// What is larger than its buffer is read past it: words come out of the buffer, weights go where they belong.
    reader: BufReader<&'a File>,
    at: u64,
    told: f32,
    /// A read came short.
    ended: bool,
    failed: Option<std::io::Error>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(model: &'a OpenModel, watch: &'a Watch<'a>) -> Result<Self, WorkerFault> {
        let reader = BufReader::with_capacity(64 << 10, model.rewound()?);
        Ok(Self { model, watch, reader, at: 0, told: 0.0, ended: false, failed: None })
    }

    /// Lets the engine read. The pointers it gets are of use only while `load` runs.
    pub(crate) fn lend<T>(&mut self, load: impl FnOnce(*mut whisper_model_loader) -> T) -> T {
        let mut loader = whisper_model_loader {
            context: std::ptr::from_mut(self).cast(),
            read: Some(read),
            eof: Some(is_at_end),
            close: Some(close),
        };
        load(&raw mut loader)
    }

    fn read(&mut self, mut into: &mut [u8]) -> usize {
        let wanted = into.len();
        while !into.is_empty() && !self.ended {
            match self.reader.read(into) {
                Ok(0) => self.ended = true,
                Ok(count) => into = &mut into[count..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => (self.ended, self.failed) = (true, Some(error)),
            }
        }
        into.fill(0);
        let got = wanted - into.len();
        self.at += got as u64;
        self.tell();
        got
    }

    fn tell(&mut self) {
        let read = self.at as f32 / self.model.length().max(1) as f32;
        if read >= self.told + STEP && read < 1.0 {
            self.told = read;
            (self.watch.progress)(read);
        }
    }

    fn is_at_end(&self) -> bool {
        self.ended || self.watch.cancel.is_set()
    }

    /// Whether the engine has read the whole of an unchanged file, whatever it made of it.
    pub(crate) fn verdict(&self) -> Result<(), WorkerFault> {
        self.watch.cancel.check()?;
        self.model.confirm()?;
        let why = match &self.failed {
            Some(error) => format!("it cannot be read: {error}"),
            None if self.at < self.model.length() && self.ended => {
                format!("it is cut short: it has {} of {} bytes; fetch it again", self.at, self.model.length())
            }
            None => return Ok(()),
        };
        Err(WorkerFault::new(FaultKind::ModelInvalid, format!("{}: {why}", self.model.path().display())))
    }
}

unsafe extern "C" fn read(source: *mut c_void, into: *mut c_void, size: usize) -> usize {
    if size == 0 {
        return 0;
    }
    // SAFETY: `source` is what `lend` gave out, and the engine calls from the thread that `lend` runs on, while it runs.
    // `into` is room for `size` bytes of the engine's own, which it does not touch meanwhile.
    let (source, into) =
        unsafe { (&mut *source.cast::<Source<'_>>(), std::slice::from_raw_parts_mut(into.cast(), size)) };
    source.read(into)
}

unsafe extern "C" fn is_at_end(source: *mut c_void) -> bool {
    // SAFETY: as in `read`.
    unsafe { &*source.cast::<Source<'_>>() }.is_at_end()
}

/// The file is closed by whoever opened it.
unsafe extern "C" fn close(_: *mut c_void) {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::path::Path;

    use super::*;

    fn opened(content: &[u8]) -> (tempfile::NamedTempFile, OpenModel) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content).expect("room");
        let model = OpenModel::open(&Path::new(file.path()).into()).expect("it can be read");
        (file, model)
    }

    /// Reads as the engine does, `size` bytes at a time, until it is told that this is the end.
    fn pull(source: &mut Source<'_>, size: usize) -> Vec<u8> {
        source.lend(|loader| {
            let mut all = Vec::new();
            loop {
                let mut part = vec![7; size];
                // SAFETY: the loader was lent for as long as this runs, and `part` has room for `size` bytes.
                let ended = unsafe {
                    let loader = &*loader;
                    (loader.read.expect("set"))(loader.context, part.as_mut_ptr().cast(), size);
                    (loader.eof.expect("set"))(loader.context)
                };
                if ended {
                    return all;
                }
                all.append(&mut part);
            }
        })
    }

    #[test]
    fn every_byte_arrives_in_order_and_progress_grows() {
        let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (_file, model) = opened(&content);
        for size in [8, 4000, 250_000] {
            let (told, cancel) = (RefCell::new(Vec::new()), Cancel::default());
            let progress = |fraction| told.borrow_mut().push(fraction);
            let watch = Watch { progress: &progress, cancel: &cancel };
            let mut source = Source::new(&model, &watch).expect("a file");
            assert!(pull(&mut source, size) == content, "{size} bytes at a time");
            source.verdict().expect("the whole file");
            let told = told.borrow();
            assert!(told.len() <= 100 && told.is_sorted() && told.iter().all(|&part| part < 1.0), "{told:?}");
            assert!(!told.is_empty(), "{size} bytes at a time");
        }
    }

    #[test]
    fn what_becomes_shorter_while_it_is_read_is_told() {
        let (file, model) = opened(&[1; 300_000]);
        let cancel = Cancel::default();
        let watch = Watch { progress: &|_| (), cancel: &cancel };
        let mut source = Source::new(&model, &watch).expect("a file");
        file.as_file().set_len(100_000).expect("our own file");
        assert_eq!(pull(&mut source, 30_000).len(), 90_000);
        let fault = source.verdict().expect_err("too short");
        assert_eq!(fault.kind, FaultKind::ModelInvalid);
        assert!(fault.detail.contains("it had 300000 bytes and has 100000"), "{}", fault.detail);
    }

    #[test]
    fn a_load_that_is_to_stop_ends_after_the_next_read() {
        let (_file, model) = opened(&[1; 100_000]);
        let cancel = Cancel::default();
        let watch = Watch { progress: &|_| cancel.set(), cancel: &cancel };
        let mut source = Source::new(&model, &watch).expect("a file");
        assert!(pull(&mut source, 10_000).is_empty());
        assert_eq!(source.verdict().expect_err("stopped").kind, FaultKind::Cancelled);
    }
}
