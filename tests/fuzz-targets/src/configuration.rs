//! The configuration file, which another program writes as well, and the environment.
//!
//! ```text
//!  input: the file's text │ NUL │ a variable's value │ NUL │ the next one's … in the order in which they are asked for
//! ```

use std::cell::Cell;
use std::ffi::OsString;
use std::path::Path;

use meetcap_supervisor::config::{Arguments, LARGEST_FILE, LARGEST_TREE, load, resolve, shown};

use crate::{Target, Verdict, meter, scratch};

pub const TARGET: Target = Target {
    name: "configuration",
    read,
    seeds: |_| SAMPLES.map(|text| text.as_bytes().to_vec()).into(),
    words: &[
        "[memory]\n",
        "[supervisor]\n",
        "[supervisor.fallback]\n",
        "[[supervisor]]\n",
        "warning_threshold",
        "stt",
        "vad",
        "critical_threshold",
        "wait_for_memory",
        "language",
        "threads",
        "device",
        "gpu_layers",
        "models_dir",
        "[supervisor.models]",
        "url",
        "https://h/m.gguf",
        "sha256",
        "fallback",
        "= ",
        "\"\"\"",
        "'''",
        "0x",
        "1e9",
        "nan",
        "1979-05-27",
        "\"90s\"",
        "'~/m'",
        "{a.b.c=1}",
        "\u{feff}",
        "\\u0000",
        "#",
        "false",
    ],
    longest: 8 << 10,
};

/// What reading it may take: the tree, and as much again as every reader may.
const MOST: usize = LARGEST_TREE + (64 << 10);

fn read(input: &[u8]) -> Verdict {
    let mut parts = input.split(|byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    if input.is_empty() {
        return Verdict::Refused;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        let path = scratch::file("config.toml", text);
        let most = MOST + 4 * LARGEST_FILE as usize;
        let error = meter::within(most, "a file that is no text", || load(Some(&path), Arguments::default()));
        assert!(error.is_err(), "bytes that are no text were read");
        return Verdict::Refused;
    };
    let values: Vec<&[u8]> = parts.collect();
    let asked = Cell::new(0);
    let variable = |_: &str| {
        let value = values.get(asked.replace(asked.get() + 1))?;
        Some(OsString::from(String::from_utf8_lossy(value).into_owned()))
    };
    let file = Some((Path::new("/c.toml"), text));
    match meter::within(MOST, "resolving a configuration", || resolve(file, variable, Arguments::default())) {
        Ok((config, provenance)) => {
            assert!(config.memory.warning_threshold <= config.memory.critical_threshold);
            assert!(!shown(&config, &provenance).is_empty());
            Verdict::Taken
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Verdict::Refused
        }
    }
}

const SAMPLES: [&str; 4] = [
    "# shared with another program\n[audio]\nsample_rate = 48000\n\n[llm]\nomlx_api_key = \"nobody's business\"\n\n\
     [memory]\naggressive_gc = true\nenable_monitoring = false\nmemory_report = false\nwarning_threshold = 75\n\
     critical_threshold = 85\nauto_fallback = true\nexplicit_lifecycle = true\n",
    "[supervisor]\nstt = \"whisper-small\"\nllm = '~/models/a b.gguf'\nvad = \"energy\"\nlanguage = \"de\"\nthreads = 4\n\
     device = \"cpu\"\ngpu_layers = 0\nmodels_dir = \"models\"\nworker_stt = '/opt/stt'\nworker_llm = '/opt/llm'\n\
     wait_for_memory = \"90s\"\nrequire_sandbox = false\n\n[supervisor.fallback]\n\"whisper-large-v3\" = \"whisper-small\"\n\
     \"whisper-small\" = false\n",
    "[memory]\nwarning_threshold = 60\n\x00true\x00false\x001\x00\x00yes\x0095\x00100",
    "memory = { warning_threshold = 0x50, critical_threshold = 0b1011010 }\nsupervisor.fallback = { a = 'b', b = 'c' }\n",
];
