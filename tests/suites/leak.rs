//! `leak-check`: the gate on real processes with the bundled models, and what it writes for others.

#![cfg(unix)]

use std::time::{Duration, Instant};

use meetcap_tests::demo::json_of;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::Invocation;
use meetcap_tests::schema::Schema;
use nix::sys::signal::Signal;
use roxmltree::{Document, Node};
use serde_json::Value;

fn check(room: &Room, arguments: &[&str]) -> Invocation {
    room.supervisor().within(Duration::from_secs(240)).arg("leak-check").args(arguments)
}

/// The account that was written, as published.
fn account_in(room: &Room, name: &str) -> Value {
    let account = json_of(room, name);
    Schema::published("leak").judge(&account).unwrap_or_else(|wrong| panic!("{wrong}\nin {account:#}"));
    account
}

fn series<'a>(account: &'a Value, measure: &str) -> &'a Value {
    let all = account["series"].as_array().expect("series");
    let found = all.iter().find(|series| series["measure"] == measure);
    found.unwrap_or_else(|| panic!("no {measure} in {account:#}"))
}

fn elements<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Vec<Node<'a, 'input>> {
    node.children().filter(|child| child.has_tag_name(name)).collect()
}

/// The only suite of a report, as servers read it: counts that are those of the cases, and a class for every case.
fn assert_junit<'a, 'input>(document: &'a Document<'input>) -> Node<'a, 'input> {
    let root = document.root_element();
    assert!(root.has_tag_name("testsuites"));
    let suite = elements(root, "testsuite")[0];
    let cases = elements(suite, "testcase");
    let having = |name: &str| cases.iter().filter(|case| !elements(**case, name).is_empty()).count().to_string();
    let counts = [("tests", cases.len().to_string()), ("failures", having("failure")), ("skipped", having("skipped"))];
    for (attribute, count) in counts {
        assert_eq!(suite.attribute(attribute), Some(&count[..]), "{attribute}");
    }
    for case in &cases {
        assert!(case.attribute("name").is_some_and(|name| !name.is_empty()));
        assert!(case.attribute("classname").is_some_and(|class| class.starts_with("leak-check.")));
        assert!(elements(*case, "system-out")[0].text().is_some_and(|text| text.contains("after each cycle: ")));
    }
    suite
}

#[test]
fn forty_cycles_of_the_whole_pipeline_hold_no_leak_and_are_told_in_every_form() {
    let room = Room::new();
    let told = check(&room, &["--phase", "pipeline", "--cycles", "40", "--json", "a.json", "--junit", "a.xml"]).run();
    let told = told.expect_code(0).says("leak check (pipeline): 40 cycles, new workers in each cycle, seed 1");
    assert!(
        told.stdout.contains("supervisor memory") && told.stdout.contains("35 of 40 cycles judged"),
        "{}",
        told.stdout
    );
    let account = account_in(&room, "a.json");
    assert_eq!((&account["v"], &account["cycles"], &account["warm_up"]), (&1.into(), &40.into(), &5.into()));
    assert!(["no_leak", "noticed"].contains(&account["verdict"].as_str().expect("a verdict")), "{account:#}");
    for measure in ["supervisor_memory", "descriptors", "threads", "children", "system_memory"] {
        let series = series(&account, measure);
        assert_eq!(series["values"].as_array().map(Vec::len), Some(40), "{measure}");
        assert_ne!(series["verdict"], "leak", "{series:#}");
    }
    // Every worker is gone and reaped after every cycle.
    assert!(series(&account, "children")["values"].as_array().expect("values").iter().all(|count| count == 0.0));
    let peaks = account["peaks"].as_array().expect("peaks");
    assert_eq!(peaks.iter().map(|peak| peak["phase"].as_str()).collect::<Vec<_>>(), [Some("stt"), Some("llm")]);
    let text = room.text("a.xml");
    let document = Document::parse(&text).expect("well-formed");
    let suite = assert_junit(&document);
    assert_eq!(suite.attribute("name"), Some("leak-check.pipeline"));
    let count = account["series"].as_array().map_or(0, Vec::len) + peaks.len();
    assert_eq!(elements(suite, "testcase").len(), count);
    assert_eq!(suite.attribute("failures"), Some("0"));
    // Its temporary files went with it, and nothing was written but what was asked for.
    assert_eq!(room.names(""), ["a.json", "a.xml"], "its own files are gone");
}

#[test]
fn the_gate_finds_what_leaks_and_nothing_where_nothing_does() {
    let room = Room::new();
    let told = check(&room, &["--self-test", "--json", "trials.json"]).run().expect_code(0);
    assert!(told.stdout.contains("self-test passed: 5 trials"), "{}", told.stdout);
    let trials = json_of(&room, "trials.json")["trials"].as_array().expect("trials").clone();
    let found: Vec<Value> = trials.iter().map(|trial| trial["found"].clone()).collect();
    let expected = [vec![], vec!["supervisor_memory"], vec!["descriptors"], vec![], vec!["llm_worker_memory"]];
    assert_eq!(found, expected.map(Value::from));
    // What was injected is what was measured.
    let slope = series(&trials[1]["account"], "supervisor_memory")["slope"].as_f64().expect("a slope");
    assert!((480.0..520.0).contains(&slope), "{slope} KiB");
    assert_eq!(series(&trials[2]["account"], "descriptors")["slope"], 1.0);
}

#[test]
fn few_cycles_are_insufficient_and_never_no_leak() {
    let room = Room::new();
    let few = ["--phase", "llm", "--cycles", "10", "--json", "a.json", "--junit", "a.xml"];
    let told = check(&room, &few).run().expect_code(0).says("warning: insufficient: 5 of 10 cycles were kept");
    assert!(!told.stdout.contains("no leak") && !told.stderr.contains("no leak"), "{told:#?}");
    let account = account_in(&room, "a.json");
    assert_eq!(account["verdict"], "insufficient");
    assert!(account["series"].as_array().expect("series").iter().all(|series| series["verdict"] == "insufficient"));
    let text = room.text("a.xml");
    let document = Document::parse(&text).expect("well-formed");
    for case in elements(assert_junit(&document), "testcase") {
        assert_eq!(elements(case, "skipped").len(), 1, "not judged is not passed");
    }
    let told = check(&room, &["--phase", "llm", "--cycles", "1"]).run().expect_code(0);
    assert!(!told.stdout.contains("no leak"), "{}", told.stdout);
}

#[test]
fn no_cycle_begins_that_cannot_end_in_time() {
    let room = Room::new();
    let bounded = ["--phase", "stt", "--cycles", "100000", "--max-duration", "4s", "--json", "a.json"];
    let _ = check(&room, &bounded).run().expect_code(0).says("allow more with --max-duration");
    let account = account_in(&room, "a.json");
    let (cycles, seconds) = (account["cycles"].as_u64().expect("cycles"), account["seconds"].as_f64().expect("time"));
    let longest = account["longest_cycle_seconds"].as_f64().expect("time");
    assert!((1..100_000).contains(&cycles) && account["cycles_asked"] == 100_000, "{cycles}");
    // What a cycle took is known when it is over: one that takes longer than all before may end late, by its own time.
    assert!(seconds <= 4.0 + longest, "{seconds} s, of which the longest cycle {longest}");
    let nothing = check(&room, &["--phase", "llm", "--max-duration", "0s", "--json", "b.json"]).run().expect_code(0);
    assert_eq!(account_in(&room, "b.json")["verdict"], "insufficient", "{nothing:#?}");
}

#[test]
fn a_baseline_is_written_then_held_to_and_a_doctored_one_fails() {
    let room = Room::new();
    let baseline = ["--phase", "llm", "--cycles", "12", "--baseline", "peaks.json"];
    let _ = check(&room, &baseline).run().expect_code(2).says("--update-baseline");
    let _ = check(&room, &baseline).arg("--update-baseline").run().expect_code(0).says("wrote peaks.json");
    let told = check(&room, &baseline).run().expect_code(0);
    assert!(told.stdout.contains("within"), "{}", told.stdout);
    let mut doctored = json_of(&room, "peaks.json");
    assert_eq!(doctored["tolerance_percent"], 15.0);
    for figure in ["median_kib", "max_kib"] {
        doctored["peaks"][0][figure] = (doctored["peaks"][0][figure].as_f64().expect("a figure") / 2.0).into();
    }
    room.file("peaks.json", doctored.to_string());
    let told = check(&room, &baseline).args(["--junit", "a.xml"]).run().expect_code(9);
    let told = told.says("error: leak: its median peak is").says("--update-baseline");
    assert!(told.stdout.contains("ABOVE") && told.stdout.contains("leak found"), "{}", told.stdout);
    let text = room.text("a.xml");
    let document = Document::parse(&text).expect("well-formed");
    let suite = assert_junit(&document);
    assert_eq!(suite.attribute("failures"), Some("1"));
    let failed = elements(suite, "testcase").into_iter().find(|case| !elements(*case, "failure").is_empty());
    assert_eq!(failed.and_then(|case| case.attribute("name")), Some("summary worker peak"));
    let other = ["--phase", "llm", "--cycles", "12", "--seed", "2", "--baseline", "peaks.json"];
    let _ = check(&room, &other).run().expect_code(2).says("of another check: its seed is 1, and this one's is 2");
}

#[test]
fn a_worker_that_serves_many_inputs_is_watched_itself() {
    let room = Room::new();
    let _ = check(&room, &["--phase", "stt", "--reuse", "--json", "a.json", "--junit", "a.xml"]).run().expect_code(0);
    let account = account_in(&room, "a.json");
    assert_eq!((&account["reuse"], &account["llm"]), (&true.into(), &Value::Null));
    let worker = series(&account, "stt_worker_memory")["values"].as_array().expect("values").clone();
    assert!(worker.len() == 40 && worker.iter().all(|kib| kib.as_f64() > Some(4096.0)), "{worker:?}");
    // One worker for all, and it is the only one.
    assert!(series(&account, "children")["values"].as_array().expect("values").iter().all(|count| count == 1.0));
    assert_eq!(account["peaks"][0]["values"].as_array().map(Vec::len), Some(1));
    let text = room.text("a.xml");
    let document = Document::parse(&text).expect("well-formed");
    assert_eq!(assert_junit(&document).attribute("name"), Some("leak-check.stt.reuse"));
    let llm = check(&room, &["--phase", "llm", "--reuse", "--json", "b.json"]).run().expect_code(0);
    assert_eq!(account_in(&room, "b.json")["cycles"], 40, "{llm:#?}");
}

#[test]
fn a_worker_that_keeps_memory_is_found_where_it_stays_and_harmless_where_it_ends() {
    let room = Room::new();
    let leaking = |arguments: &[&str]| {
        let check = room.scripted("stt window 0: allocate 1").within(Duration::from_secs(240)).arg("leak-check");
        check.args(["--phase", "stt", "--json", "a.json"]).args(arguments).run()
    };
    let _ = leaking(&[]).expect_code(0);
    let told = leaking(&["--reuse", "--junit", "a.xml"]).expect_code(9);
    let told = told.says("error: leak: the memory of the speech worker").says("look at what the engine");
    assert!(told.stdout.contains("leak found: 35 of 40 cycles judged"), "{}", told.stdout);
    let account = account_in(&room, "a.json");
    let leaks = account["series"].as_array().expect("series").iter().filter(|series| series["verdict"] == "leak");
    assert_eq!(leaks.map(|series| series["measure"].as_str()).collect::<Vec<_>>(), [Some("stt_worker_memory")]);
    let slope = series(&account, "stt_worker_memory")["slope"].as_f64().expect("a slope");
    assert!((1020.0..1060.0).contains(&slope), "{slope} KiB");
    let text = room.text("a.xml");
    let document = Document::parse(&text).expect("well-formed");
    assert_eq!(assert_junit(&document).attribute("failures"), Some("1"));
}

#[test]
fn options_that_contradict_each_other_end_with_2_and_files_that_cannot_be_written_with_8() {
    let room = Room::new();
    for wrong in [
        &["--reuse"][..],
        &["--reuse", "--phase", "pipeline"],
        &["--phase", "both"],
        &["--cycles", "0"],
        &["--cycles", "many"],
        &["--budget", "-1"],
        &["--max-duration", "soon"],
        &["--update-baseline"],
        &["--self-test", "--reuse"],
        &["--self-test", "--baseline", "a.json"],
        &["--json", "a", "--junit", "a"],
        &["--json", "-"],
        &["--quiet", "--verbose"],
        &["--unknown"],
        &["recording.wav"],
    ] {
        let _ = check(&room, wrong).run().expect_code(2);
    }
    let _ = check(&room, &["--reuse"]).run().expect_code(2).says("--phase stt or --phase llm");
    let _ = check(&room, &["--json", "no/such/folder/a.json"]).run().expect_code(8).says("there is no folder");
    let _ = check(&room, &["--junit", "."]).run().expect_code(8).says("in the way");
    room.file("odd.json", "{}");
    let _ = check(&room, &["--baseline", "odd.json"]).run().expect_code(2).says("it is no baseline");
    room.file("no-model.bin", "no model");
    let _ = check(&room, &["--stt", "no-model.bin"]).run().expect_code(4).says("cycle 1 failed");
    let _ = check(&room, &["--stt", "no-model.bin", "--phase", "stt", "--reuse"]).run().expect_code(4);
    let help = check(&room, &["--help"]).run().expect_code(0).stdout;
    for word in ["--self-test", "--max-duration", "Examples:", "--update-baseline", "insufficient"] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn ctrl_c_ends_a_check_and_its_workers_and_leaves_nothing() {
    for arguments in [&["--phase", "stt", "-v"][..], &["--phase", "stt", "--reuse", "-v"]] {
        let room = Room::new();
        let temporary = room.path("tmp");
        std::fs::create_dir(&temporary).expect("a folder");
        let running = check(&room, arguments).args(["--cycles", "100000"]).env("TMPDIR", &temporary).start();
        // It is at work when it has a worker.
        let started = Instant::now();
        while running.workers().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(60), "no worker was started");
            std::thread::yield_now();
        }
        running.signal(Signal::SIGINT);
        let told = running.finish().expect_code(130).says("interrupted in cycle ");
        assert!(!told.stdout.contains("judged"), "{}", told.stdout);
        let left = names(&temporary);
        assert!(!left.iter().any(|name| name.contains("leak-check")), "{left:?}");
    }
}
