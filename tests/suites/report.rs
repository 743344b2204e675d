//! `report`: the account of a real run, as text and as a page whose figures are the ledger's.

#![cfg(unix)]

use meetcap_tests::demo::{demo, json_of, room_with};
use meetcap_tests::room::Room;
use roxmltree::{Document, Node};
use serde_json::Value;

/// A room in which the demo's models have run over a meeting.
fn room() -> Room {
    let room = room_with("talk.wav");
    let _ = demo(&room).arg("talk.wav").run().expect_code(0);
    room
}

/// The page below its root is well-formed XML.
fn body(page: &str) -> &str {
    let from = page.find("<body>").expect("a body");
    &page[from..page.find("</html>").expect("its end")]
}

fn cell(document: &Document<'_>, phase: usize, figure: &str, attribute: &str) -> Option<String> {
    let phase = phase.to_string();
    let is_it = |node: &Node<'_, '_>| {
        node.has_tag_name("td")
            && node.attribute("data-figure") == Some(figure)
            && node.attribute("data-phase") == Some(&phase)
    };
    let cell = document.descendants().find(is_it).unwrap_or_else(|| panic!("no cell for {figure} of phase {phase}"));
    cell.attribute(attribute).map(str::to_owned)
}

fn samples(ledger: &Value) -> Vec<&Value> {
    ledger["timeline"]["samples"].as_array().expect("samples").iter().collect()
}

#[test]
fn the_page_of_a_real_run_shows_the_figures_of_its_ledger() {
    let room = room();
    let ledger = json_of(&room, "talk.run.json");
    let _ = room.supervisor().args(["report", "talk.run.json", "--html", "talk.html"]).run().expect_code(0);
    let page = room.text("talk.html");
    let document = Document::parse(body(&page)).expect("well-formed");
    let phases = ledger["phases"].as_array().expect("phases");
    assert_eq!(phases.len(), 2);
    for (at, phase) in phases.iter().enumerate() {
        let memory = &phase["memory"];
        for (figure, key) in [
            ("baseline", "baseline_bytes"),
            ("peak", "peak_bytes"),
            ("peak_rss", "peak_rss_bytes"),
            ("after", "after_bytes"),
            ("residue", "residue_bytes"),
        ] {
            assert_eq!(cell(&document, at, figure, "data-bytes"), Some(memory[key].to_string()), "{figure} of {at}");
        }
        let predicted = &phase["predicted"];
        let total = predicted["cost"].as_u64().zip(predicted["mapped"].as_u64()).map(|(cost, mapped)| cost + mapped);
        assert_eq!(cell(&document, at, "predicted", "data-bytes"), total.map(|total| total.to_string()));
        let seconds = cell(&document, at, "process", "data-seconds").and_then(|text| text.parse::<f64>().ok());
        assert_eq!(seconds, phase["process_seconds"].as_f64());
    }
    let rows = document.descendants().filter(|node| node.attribute("id") == Some("samples"));
    let rows = rows.flat_map(|table| table.descendants()).filter(|node| node.has_tag_name("tr")).count();
    assert_eq!(rows, samples(&ledger).len() + 1, "a row for each sample, and the head");
}

#[test]
fn the_timeline_of_a_real_run_has_both_workers_with_their_moments_and_peaks() {
    let room = room();
    let ledger = json_of(&room, "talk.run.json");
    let marks = ledger["timeline"]["marks"].as_array().expect("marks");
    for phase in ledger["phases"].as_array().expect("phases") {
        let of = |what: &str| {
            let is_it = |mark: &&Value| mark["mark"] == what && mark["pid"] == phase["pid"];
            marks.iter().find(is_it).unwrap_or_else(|| panic!("no {what} of {phase}"))["t_ms"].as_u64()
        };
        assert!(of("spawn") <= of("loaded") && of("loaded") <= of("exit"), "{marks:?}");
        let own = samples(&ledger).into_iter().filter(|sample| sample["pid"] == phase["pid"]);
        let highest = own.filter_map(|sample| sample["anonymous_bytes"].as_u64()).max().expect("a sample");
        let peak = phase["memory"]["peak_bytes"].as_u64().expect("a peak");
        assert!(highest <= peak && highest > peak / 4, "{highest} of {peak}");
    }
    assert!(samples(&ledger).len() <= 400);
    assert!(marks.iter().any(|mark| mark["name"] == "stt_unloaded"), "{marks:?}");
}

#[test]
fn without_monitoring_there_is_no_timeline_and_still_a_page() {
    let room = room_with("talk.wav");
    let _ = demo(&room).arg("talk.wav").env("MEETCAP_MEMORY_MONITORING", "false").run().expect_code(0);
    assert_eq!(json_of(&room, "talk.run.json").get("timeline"), None);
    let _ = room.supervisor().args(["report", "talk.run.json", "--html", "talk.html"]).run().expect_code(0);
    assert!(room.text("talk.html").contains("holds no timeline"));
}

#[test]
fn the_text_tells_the_same_run_and_leaves_the_page_out() {
    let room = room();
    let told = room.supervisor().args(["report", "talk.run.json"]).run().expect_code(0);
    for wanted in ["Account of", "done (exit code 0)", "memory  stt ", "Memory Usage Report", "was let in"] {
        assert!(told.stdout.contains(wanted), "{wanted} is not in:\n{}", told.stdout);
    }
    assert_eq!(told.stderr, "");
}

#[test]
fn what_is_no_account_ends_with_3_and_a_page_that_cannot_be_written_with_8() {
    let room = room();
    let report = |arguments: &[&str]| room.supervisor().arg("report").args(arguments).run();
    let _ = report(&["nothing.run.json"]).expect_code(3).says("nothing.run.json");
    let _ = report(&["talk.transcript.json"]).expect_code(3).says("not the account of a run");
    let _ = report(&["talk.wav"]).expect_code(3).says("no valid JSON");
    let _ = report(&["."]).expect_code(3).says("is not a file");
    let before = room.text("talk.run.json");
    let _ = report(&["talk.run.json", "--html", "-"]).expect_code(8).says("takes the path of a file");
    let _ = report(&["talk.run.json", "--html", "talk.run.json"]).expect_code(8).says("would be lost");
    let _ = report(&["talk.run.json", "--html", "no/such/folder/a.html"]).expect_code(8).says("choose another path");
    let _ = report(&["talk.run.json", "--html", "."]).expect_code(8).says("in the way");
    assert_eq!(room.text("talk.run.json"), before);
    let _ = report(&[]).expect_code(2);
}

#[test]
fn a_recording_with_a_hostile_name_gives_a_page_without_its_tags() {
    let room = room_with("<img src=x onerror=alert(1)>.wav");
    let _ = demo(&room).arg("<img src=x onerror=alert(1)>.wav").run().expect_code(0);
    let ledger = "<img src=x onerror=alert(1)>.run.json";
    let _ = room.supervisor().args(["report", ledger, "--html", "a.html"]).run().expect_code(0);
    let page = room.text("a.html");
    let document = Document::parse(body(&page)).expect("well-formed");
    assert!(!document.descendants().any(|node| node.has_tag_name("img")));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;.wav"));
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = room.supervisor().args(["completions", shell]).run().expect_code(0).stdout;
        for word in ["summarize", "report", "--memory-report", "leak-check", "--self-test", "completions"] {
            let word = if shell == "fish" { word.trim_start_matches("--") } else { word };
            assert!(script.contains(word), "{word} is not in the script for {shell}");
        }
    }
    let _ = room.supervisor().args(["completions", "tcsh"]).run().expect_code(2);
}
