//! What a file may say, on texts that are made up here.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::*;

pub(super) const FILE: &str = "/conf/config.toml";

pub(super) type Outcome = Result<(Config, Provenance), ConfigError>;

/// What holds where nobody set anything.
pub(super) fn untouched() -> Config {
    let models_dir = Some("/home/me/.meetcap/models".into());
    Config { supervisor: SupervisorConfig { models_dir, ..SupervisorConfig::default() }, ..Config::default() }
}

/// Resolves a file's text, variables and arguments.
pub(super) fn resolved(text: &str, variables: &[(&str, &str)], arguments: Arguments) -> Outcome {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        found.or_else(|| (name == file::HOME).then(|| "/home/me".into()))
    };
    resolve(Some((Path::new(FILE), text)), variable, arguments)
}

pub(super) fn from_file(text: &str) -> Outcome {
    resolved(text, &[], Arguments::default())
}

pub(super) fn good(text: &str) -> Config {
    from_file(text).unwrap_or_else(|error| panic!("{error}\n{text}")).0
}

pub(super) fn refusal(outcome: Outcome) -> String {
    outcome.expect_err("refused").to_string()
}

pub(super) fn in_file(line: usize) -> Source {
    Source::File { path: Path::new(FILE).into(), line }
}

/// Every setting, none as it is by default.
pub(super) const EVERYTHING: &str = r#"[memory]
aggressive_gc = false
enable_monitoring = false
memory_report = true
warning_threshold = 60
critical_threshold = 70
auto_fallback = false
explicit_lifecycle = false
[supervisor]
stt = "ggml-small.bin"
llm = "qwen3-4b"
vad = "vad/ggml-silero.bin"
language = "DE"
threads = 4
device = "cuda"
gpu_layers = 20
models_dir = "~/models"
worker_stt = "/opt/stt"
worker_llm = "../llm"
wait_for_memory = "1h30m"
require_sandbox = true
[supervisor.fallback]
big = "small"
"#;

#[test]
fn without_anything_the_defaults_hold() {
    let (config, provenance) = resolve(None, |_| None, Arguments::default()).expect("defaults");
    assert_eq!((&config, &provenance), (&Config::default(), &Provenance::default()), "where there is no home");
    assert_eq!(resolved("", &[], Arguments::default()).expect("defaults").0, untouched());
    assert!(shown(&config, &provenance).iter().all(|shown| shown.source == Source::Default));
    // What the specification says.
    let MemoryConfig { aggressive_gc, memory_report, warning_threshold, critical_threshold, .. } = config.memory;
    assert_eq!((aggressive_gc, memory_report, warning_threshold, critical_threshold), (true, false, 80, 90));
}

#[test]
fn a_file_sets_every_setting() {
    let (config, provenance) = from_file(EVERYTHING).expect("sound");
    let memory = MemoryConfig {
        aggressive_gc: false,
        enable_monitoring: false,
        memory_report: true,
        warning_threshold: 60,
        critical_threshold: 70,
        auto_fallback: false,
        explicit_lifecycle: false,
    };
    assert_eq!(config.memory, memory);
    let own = &config.supervisor;
    assert_eq!(own.stt.as_deref(), Some(Path::new("/conf/ggml-small.bin")));
    assert_eq!(own.llm.as_deref(), Some(Path::new("qwen3-4b")));
    assert_eq!(own.vad.as_deref(), Some(Path::new("/conf/vad/ggml-silero.bin")));
    assert_eq!((own.language.as_deref(), own.threads, own.gpu_layers), (Some("de"), Some(4), Some(20)));
    assert_eq!(own.device, Some(Device::Cuda));
    assert_eq!(own.models_dir.as_deref(), Some(Path::new("/home/me/models")));
    assert_eq!(own.worker_stt.as_deref(), Some(Path::new("/opt/stt")));
    assert_eq!(own.worker_llm.as_deref(), Some(Path::new("/conf/../llm")));
    assert_eq!((own.wait_for_memory, own.require_sandbox), (Duration::from_secs(5400), true));
    assert_eq!(own.fallback.step(Path::new("big")), Some(Some(Path::new("small"))));

    // Each is shown, and tells its line.
    let mut lines = 1..;
    for shown in shown(&config, &provenance).iter().filter(|shown| shown.section != "supervisor.fallback") {
        let line = lines.find(|line| ![1, 9].contains(line)).expect("endless");
        assert_eq!(shown.source, in_file(line), "{}", shown.key.display());
    }
    assert_eq!(lines.next(), Some(22), "no setting was left out");
    assert_eq!(provenance.of_step(Path::new("big")), in_file(23));
    assert!(provenance.ignored.is_empty());
}

#[test]
fn what_belongs_to_meetcap_is_passed_over() {
    let text = r#"
loose = 1
[audio]
format = "opus"
[models]
stt_engine = "parakeet"
[llm]
omlx_api_key = "secret"
threads = "as many as there are"
[memory]
aggressive_gc = false
swap_out = "at dusk"
[[memory.pools]]
name = "a"
[notes]
template = """
[supervisor]
threads = "inside a text"
"""
"#;
    let (config, provenance) = from_file(text).expect("nothing of it is ours");
    let mut expected = untouched();
    expected.memory.aggressive_gc = false;
    assert_eq!(config, expected);
    let ignored: Vec<String> = provenance.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(
        ignored,
        [
            "/conf/config.toml:12: memory.swap_out is not known here and is ignored",
            "/conf/config.toml:13: memory.pools is not known here and is ignored",
        ]
    );
}

#[test]
fn a_section_or_a_key_whose_name_is_nearly_right_is_told() {
    let text = "[Supervisor]\nthreads = 0\n[memory]\nwarning_treshold = 1\n[memo]\n[models]\n";
    let (config, provenance) = from_file(text).expect("ignored");
    assert_eq!(config, untouched());
    let meant: Vec<_> = provenance.ignored.iter().map(|ignored| (ignored.name.as_str(), ignored.meant)).collect();
    let expected = [
        ("Supervisor", Some("supervisor")),
        ("memory.warning_treshold", Some("warning_threshold")),
        ("memo", Some("memory")),
    ];
    assert_eq!(meant, expected);
}

#[test]
fn a_wrong_value_is_refused_with_key_value_place_and_what_is_allowed() {
    let duration = "a time such as \"90s\", \"5m\" or \"1h30m\", or a whole number of seconds, at most 168h,";
    let steps = "a smaller model's name or path in quotes, or false for none,";
    for (line, name, value, allowed) in [
        ("memory.aggressive_gc = 'false'", "memory.aggressive_gc", "'false'", "true or false"),
        ("memory.memory_report = 1", "memory.memory_report", "1", "true or false"),
        ("memory.warning_threshold = \"many\"", "memory.warning_threshold", "\"many\"", "a whole number from 1 to 100"),
        ("memory.warning_threshold = 0", "memory.warning_threshold", "0", "a whole number from 1 to 100"),
        ("memory.critical_threshold = 101", "memory.critical_threshold", "101", "a whole number from 1 to 100"),
        ("memory.critical_threshold = -5", "memory.critical_threshold", "-5", "a whole number from 1 to 100"),
        ("memory.critical_threshold = 90.0", "memory.critical_threshold", "90.0", "a whole number from 1 to 100"),
        (
            "memory.critical_threshold = 0xffff_ffff_ffff_ffff_f",
            "memory.critical_threshold",
            "0xffff_ffff_ffff_ffff_f",
            "a whole number from 1 to 100",
        ),
        ("memory.critical_threshold = {}", "memory.critical_threshold", "a table", "a whole number from 1 to 100"),
        ("memory = 5", "memory", "5", "a section"),
        ("supervisor = []", "supervisor", "[]", "a section"),
        ("supervisor.stt = 3", "supervisor.stt", "3", "a model's name or path in quotes"),
        ("supervisor.llm = ''", "supervisor.llm", "''", "a model's name or path"),
        (
            "supervisor.language = 'english'",
            "supervisor.language",
            "'english'",
            "whisper's code of a language (en, de, ja, …)",
        ),
        ("supervisor.threads = 0", "supervisor.threads", "0", "a whole number from 1 to 1024"),
        ("supervisor.threads = 1025", "supervisor.threads", "1025", "a whole number from 1 to 1024"),
        ("supervisor.device = 'tpu'", "supervisor.device", "'tpu'", "cpu, cuda, metal or vulkan"),
        ("supervisor.gpu_layers = -1", "supervisor.gpu_layers", "-1", "a whole number from 0 to 99999"),
        ("supervisor.models_dir = false", "supervisor.models_dir", "false", "a path in quotes"),
        ("supervisor.worker_stt = ''", "supervisor.worker_stt", "''", "a path"),
        (
            "supervisor.worker_llm = '~you/w'",
            "supervisor.worker_llm",
            "'~you/w'",
            "a path (~/ is your own home folder; other people's are not known)",
        ),
        ("supervisor.wait_for_memory = 'soon'", "supervisor.wait_for_memory", "'soon'", duration),
        ("supervisor.wait_for_memory = -1", "supervisor.wait_for_memory", "-1", duration),
        ("supervisor.wait_for_memory = 1.5", "supervisor.wait_for_memory", "1.5", duration),
        ("supervisor.require_sandbox = 'yes'", "supervisor.require_sandbox", "'yes'", "true or false"),
        (
            "supervisor.fallback = 'small'",
            "supervisor.fallback",
            "'small'",
            "a table such as { \"whisper-large-v3\" = \"whisper-small\" }",
        ),
        ("supervisor.fallback.big = true", "supervisor.fallback.big", "true", steps),
        ("supervisor.fallback.big = ['a']", "supervisor.fallback.big", "['a']", steps),
        ("supervisor.fallback.big = ''", "supervisor.fallback.big", "''", "a model's name or path"),
        ("supervisor.fallback.'' = 'a'", "supervisor.fallback.\"\"", "'a'", "a model's name or path"),
        (
            "supervisor.fallback.qwen2.5-3b = 'a'",
            "supervisor.fallback.qwen2",
            "a table",
            "one model for each; a name with a dot goes in quotes, which",
        ),
    ] {
        let told = refusal(from_file(&format!("\n# a remark\n{line}\n")));
        assert_eq!(told, format!("/conf/config.toml:3: {name} is {value}; {allowed} is allowed"));
    }
}

#[test]
fn long_values_and_keys_are_cut() {
    let long = "x".repeat(5000);
    let told = refusal(from_file(&format!("supervisor.threads = '{long}'")));
    assert!(told.len() < 200 && told.contains("xx…; a whole number"), "{told}");
    let told = refusal(from_file("supervisor.threads = '''many\nlines'''"));
    assert!(told.contains("'''many…; a whole number"), "{told}");
    let told = refusal(from_file(&format!("supervisor.{long} = 1")));
    assert!(told.len() < 400 && told.contains("xx… is not a setting; "), "{told}");
}

#[test]
fn an_unknown_key_in_our_own_section_is_refused_with_what_is_known() {
    let known = "stt, llm, vad, language, threads, device, gpu_layers, models_dir, worker_stt, worker_llm, \
                 wait_for_memory, require_sandbox, fallback, models";
    let told = refusal(from_file("[supervisor]\nstt = 'demo'\n\ntreads = 4\n"));
    let expected = "/conf/config.toml:4: supervisor.treads is not a setting, did you mean threads?";
    assert_eq!(told, format!("{expected}; {known} are allowed"));
    let told = refusal(from_file("supervisor = { colour = 'red' }"));
    assert_eq!(told, format!("/conf/config.toml:1: supervisor.colour is not a setting; {known} are allowed"));
    // Even what is a setting elsewhere.
    let told = refusal(from_file("[supervisor]\nwarning_threshold = 80"));
    assert!(told.starts_with("/conf/config.toml:2: supervisor.warning_threshold is not a setting; "), "{told}");
}

#[test]
fn of_several_mistakes_the_first_in_the_file_is_told() {
    let told =
        refusal(from_file("[supervisor]\nrequire_sandbox = 3\nthreads = 0\ncolour = 1\n[memory]\nmemory_report = 2"));
    assert!(told.starts_with("/conf/config.toml:2: supervisor.require_sandbox"), "{told}");
    let told = refusal(from_file("[supervisor]\ncolour = 1\nrequire_sandbox = 3"));
    assert!(told.starts_with("/conf/config.toml:2: supervisor.colour"), "{told}");
}

#[test]
fn a_place_is_told_however_the_file_is_written() {
    for (text, line) in [
        ("[memory]\r\n\r\nwarning_threshold = 0\r\n", 3),
        ("\u{feff}[memory]\nwarning_threshold = 0", 2),
        ("[a]\nb = '''\n\n'''\n[memory]\n\"warning_threshold\" = 0", 6),
        ("memory . warning_threshold = 0", 1),
        ("\n[memory]\n  'warning_threshold'=0 # ü", 3),
        ("# ü日\n\nmemory = { warning_threshold = 0 }", 3),
        ("[memory] # one\nmemory_report = true # two\nwarning_threshold = 0b0", 3),
    ] {
        let told = refusal(from_file(text));
        assert!(told.starts_with(&format!("/conf/config.toml:{line}: memory.warning_threshold is 0")), "{told}");
    }
}

#[test]
fn what_is_no_toml_is_refused_with_its_line_and_never_quoted() {
    for (text, line) in [
        ("[memory", 1),
        ("[llm]\nomlx_api_key = secret", 2),
        ("[llm]\nomlx_api_key = 'secret", 2),
        ("[llm]\nomlx_api_key = \"secret\\q\"", 2),
        ("a = 1\n\nsecret secret", 3),
        ("[memory]\nmemory_report = true\nmemory_report = true", 3),
        ("[memory]\n[memory]", 2),
        ("a = 1\0", 1),
        (&format!("a = {}", "[".repeat(500)), 1),
    ] {
        let told = refusal(from_file(text));
        assert!(told.starts_with(&format!("/conf/config.toml:{line}: not valid TOML: ")), "{told}");
        assert!(!told.contains("secret") && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_file_that_would_take_much_memory_is_refused_before_it_does() {
    for text in ["{a.a.a=1},".repeat(4000), "[a]\n".repeat(4000), "\n".repeat(40_000)] {
        let told = refusal(from_file(&text));
        assert!(told.contains("it holds too much for a configuration"), "{told}");
    }
    // Much text in few words is not much.
    let _ = good(&format!("# {}\n[notes]\ntemplate = '''{}'''", "a.b[c]".repeat(5000), "a.b[c]\n".repeat(5000)));
}

#[test]
fn waiting_can_be_told_in_seconds() {
    assert_eq!(good("supervisor.wait_for_memory = 90").supervisor.wait_for_memory, Duration::from_secs(90));
    assert_eq!(good("supervisor.wait_for_memory = '90'").supervisor.wait_for_memory, Duration::from_secs(90));
    assert_eq!(good("supervisor.wait_for_memory = 0").supervisor.wait_for_memory, Duration::ZERO);
}
