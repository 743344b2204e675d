//! A server of models on this machine, as good or as bad as a test wants it: HTTP/1.1 on threads, files by their paths,
//! as a whole or in parts, and a list of what it does to the next requests.

mod tls;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
pub use tls::Authority;

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// What it asks for.
    Serve,
    /// The whole, whatever part was asked for.
    Whole,
    /// The connection ends after so many bytes of the content.
    Cut(usize),
    /// Nothing more comes after so many bytes, and the connection stays.
    Stall(usize),
    /// A pause after every kibibyte.
    Trickle(Duration),
    /// So many bytes more are promised than there are.
    Longer(u64),
    /// So many bytes fewer are promised and sent.
    Shorter(u64),
    /// Nobody says how much comes; the end of the connection is the end.
    Endless,
    /// One byte of the file at this place, counted from the end, is another.
    Flipped(usize),
    /// Another part than was asked for.
    Elsewhere,
    /// Nothing but this status; with a `Retry-After`.
    Status(u16, Option<&'static str>),
    /// Whatever this is, with a status of success.
    Page(&'static str),
    /// Go there. As the hub does it: with length, SHA-256 and revision of the file at this path.
    Redirect(String),
    Linked {
        to: String,
        file: String,
    },
    /// From now on another file is there, of which what is asked for is given.
    Replaced(Vec<u8>),
    /// What it asks for, and a claim of what the file's SHA-256 is.
    Claimed(String),
    /// Nothing at all: the connection ends.
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Arc<Vec<u8>>>,
    acts: VecDeque<Act>,
    always: Option<Act>,
    asked: Vec<Request>,
}

/// The server; its threads end with the program that runs the test.
#[derive(Debug, Clone)]
pub struct Hub {
    address: String,
    state: Arc<Mutex<State>>,
    served: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    pause: Duration,
}

impl Hub {
    /// Serves these files, in pieces with a pause between them where one is given.
    ///
    /// # Panics
    /// When nothing can be listened at; here and below, when a thread of the server has panicked.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>, pause: Duration) -> Self {
        Self::start(files, pause, None)
    }

    /// The same with TLS, by this authority.
    pub fn encrypted(files: impl IntoIterator<Item = (String, Vec<u8>)>, authority: &Authority) -> Self {
        Self::start(files, Duration::ZERO, Some(authority))
    }

    fn start(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
        pause: Duration,
        authority: Option<&Authority>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let scheme = if authority.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let files = files.into_iter().map(|(path, bytes)| (path, Arc::new(bytes))).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let hub = Self { address, state, served: Arc::default(), connections: Arc::default(), pause };
        let (serving, authority) = (hub.clone(), authority.cloned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                let (hub, authority) = (serving.clone(), authority.clone());
                thread::spawn(move || match authority {
                    None => drop(hub.serve(client.try_clone().expect("another descriptor"), client)),
                    Some(authority) => authority.each(client, |stream| hub.serve_one(stream)),
                });
            }
        });
        hub
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("sound")
    }

    /// What stands before a path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.address.split("://").nth(1).unwrap_or_default()
    }

    /// What is done to the next requests, one after the other; to those after them what was always done.
    pub fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts = acts.into_iter().collect();
    }

    /// What is done to every request that nothing else was said about.
    pub fn always(&self, act: Act) {
        self.state().always = Some(act);
    }

    /// From now on another file is there.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.state().files.insert(path.to_owned(), Arc::new(bytes));
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().asked.clone()
    }

    /// The paths that were asked for so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// Bytes of content that were sent so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Connections that were made so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Answers until the client goes, or an act ends the connection.
    fn serve(&self, from: TcpStream, mut to: TcpStream) -> io::Result<()> {
        let mut from = BufReader::new(from);
        while let Some(request) = read(&mut from)? {
            if request.method == "CONNECT" {
                self.state().asked.push(request.clone());
                return tunnel(&request.path, from, to);
            }
            self.answer(&request, &mut to)?;
        }
        Ok(())
    }

    /// Answers one request; gives whether there may be another.
    fn serve_one(&self, stream: &mut (impl Read + Write)) -> io::Result<bool> {
        let Some(request) = read(&mut BufReader::with_capacity(1, &mut *stream))? else { return Ok(false) };
        self.answer(&request, stream).map(|()| true)
    }

    fn answer(&self, request: &Request, to: &mut impl Write) -> io::Result<()> {
        let (act, file) = {
            let mut state = self.state();
            state.asked.push(request.clone());
            let act = state.acts.pop_front().or_else(|| state.always.clone()).unwrap_or(Act::Serve);
            // Through a proxy the address is whole.
            let path = request
                .path
                .strip_prefix("http://")
                .map_or(request.path.as_str(), |whole| whole.find('/').map_or("/", |at| &whole[at..]));
            if let Act::Replaced(bytes) = &act {
                state.files.insert(path.to_owned(), Arc::new(bytes.clone()));
            }
            (act, state.files.get(path).cloned())
        };
        self.act(&act, file.as_deref(), request, to)
    }

    fn act(&self, act: &Act, file: Option<&Vec<u8>>, request: &Request, to: &mut impl Write) -> io::Result<()> {
        let nothing = |to: &mut dyn Write, head: &str| {
            to.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").as_bytes())
        };
        let over = || Err(io::ErrorKind::ConnectionAborted.into());
        match act {
            Act::Status(status, after) => {
                let after = after.map_or_else(String::new, |after| format!("\r\nRetry-After: {after}"));
                return nothing(to, &format!("{status} So It Is{after}"));
            }
            Act::Redirect(to_there) => return nothing(to, &format!("302 Found\r\nLocation: {to_there}")),
            Act::Linked { to: there, file } => {
                let linked = self.state().files.get(file).cloned().expect("a file to link to");
                let digest = digest(&linked);
                let head = format!(
                    "302 Found\r\nLocation: {there}\r\nX-Linked-Size: {}\r\nX-Linked-ETag: \"{digest}\"\r\n\
                     X-Repo-Commit: 0123456789abcdef",
                    linked.len()
                );
                return nothing(to, &head);
            }
            Act::Page(text) => {
                return to
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
            }
            Act::Silence => return over(),
            _ => {}
        }
        let Some(file) = file else { return nothing(to, "404 Not Found") };
        let etag = format!("\"{:x}-{}\"", file.len(), &digest(&file[file.len().saturating_sub(4096)..])[..16]);
        let mut file = Cow::Borrowed(file);
        if let Act::Flipped(place) = act {
            let at = file.len() - 1 - place;
            file.to_mut()[at] ^= 1;
        }
        let is_same = request.headers.get("if-range").is_none_or(|tag| *tag == etag);
        let range = request.headers.get("range").filter(|_| is_same && *act != Act::Whole);
        let range = range.and_then(|range| part(range, file.len()));
        let (mut head, content) = match range {
            Some((first, last)) => {
                let told = if *act == Act::Elsewhere { first + 1 } else { first };
                let head =
                    format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {told}-{last}/{}\r\n", file.len());
                (head, &file[first..=last])
            }
            None => ("HTTP/1.1 200 OK\r\n".to_owned(), &file[..]),
        };
        let length = content.len() as u64;
        let (promised, content) = match act {
            Act::Longer(more) => (length + more, content),
            Act::Shorter(fewer) => {
                let kept = length.saturating_sub(*fewer);
                (kept, &content[..usize::try_from(kept).expect("small")])
            }
            _ => (length, content),
        };
        head.push_str(&format!("ETag: {etag}\r\n"));
        if let Act::Claimed(digest) = act {
            head.push_str(&format!("X-Linked-ETag: \"{digest}\"\r\n"));
        }
        if *act == Act::Endless {
            head.push_str("Connection: close\r\n\r\n");
        } else {
            head.push_str(&format!("Content-Length: {promised}\r\n\r\n"));
        }
        to.write_all(head.as_bytes())?;
        let (size, pause) = match act {
            Act::Trickle(pause) => (1 << 10, *pause),
            _ => (64 << 10, self.pause),
        };
        let end = match act {
            Act::Cut(after) | Act::Stall(after) => content.len().min(*after),
            _ => content.len(),
        };
        for piece in content[..end].chunks(size) {
            to.write_all(piece)?;
            self.served.fetch_add(piece.len() as u64, Ordering::Relaxed);
            thread::sleep(pause);
        }
        to.flush()?;
        match act {
            Act::Stall(_) if end < content.len() => {
                // Until the client has had enough; it does not wait for ever, nor does this.
                thread::sleep(Duration::from_secs(20));
                over()
            }
            Act::Cut(_) if end < content.len() => over(),
            Act::Longer(_) | Act::Endless => over(),
            _ => Ok(()),
        }
    }
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// First and last byte of a range, if there are such.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = last.parse().unwrap_or(length - 1).min(length - 1);
    (first <= last).then_some((first, last))
}

/// The next request; `None` when the client has gone.
fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Ok(Some(Request { method, path, headers }))
}

/// What a proxy does for whom it does not look into.
fn tunnel(authority: &str, mut from: BufReader<TcpStream>, mut to: TcpStream) -> io::Result<()> {
    let mut there = TcpStream::connect(authority)?;
    to.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut back = there.try_clone()?;
    thread::spawn(move || io::copy(&mut back, &mut to));
    io::copy(&mut from, &mut there).map(drop)
}
