//! Which layer wins, and what has to go together in the end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tests::{EVERYTHING, from_file, in_file, refusal, resolved, untouched};
use super::*;

#[test]
fn variables_are_read_in_any_words_for_yes_and_no() {
    for (words, expected) in
        [(["true", "TRUE", "1", "yes", " On "], true), (["false", "False", "0", "NO", "off"], false)]
    {
        for word in words {
            for name in ["AGGRESSIVE_GC", "MONITORING", "REPORT", "AUTO_FALLBACK", "EXPLICIT_LIFECYCLE"] {
                let name = format!("MEETCAP_MEMORY_{name}");
                let (config, provenance) =
                    resolved("", &[(&name, word)], Arguments::default()).unwrap_or_else(|error| panic!("{error}"));
                let set: Vec<Shown> =
                    shown(&config, &provenance).into_iter().filter(|shown| shown.source != Source::Default).collect();
                assert_eq!(set.len(), 1, "{name}");
                assert_eq!(set[0].value, Some(Value::Switch(expected)), "{name}={word}");
                assert_eq!(set[0].source.to_string(), format!("environment {name}"));
            }
        }
    }
}

#[test]
fn a_wrong_variable_is_refused_with_name_value_and_what_is_allowed() {
    let words = "true, false, 1, 0, yes, no, on or off";
    let percent = "a whole number from 1 to 100";
    for (name, value, allowed) in [
        ("MEETCAP_MEMORY_REPORT", "maybe", words),
        ("MEETCAP_MEMORY_AGGRESSIVE_GC", "2", words),
        ("MEETCAP_MEMORY_MONITORING", " ", words),
        ("MEETCAP_MEMORY_WARNING_THRESHOLD", "many", percent),
        ("MEETCAP_MEMORY_WARNING_THRESHOLD", "0", percent),
        ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "300", percent),
        ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "80%", percent),
    ] {
        let told = refusal(resolved("", &[(name, value)], Arguments::default()));
        assert_eq!(told, format!("{name} is \"{value}\"; {allowed} is allowed"));
    }
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let names = ["MEETCAP_MEMORY_REPORT", "MEETCAP_MEMORY_WARNING_THRESHOLD", "MEETCAP_WORKER_STT"];
    let (config, provenance) = resolved("", &names.map(|name| (name, "")), Arguments::default()).expect("unset");
    assert_eq!((config, provenance), (untouched(), Provenance::default()));
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text_are_paths_at_most() {
    use std::os::unix::ffi::OsStringExt;
    let strange = OsString::from_vec(vec![b'/', 0xff]);
    let variable = |wanted: &'static str| {
        let strange = strange.clone();
        move |name: &str| (name == wanted).then(|| strange.clone())
    };
    let (config, _) = resolve(None, variable("MEETCAP_WORKER_LLM"), Arguments::default()).expect("a path");
    assert_eq!(config.supervisor.worker_llm, Some(PathBuf::from(&strange)));
    let told = refusal(resolve(None, variable("MEETCAP_MEMORY_REPORT"), Arguments::default()));
    assert!(told.starts_with("MEETCAP_MEMORY_REPORT is \"/\u{fffd}\"; "), "{told}");
}

#[test]
fn the_environment_lies_over_the_file() {
    let variables = [
        ("MEETCAP_MEMORY_AGGRESSIVE_GC", "yes"),
        ("MEETCAP_MEMORY_MONITORING", "yes"),
        ("MEETCAP_MEMORY_REPORT", "no"),
        ("MEETCAP_MEMORY_WARNING_THRESHOLD", "61"),
        ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "71"),
        ("MEETCAP_MEMORY_AUTO_FALLBACK", "yes"),
        ("MEETCAP_MEMORY_EXPLICIT_LIFECYCLE", "yes"),
        ("MEETCAP_WORKER_STT", "worker"),
        ("MEETCAP_WORKER_LLM", "~/worker"),
    ];
    let (config, provenance) = resolved(EVERYTHING, &variables, Arguments::default()).expect("sound");
    let expected = MemoryConfig { warning_threshold: 61, critical_threshold: 71, ..MemoryConfig::default() };
    assert_eq!(config.memory, expected);
    // The shell has made of it what was to be made.
    assert_eq!(config.supervisor.worker_stt, Some("worker".into()));
    assert_eq!(config.supervisor.worker_llm, Some("~/worker".into()));
    let from_variables: Vec<Source> = shown(&config, &provenance)
        .into_iter()
        .map(|shown| shown.source)
        .filter(|source| matches!(source, Source::Environment(_)))
        .collect();
    assert_eq!(from_variables, variables.map(|(name, _)| Source::Environment(name)));
}

#[test]
fn arguments_lie_over_everything() {
    let arguments = Arguments {
        stt: Some("a".into()),
        llm: Some("b".into()),
        vad: Some("energy".into()),
        language: Some("en".to_owned()),
        threads: Some(1),
        device: Some(Device::Cpu),
        gpu_layers: Some(0),
        wait_for_memory: Some(Duration::ZERO),
        memory_report: Some(true),
        require_sandbox: Some(false),
    };
    let variables = [("MEETCAP_MEMORY_REPORT", "no")];
    let (config, provenance) = resolved(EVERYTHING, &variables, arguments).expect("sound");
    let own = &config.supervisor;
    assert_eq!((own.stt.as_deref(), own.llm.as_deref()), (Some(Path::new("a")), Some(Path::new("b"))));
    assert_eq!((own.language.as_deref(), own.threads, own.gpu_layers), (Some("en"), Some(1), Some(0)));
    assert_eq!((own.device, own.wait_for_memory), (Some(Device::Cpu), Duration::ZERO));
    assert_eq!((config.memory.memory_report, own.require_sandbox), (true, false));
    let options: Vec<String> = shown(&config, &provenance)
        .iter()
        .filter(|shown| matches!(shown.source, Source::Argument(_)))
        .map(|shown| shown.source.to_string())
        .collect();
    let expected =
        ["--memory-report", "--stt", "--llm", "--vad", "--language", "--threads", "--device", "--gpu-layers"];
    let expected = expected.into_iter().chain(["--wait-for-memory", "--require-sandbox"]);
    assert_eq!(options, expected.map(|option| format!("argument {option}")).collect::<Vec<_>>());
    // What no argument speaks of stays.
    assert_eq!(provenance.of("memory.warning_threshold"), in_file(5));
}

#[test]
fn a_mistake_is_told_even_where_another_layer_lies_over_it() {
    let arguments = || Arguments { memory_report: Some(true), threads: Some(2), ..Arguments::default() };
    let told = refusal(resolved("memory.memory_report = 3", &[("MEETCAP_MEMORY_REPORT", "yes")], arguments()));
    assert!(told.contains(":1: memory.memory_report is 3"), "{told}");
    let told = refusal(resolved("", &[("MEETCAP_MEMORY_REPORT", "3")], arguments()));
    assert!(told.contains("MEETCAP_MEMORY_REPORT is \"3\""), "{told}");
}

#[test]
fn thresholds_that_were_both_set_have_to_go_together() {
    let told = refusal(from_file("[memory]\nwarning_threshold = 95"));
    assert_eq!(
        told,
        "memory.warning_threshold is 95 (from /conf/config.toml:2) and memory.critical_threshold is 90 (from default); \
         the first must not be above the second"
    );
    let variables = [("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "50")];
    let told = refusal(resolved("[memory]\nwarning_threshold = 60", &variables, Arguments::default()));
    let told_apart = "is 60 (from /conf/config.toml:2) and memory.critical_threshold is 50 (from environment MEETCAP_";
    assert!(told.contains(told_apart), "{told}");
    // Only what holds in the end counts.
    let variables = [("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "95")];
    let (config, _) = resolved("[memory]\nwarning_threshold = 95", &variables, Arguments::default()).expect("equal");
    assert_eq!((config.memory.warning_threshold, config.memory.critical_threshold), (95, 95));
}

#[test]
fn a_lower_critical_threshold_takes_the_default_warning_with_it() {
    let (config, provenance) = from_file("memory.critical_threshold = 40").expect("sound");
    assert_eq!((config.memory.warning_threshold, config.memory.critical_threshold), (40, 40));
    let source = provenance.of("memory.warning_threshold").to_string();
    assert_eq!(source, "default, lowered to memory.critical_threshold");
}

#[test]
fn steps_are_added_to_the_default_ladder_and_replace_its_steps() {
    for text in [
        "supervisor.fallback = { 'whisper-large-v3' = 'whisper-base', '~/big.gguf' = 'small.gguf', 'qwen3-4b' = 'none' }",
        "[supervisor.fallback]\nwhisper-large-v3='whisper-base'\n'~/big.gguf'='small.gguf'\nqwen3-4b=false",
    ] {
        let (config, provenance) = from_file(text).expect("sound");
        let steps: Vec<(&Path, Option<&Path>)> = config.supervisor.fallback.steps().collect();
        let step = |from, to: Option<&'static str>| (Path::new(from), to.map(Path::new));
        assert_eq!(
            steps,
            [
                step("/home/me/big.gguf", Some("/conf/small.gguf")),
                step("qwen3-4b", None),
                step("vosk-standard", Some("vosk-small")),
                step("whisper-base", Some("whisper-tiny")),
                step("whisper-large-v3", Some("whisper-base")),
                step("whisper-large-v3-turbo", Some("whisper-small")),
                step("whisper-medium", Some("whisper-small")),
                step("whisper-small", Some("whisper-base")),
            ]
        );
        assert_eq!(provenance.of_step(Path::new("vosk-standard")), Source::Default);
        assert!(matches!(provenance.of_step(Path::new("qwen3-4b")), Source::File { .. }));
    }
}

#[test]
fn a_ladder_that_leads_in_a_circle_is_refused() {
    let circle = |text: &str| refusal(from_file(text));
    let told = circle("[supervisor.fallback]\na = 'b'\nx = 'y'\nb = 'c'\nc = 'b'");
    assert_eq!(
        told,
        "supervisor.fallback leads from b to c back to where it began (from /conf/config.toml:4); end it with a \
         smallest model = false"
    );
    let told = circle("supervisor.fallback.a = 'a'");
    assert!(told.contains("leads from a back"), "{told}");
    // Together with a step of the defaults; the line is that of the step that closed it.
    let told = circle("\nsupervisor.fallback.whisper-small = 'whisper-large-v3'");
    assert!(told.contains("whisper-small") && told.contains("config.toml:2"), "{told}");
}

#[test]
fn every_mistake_is_one_of_usage() {
    assert_eq!(from_file("supervisor.x = 1").expect_err("refused").exit_code(), crate::ExitCode::Usage);
    assert_eq!(ConfigError::NoHome.exit_code().code(), 2);
}
