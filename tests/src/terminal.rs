//! A program at a terminal, played by a test: it waits for words on the screen, types, and sees how it ends.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

/// A screen that most programs expect.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };

/// A program that takes a pseudo-terminal for its own.
#[derive(Debug)]
pub struct Session {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// Everything that was shown so far, escape sequences included.
    shown: String,
    until: Instant,
}

impl Session {
    /// # Panics
    /// When there is no pseudo-terminal, or the program cannot be started.
    pub fn start(mut command: Command, limit: Duration) -> Self {
        let pair = openpty(&SIZE, None).expect("a pseudo-terminal");
        let end = || Stdio::from(pair.slave.try_clone().expect("another descriptor"));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
        let child = command.spawn().expect("the program starts");
        // Ours would keep the terminal open when the program has gone.
        drop(command);
        drop(pair.slave);
        let keyboard = File::from(pair.master);
        let mut display = keyboard.try_clone().expect("another descriptor");
        let (show, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the last program that has it open is an error on Linux.
            while let Ok(count @ 1..) = display.read(&mut bytes) {
                if show.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, screen, shown: String::new(), until: Instant::now() + limit }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the words were shown, in one line of the screen or over several.
    ///
    /// # Panics
    /// When they do not come in time, or the program ends before.
    pub fn waits_for(&mut self, words: &str) {
        while !self.shown.contains(words) {
            match self.screen.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("no `{words}` in time on:\n{}", self.shown),
                Err(RecvTimeoutError::Disconnected) => panic!("no `{words}` to the end on:\n{}", self.shown),
            }
        }
    }

    /// Presses these keys.
    ///
    /// # Panics
    /// When nobody has the terminal open.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Waits for the end: the exit code, and everything that was shown.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn ends(mut self) -> (Option<i32>, String) {
        loop {
            match self.screen.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("not done in time:\n{}", self.shown),
            }
        }
        let status = self.child.wait().expect("our own child");
        (status.code(), std::mem::take(&mut self.shown))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
