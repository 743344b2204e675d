//! One model at one hub, and a folder for it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use meetcap_supervisor::Stop;
use meetcap_supervisor::memory::Bytes;
use meetcap_supervisor::models::catalog::Kind;
use meetcap_supervisor::models::pull::{Network, Progress, PullError, Pulled, Wanted, pull};
use meetcap_supervisor::models::store::Store;
use meetcap_tests::deadline::within;
use meetcap_tests::demo::demo_models;
use meetcap_tests::hub::{Hub, digest};
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::Invocation;

pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Where the hub has it.
pub(crate) const PATH: &str = "/o/n/resolve/main/ears.bin";
pub(crate) const FILE: &str = "ears.bin";
/// A buffer of the engine: what may be lost where a connection breaks.
pub(crate) const BUFFER: u64 = 64 << 10;

/// The bytes of a real model.
pub(crate) fn model() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| fs::read(&demo_models().0).expect("a model"))
}

/// Another model of the same length: one weight is another.
pub(crate) fn other_model() -> Vec<u8> {
    let mut bytes = model().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes
}

/// Waits that a test has time for.
pub(crate) fn impatient(mut network: Network, endpoint: &str) -> Network {
    network.endpoint = endpoint.to_owned();
    network.stall = Duration::from_millis(300);
    network.first_wait = Duration::from_millis(2);
    network
}

/// One model at one hub, and a folder for it.
pub(crate) struct Stage {
    pub(crate) room: Room,
    pub(crate) hub: Hub,
    pub(crate) network: Network,
    pub(crate) wanted: Wanted,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::serving(model().to_vec())
    }

    pub(crate) fn serving(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes).parse().expect("a digest");
        let length = Bytes(bytes.len() as u64);
        let hub = Hub::new([(PATH.to_owned(), bytes)], Duration::ZERO);
        let wanted = Wanted {
            name: "ears".to_owned(),
            address: format!("{}{PATH}", hub.address()),
            file: FILE.to_owned(),
            kind: Kind::Speech,
            bytes: Some(length),
            sha256: Some(digest),
            licence: None,
        };
        let network = impatient(Network::default(), hub.address());
        Self { room: Room::new(), hub, network, wanted }
    }

    /// What a user's own entry says: nothing but the address.
    pub(crate) fn unknown(mut self) -> Self {
        (self.wanted.bytes, self.wanted.sha256) = (None, None);
        self
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.room.path("models"))
    }

    pub(crate) fn pull(&self) -> Result<Pulled, PullError> {
        self.pull_until(&Stop::default(), |_| {})
    }

    pub(crate) fn pull_until(&self, stop: &Stop, told: impl FnMut(Progress)) -> Result<Pulled, PullError> {
        pull(&self.wanted, &self.store(), &self.network, stop, told)
    }

    /// The program with the same to do.
    pub(crate) fn command(&self) -> Invocation {
        let address = &self.wanted.address;
        let settings = format!("[supervisor]\nmodels_dir = \"models\"\n[supervisor.models]\nears = \"{address}\"\n");
        self.room.file("meetcap.toml", settings);
        self.room.supervisor().args(["models", "pull", "ears", "--config", "meetcap.toml"])
    }

    /// The folder of models, made.
    pub(crate) fn models(&self) -> PathBuf {
        let folder = self.room.path("models");
        fs::create_dir(&folder).expect("a folder");
        folder
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.room.path("models").join(FILE)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let folder = self.room.path("models");
        if folder.is_dir() { names(&folder) } else { Vec::new() }
    }

    /// The model is here: these bytes, the pin that goes with them, and nothing half.
    #[track_caller]
    pub(crate) fn assert_came(&self, bytes: &[u8]) {
        assert!(fs::read(self.path()).expect("the model") == bytes, "other bytes came");
        assert_eq!(self.names(), [format!(".{FILE}.meetcap.json"), FILE.to_owned()]);
        let pin = self.store().find(FILE).expect("a model").pin.expect("a pin");
        assert_eq!((pin.sha256.to_string(), pin.bytes), (digest(bytes), Bytes(bytes.len() as u64)));
    }

    /// Nothing has the model's name; only what can be gone on with may lie there.
    #[track_caller]
    pub(crate) fn assert_nothing_came(&self) {
        assert!(!self.path().exists());
        assert!(self.store().installed().is_empty(), "{:?}", self.names());
    }

    #[track_caller]
    pub(crate) fn assert_fails(&self, words: &str) -> PullError {
        let error = self.pull().expect_err("no model comes of this");
        assert!(error.to_string().contains(words), "no `{words}` in: {error}");
        self.assert_nothing_came();
        error
    }
}

/// Runs a test with a deadline.
pub(crate) fn on_stage(test: impl FnOnce(Stage) + Send + 'static) {
    within(LIMIT, || test(Stage::new()));
}
