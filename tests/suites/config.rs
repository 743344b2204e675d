//! `config`: what is shown, what is refused and in which words, and that the file which is shared with meetcap is
//! only ever read. Also what reading the worst of files costs.
#![cfg(unix)]

use std::path::Path;

use meetcap_fuzz_targets::meter;
use meetcap_supervisor::config::{Arguments, ConfigError, LARGEST_FILE, LARGEST_TREE, resolve};
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::{Finished, Invocation};
use serde_json::Value;

/// A file as meetcap itself writes it, with what it has for us in it.
const SHARED: &str = r##"[audio]
preferred_device = "Aggregate Device"
sample_rate = 48000
channels = 2

[hotkey]
stop = "<cmd>+<shift>+s"

[llm]
omlx_api_key = "nobody-else's-business"
temperature = 0.4

[memory]
aggressive_gc = true
enable_monitoring = false
memory_report = false
warning_threshold = 75
critical_threshold = 85
auto_fallback = true
explicit_lifecycle = true
cache_limit = "2 GB"

[notes]
template = "# Notes\n\n*[supervisor] is only a word here*\n"

[supervisor]
stt = "models/ggml-small.bin"
threads = 4
wait_for_memory = 90
fallback = { "whisper-large-v3" = "whisper-base" }
"##;

/// A home folder with this configuration in it.
fn home(text: impl AsRef<[u8]>) -> Room {
    let room = Room::new();
    std::fs::create_dir(room.path(".meetcap")).expect("a folder");
    room.file(".meetcap/config.toml", text);
    room
}

fn config(room: &Room) -> Invocation {
    room.supervisor().env("HOME", room.folder()).arg("config")
}

fn show(room: &Room) -> Finished {
    config(room).arg("show").run().expect_code(0)
}

fn json(invocation: Invocation) -> Value {
    let finished = invocation.args(["show", "--json"]).run().expect_code(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// The path of the default file, as it is told.
fn told(room: &Room) -> String {
    room.path(".meetcap/config.toml").display().to_string()
}

/// Runs `config show` on a home with this file; it is refused in exactly these words.
fn refused(text: impl AsRef<[u8]>, message: &str) {
    let room = home(text);
    let finished = config(&room).arg("show").run().expect_code(2);
    assert_eq!(finished.stderr, format!("error: {message}\n").replace("CONFIG", &told(&room)));
    assert_eq!(finished.stdout, "");
}

#[test]
fn without_a_file_every_default_is_shown() {
    let room = Room::new();
    let models = format!("\"{}\"", room.path(".meetcap/models").display());
    // Remarks stand below each other, except after a value that is very long.
    let column = if models.len() > 40 { "false".len() } else { models.len() };
    let expected = format!(
        r#"# {} (there is no such file)

[memory]
aggressive_gc      = true   # from default
enable_monitoring  = true   # from default
memory_report      = false  # from default
warning_threshold  = 80     # from default
critical_threshold = 90     # from default
auto_fallback      = true   # from default
explicit_lifecycle = true   # from default

[supervisor]
# stt is not set by default: the largest that is here, else --stt has to be given
# llm is not set by default: the largest that is here, else --llm or --no-summary has to be given
# vad is not set by default: a voice detector beside the speech model, else by energy
# language is not set by default: found out by the model
# threads is not set by default: what this process may use
# device is not set by default: the best that the worker was built for
# gpu_layers is not set by default: as many as fit
models_dir      = {models}  # from default
# worker_stt is not set by default: looked for beside this program
# worker_llm is not set by default: looked for beside this program
wait_for_memory = {:<column$}  # from default
require_sandbox = {:<column$}  # from default

[supervisor.fallback]
qwen3-4b               = false            # from default
vosk-standard          = "vosk-small"     # from default
whisper-base           = "whisper-tiny"   # from default
whisper-large-v3       = "whisper-small"  # from default
whisper-large-v3-turbo = "whisper-small"  # from default
whisper-medium         = "whisper-small"  # from default
whisper-small          = "whisper-base"   # from default
"#,
        told(&room),
        "\"0s\"",
        "false",
    );
    let finished = show(&room);
    assert_eq!((finished.stdout, finished.stderr), (expected, String::new()));
    assert!(names(room.folder()).is_empty(), "nothing was made");
}

/// Without the blanks by which columns stand below each other; how many depends on the length of a path.
fn narrow(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_value_tells_where_it_comes_from() {
    let room = home(SHARED);
    let command = config(&room).env("MEETCAP_MEMORY_REPORT", "Yes").env("MEETCAP_MEMORY_WARNING_THRESHOLD", "70");
    let finished = command.env("MEETCAP_WORKER_STT", "/opt/stt").arg("show").run().expect_code(0);
    let path = told(&room);
    let model = room.path(".meetcap/models/ggml-small.bin");
    for line in [
        format!("# {path}"),
        format!("enable_monitoring  = false  # from {path}:15"),
        "memory_report      = true   # from environment MEETCAP_MEMORY_REPORT".to_owned(),
        "warning_threshold  = 70     # from environment MEETCAP_MEMORY_WARNING_THRESHOLD".to_owned(),
        format!("critical_threshold = 85     # from {path}:18"),
        format!("wait_for_memory = \"1m30s\"  # from {path}:29"),
        "worker_stt = \"/opt/stt\"  # from environment MEETCAP_WORKER_STT".to_owned(),
        "require_sandbox = false  # from default".to_owned(),
        format!("whisper-large-v3       = \"whisper-base\"   # from {path}:30"),
        "vosk-standard          = \"vosk-small\"     # from default".to_owned(),
    ] {
        assert!(finished.stdout.lines().any(|shown| narrow(shown) == narrow(&line)), "{line}\nin {finished:#?}");
    }
    let stt = finished.stdout.lines().find(|line| line.starts_with("stt ")).expect("a line");
    assert!(stt.contains(&format!("= {:?}", model.display().to_string())) && stt.ends_with(":27"), "{stt}");
    let note = format!("note: {path}:21: memory.cache_limit is not known here and is ignored\n");
    assert_eq!(finished.stderr, note);
}

#[test]
fn what_belongs_to_meetcap_is_kept_and_the_file_is_never_written() {
    let room = home(SHARED);
    let before = (std::fs::read(told(&room)).expect("read"), names(&room.path(".meetcap")), names(room.folder()));
    let modified = |room: &Room| std::fs::metadata(told(room)).and_then(|file| file.modified()).expect("a file");
    let then = modified(&room);
    let _ = show(&room);
    let _ = json(config(&room));
    let _ = config(&room).arg("path").run().expect_code(0);
    let _ = config(&room).env("MEETCAP_MEMORY_REPORT", "perhaps").arg("show").run().expect_code(2);
    let after = (std::fs::read(told(&room)).expect("read"), names(&room.path(".meetcap")), names(room.folder()));
    assert_eq!((before, then), (after, modified(&room)));
    assert!(!show(&room).stdout.contains("business"), "other sections are not shown");
}

/// The lines that set something, without where it comes from.
fn values(shown: &str) -> Vec<String> {
    let line = |line: &str| line.split("  # from ").next().unwrap_or_default().split_whitespace().collect();
    shown.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[test]
fn what_is_shown_can_be_put_into_a_file_and_sets_the_same() {
    let odd = "[supervisor]\nstt = './a \\\"b\".bin'\nfallback = { 'we.ird \" name' = 'x', '~/a.bin' = 'none' }\n\
               models_dir = \"/a\\u001b[31m\\u202Eb\\n\\tc\"\ndevice = 'CUDA'\nlanguage = 'DE'\nwait_for_memory = 3661";
    for text in [SHARED, odd] {
        let first = show(&home(text)).stdout;
        let second = home(&first);
        let again = show(&second).stdout;
        assert_eq!(values(&again), values(&first));
        assert!(!again.lines().skip(1).any(|line| line.ends_with("# from default")), "each is set now: {again}");
    }
}

#[test]
fn programs_get_values_and_sources_as_json() {
    let room = home(SHARED);
    let shown = json(config(&room).env("MEETCAP_MEMORY_AUTO_FALLBACK", "off"));
    let path = told(&room);
    let at = |pointer: &str| shown.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {shown}")).clone();
    assert_eq!((at("/file/path"), at("/file/exists")), (path.clone().into(), true.into()));
    for (pointer, value, source) in [
        ("/memory/warning_threshold", 75.into(), format!("{path}:17")),
        ("/memory/auto_fallback", false.into(), "environment MEETCAP_MEMORY_AUTO_FALLBACK".to_owned()),
        ("/supervisor/threads", 4.into(), format!("{path}:28")),
        ("/supervisor/device", Value::Null, "default".to_owned()),
        ("/supervisor/wait_for_memory", 90.into(), format!("{path}:29")),
        ("/supervisor/fallback/whisper-large-v3", "whisper-base".into(), format!("{path}:30")),
        ("/supervisor/fallback/qwen3-4b", false.into(), "default".to_owned()),
    ] {
        assert_eq!(at(pointer), serde_json::json!({ "value": value, "source": source }), "{pointer}");
    }
    let none = Room::new();
    assert_eq!(json(config(&none)).pointer("/file/exists"), Some(&false.into()));
}

#[test]
fn the_environment_overrides_the_file_and_false_is_false() {
    let room = home("[memory]\naggressive_gc = true\n");
    for word in ["false", "False", "0", "no", "OFF"] {
        let shown = json(config(&room).env("MEETCAP_MEMORY_AGGRESSIVE_GC", word));
        assert_eq!(shown.pointer("/memory/aggressive_gc/value"), Some(&false.into()), "{word}");
    }
}

#[test]
fn wrong_values_are_refused_with_key_value_place_and_what_is_allowed() {
    let percent = "a whole number from 1 to 100 is allowed";
    refused(
        "\n[memory]\n\nwarning_threshold = \"many\"\n",
        &format!("CONFIG:4: memory.warning_threshold is \"many\"; {percent}"),
    );
    refused("memory.critical_threshold = 101", &format!("CONFIG:1: memory.critical_threshold is 101; {percent}"));
    refused(
        "[memory]\naggressive_gc = \"false\"",
        "CONFIG:2: memory.aggressive_gc is \"false\"; true or false is allowed",
    );
    refused(
        "[supervisor]\ndevice = 'npu'",
        "CONFIG:2: supervisor.device is 'npu'; cpu, cuda, metal or vulkan is allowed",
    );
    refused(
        "[memory]\nwarning_threshold = 90\ncritical_threshold = 80",
        "memory.warning_threshold is 90 (from CONFIG:2) and memory.critical_threshold is 80 (from CONFIG:3); the first \
         must not be above the second",
    );
}

#[test]
fn wrong_variables_are_refused_with_name_value_and_what_is_allowed() {
    let room = Room::new();
    for (name, value, allowed) in [
        ("MEETCAP_MEMORY_REPORT", "maybe", "true, false, 1, 0, yes, no, on or off"),
        ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "101", "a whole number from 1 to 100"),
    ] {
        let finished = config(&room).env(name, value).arg("show").run().expect_code(2);
        assert_eq!(finished.stderr, format!("error: {name} is \"{value}\"; {allowed} is allowed\n"));
    }
}

#[test]
fn unknown_keys_are_refused_in_our_own_section_alone() {
    refused(
        "[memory]\nnew_in_meetcap = 1\n[supervisor]\ntreads = 4\n",
        "CONFIG:4: supervisor.treads is not a setting, did you mean threads?; stt, llm, vad, language, threads, device, \
         gpu_layers, models_dir, worker_stt, worker_llm, wait_for_memory, require_sandbox, fallback, models are allowed",
    );
}

#[test]
fn what_is_no_configuration_is_refused_and_not_quoted() {
    refused("[llm]\nkey = \"secret", "CONFIG:2: not valid TOML: invalid basic string, expected `\"`");
    refused(b"[memory]\n# caf\xe9\n", "CONFIG:2: the text is not UTF-8; save the file as UTF-8");
    refused(vec![b'#'; 1 << 20], "the configuration `CONFIG` is larger than 128 KiB; it is probably another file");
    refused(
        "{a.a.a=1},".repeat(9000),
        "`CONFIG` is no configuration: it holds too much for a configuration; it is probably another file",
    );
    let room = Room::new();
    std::fs::create_dir_all(room.path(".meetcap/config.toml")).expect("a folder");
    let finished = config(&room).arg("show").run().expect_code(2);
    assert_eq!(finished.stderr, format!("error: `{}` is no configuration: it is a folder\n", told(&room)));
}

#[test]
fn a_file_that_is_named_is_read_instead_and_must_be_there() {
    let room = home("[memory]\nmemory_report = 5\n");
    room.file("other.toml", "[memory]\nmemory_report = true\n[supervisor]\nmodels_dir = 'm'\n");
    for arguments in [["--config", "other.toml", "show"], ["show", "--config", "other.toml"]] {
        let finished = config(&room).args(arguments).run().expect_code(0);
        let path = std::fs::canonicalize(room.folder()).expect("a folder").join("other.toml");
        let line = format!("memory_report      = true  # from {}:2", path.display());
        assert!(finished.stdout.contains(&line), "{finished:#?}");
        assert!(finished.stdout.contains(&format!("\"{}\"", path.with_file_name("m").display())), "{finished:#?}");
    }
    let finished = config(&room).args(["show", "--config", "gone.toml"]).run().expect_code(2);
    let told = "cannot find the configuration `gone.toml`; check the path after --config, or leave it out";
    assert_eq!(finished.stderr, format!("error: {told}\n"));
}

#[test]
fn the_path_is_told_whether_the_file_is_there_or_not() {
    for (room, note) in [(home(""), "this file is there"), (Room::new(), "there is no such file")] {
        let finished = config(&room).arg("path").run().expect_code(0);
        assert_eq!(finished.stdout, format!("{}\n", told(&room)));
        assert_eq!(finished.stderr, format!("note: {note}\n"));
    }
    // Also one that cannot be read.
    let room = home("[memory]\nmemory_report = 5\n");
    let finished = config(&room).args(["path", "--config", "some.toml"]).run().expect_code(0);
    assert!(finished.stdout.starts_with('/') && finished.stdout.ends_with("/some.toml\n"), "{finished:#?}");
}

#[test]
fn a_path_that_is_no_text_is_told_but_not_written_as_if_it_were() {
    use std::os::unix::ffi::OsStringExt;
    let room = Room::new();
    let strange = std::ffi::OsString::from_vec(b"/w\xff".to_vec());
    let finished = config(&room).env("MEETCAP_WORKER_LLM", strange).arg("show").run().expect_code(0);
    let line = "# worker_llm is from environment MEETCAP_WORKER_LLM and no UTF-8, so it cannot stand in a file";
    assert!(finished.stdout.lines().any(|shown| shown == line), "{finished:#?}");
}

#[test]
fn nothing_in_a_file_commands_a_terminal() {
    let room =
        home("[supervisor]\nstt = \"/\\u001b]0;owned\\u0007.bin\"\nfallback = { \"\\u202Ea\" = \"\\u009b2J\" }\n");
    for finished in [show(&room), config(&room).args(["show", "--json"]).run().expect_code(0)] {
        let commands = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!finished.stdout.contains(commands), "{finished:#?}");
        assert!(finished.stdout.contains("\\u001b]0;owned\\u0007.bin"), "{finished:#?}");
    }
    let room = home("[supervisor]\nthreads = \"\u{202e}\u{9b}2J\"\n\"\\u001b[31m\" = 1\n");
    let finished = config(&room).arg("show").run().expect_code(2);
    assert!(!finished.stderr.contains(['\u{202e}', '\u{9b}', '\u{1b}']), "{finished:#?}");
}

#[test]
fn help_has_examples_and_what_is_not_built_is_not_there() {
    let room = Room::new();
    let help = config(&room).arg("--help").run().expect_code(0).stdout;
    assert!(help.contains("Examples:\n  meetcap-supervisor config show\n") && help.contains("init"), "{help}");
    for wrong in [&["edit"][..], &[], &["show", "--yaml"], &["show", "extra"], &["show", "--config"]] {
        let _ = config(&room).args(wrong).run().expect_code(2);
    }
}

/// Bytes that resolving this file takes at most, and what comes of it.
fn peak(text: &str) -> (usize, Result<(), ConfigError>) {
    meter::peak(|| resolve(Some((Path::new("/c.toml"), text)), |_| None, Arguments::default()).map(drop))
}

#[test]
fn no_file_takes_more_memory_than_was_promised() {
    let limit = usize::try_from(LARGEST_FILE).expect("small");
    let pieces: [fn(usize) -> String; 16] = [
        |_| "1,".to_owned(),
        |_| "[],".to_owned(),
        |_| "{},".to_owned(),
        |_| "{a=1},".to_owned(),
        |_| "{a.a.a.a.a.a=1},".to_owned(),
        |_| "'',".to_owned(),
        |n| format!("k{n:x}=1\n"),
        |n| format!("[{n:x}]\n"),
        |n| format!("[{n:x}.a.a.a.a.a]\n"),
        |_| "[[a]]\n".to_owned(),
        |_| "[[a.a.a.a]]\n".to_owned(),
        |n| format!("{n:x}.a.a.a.a=1\n"),
        |_| "#\n".to_owned(),
        |_| "[".to_owned(),
        |_| "=".to_owned(),
        |n| format!("{n:x}='{:x}'\n", n + 1),
    ];
    let mut accepted = 0;
    for (begin, end) in
        [("", ""), ("a=[", "]"), ("[supervisor.fallback]\n", ""), ("[memory]\n", ""), ("[supervisor]\n", "")]
    {
        for piece in pieces {
            let mut text = begin.to_owned();
            for n in 0.. {
                text.push_str(&piece(n));
                if text.len() > limit - 64 {
                    break;
                }
                // Not after each piece: ever longer texts are resolved.
                if !n.is_power_of_two() && n % 700 != 0 {
                    continue;
                }
                let (peak, result) = peak(&format!("{text}{end}"));
                let promised = LARGEST_TREE + (64 << 10);
                assert!(peak <= promised, "{peak} bytes for {} of {:?}…", text.len(), &text[..60.min(text.len())]);
                accepted = accepted.max(if result.is_ok() { peak } else { 0 });
                if matches!(result, Err(ConfigError::NotAFile { .. })) {
                    break;
                }
            }
        }
    }
    assert!(accepted > LARGEST_TREE / 4, "the worst that is accepted takes {accepted} bytes: the limit is too strict");
    println!("the worst file that is accepted takes {accepted} bytes");
}

#[test]
fn a_file_to_begin_with_changes_nothing_and_is_never_written_over() {
    let room = Room::new();
    // What holds, without where it comes from.
    let values = |room: &Room| -> Vec<String> {
        let shown = show(room).stdout;
        let settings = shown.lines().filter(|line| !line.starts_with('#'));
        settings.map(|line| line.split("  # from").next().unwrap_or(line).trim_end().to_owned()).collect()
    };
    let defaults = values(&room);
    let made = config(&room).arg("init").run().expect_code(0);
    assert!(made.stderr.contains(&told(&room)), "{}", made.stderr);
    assert_eq!(names(&room.path(".meetcap")), ["config.toml"], "and nothing half written beside it");
    let text = room.text(".meetcap/config.toml");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert_eq!(values(&room), defaults);

    // With the # taken away from every setting that has a value, each says what holds anyway.
    let is_set = |line: &str| line.starts_with('#') && !line.starts_with("# ") && !line.contains(" =   # ");
    let taken = |line: &str| if is_set(line) { line.replacen('#', "", 1) } else { line.to_owned() };
    let active: Vec<String> = text.lines().map(taken).collect();
    assert!(active.iter().filter(|line| !line.starts_with('#') && line.contains(" = ")).count() > 15, "{text}");
    room.file(".meetcap/config.toml", active.join("\n"));
    assert_eq!(values(&room), defaults);

    let again = config(&room).arg("init").run().expect_code(2);
    assert!(again.stderr.contains("is there already and is not rewritten"), "{}", again.stderr);
    assert_eq!(room.text(".meetcap/config.toml"), active.join("\n"));
}
