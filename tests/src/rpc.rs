//! A client of the server: calls with answers, and the notifications that come meanwhile.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::Running;

/// How long an answer or a notification may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines both ways.
pub trait Wire {
    fn say(&mut self, line: &str);
    /// `None` when the other side has ended.
    fn hear(&mut self) -> Option<Value>;
}

impl Wire for Running {
    fn say(&mut self, line: &str) {
        Running::say(self, line);
    }

    fn hear(&mut self) -> Option<Value> {
        self.next_event()
    }
}

/// A connection to a socket.
#[derive(Debug)]
pub struct Socket(BufReader<UnixStream>);

impl Wire for Socket {
    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("the server reads");
    }

    fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = match self.0.read_line(&mut line) {
            // The other side was killed before it had read all that was said.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.expect("a line in time"),
        };
        (read > 0).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }
}

/// A client.
#[derive(Debug)]
pub struct Client<W> {
    pub wire: W,
    last_id: u64,
    /// Came while an answer was awaited.
    told: VecDeque<Value>,
    /// Answers to calls that nobody has waited for yet.
    answers: Vec<Value>,
    /// How far fetches of models are, as it was told.
    pub progress: Vec<Value>,
}

impl Client<Socket> {
    /// Connects to the socket of a server that has just been started.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn connect(path: &Path) -> Self {
        let until = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{}: {error}", path.display()),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self::new(Socket(BufReader::new(stream)))
    }
}

impl<W: Wire> Client<W> {
    pub fn new(wire: W) -> Self {
        Self { wire, last_id: 0, told: VecDeque::new(), answers: Vec::new(), progress: Vec::new() }
    }

    /// The whole answer.
    ///
    /// # Panics
    /// When the server ends first.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        self.answer(id)
    }

    /// Calls and does not wait; gives the number of the call.
    pub fn begin(&mut self, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.wire.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// The whole answer to an earlier call.
    ///
    /// # Panics
    /// When the server ends first.
    pub fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(at) = self.answers.iter().position(|answer| answer["id"] == id) {
                return self.answers.swap_remove(at);
            }
            let message = self.wire.hear().unwrap_or_else(|| panic!("no answer to call {id}"));
            match message["method"].as_str() {
                None => self.answers.push(message),
                Some("event") => self.told.push_back(message["params"].clone()),
                Some("models/progress") => self.progress.push(message["params"].clone()),
                Some(_) => panic!("{message}"),
            }
        }
    }

    /// The result.
    ///
    /// # Panics
    /// When it is an error.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.ask(method, params);
        assert!(answer.get("result").is_some(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// The number of a job that is taken.
    ///
    /// # Panics
    /// When it is not.
    pub fn submit(&mut self, params: &Value) -> u64 {
        self.call("job/submit", params)["job_id"].as_u64().expect("a number")
    }

    /// The next event; `None` when there will be no more.
    pub fn next_event(&mut self) -> Option<Value> {
        self.told.pop_front().or_else(|| self.wire.hear().map(|message| message["params"].clone()))
    }

    /// Waits for an event.
    ///
    /// # Panics
    /// When it does not come.
    pub fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next_event().expect("the event comes");
            if wanted(&event) {
                return event;
            }
        }
    }
}
