//! The page, read back as XML: it is well-formed below its root, so what a parser finds is what was meant.

use roxmltree::{Document, Node};

use super::html;
use crate::memory::{Bytes, Ledger};
use crate::report::tests::{hostile, ledger};

/// From the body's first to its last tag.
fn body(page: &str) -> &str {
    let from = page.find("<body>").expect("a body");
    let to = page.find("</html>").expect("its end");
    &page[from..to]
}

fn bytes(document: &Document<'_>, phase: usize, figure: &str) -> Option<u64> {
    let phase = phase.to_string();
    let is_it = |node: &Node<'_, '_>| {
        node.has_tag_name("td")
            && node.attribute("data-figure") == Some(figure)
            && node.attribute("data-phase") == Some(&phase)
    };
    let cell = document.descendants().find(is_it).unwrap_or_else(|| panic!("no cell for {figure} of phase {phase}"));
    cell.attribute("data-bytes").map(|text| text.parse().expect("a number"))
}

#[test]
fn every_figure_of_the_ledger_is_on_the_page() {
    let ledger = ledger();
    let page = html(&ledger);
    let document = Document::parse(body(&page)).expect("well-formed");
    for (at, record) in ledger.phases.iter().enumerate() {
        let memory = &record.memory;
        let figures = [
            ("predicted", record.predicted.map(|need| need.total())),
            ("baseline", Some(memory.baseline_bytes)),
            ("peak", Some(memory.peak_bytes)),
            ("peak_rss", Some(memory.peak_rss_bytes)),
            ("after", Some(memory.after_bytes)),
            ("residue", Some(memory.residue_bytes)),
        ];
        for (figure, wanted) in figures {
            assert_eq!(bytes(&document, at, figure), wanted.map(|bytes| bytes.0), "{figure} of phase {at}");
        }
    }
}

#[test]
fn hostile_names_are_words_on_the_page_and_nothing_else() {
    let tags = |page: &str| {
        let document = Document::parse(body(page)).expect("well-formed");
        let mut names: Vec<String> =
            document.descendants().filter(Node::is_element).map(|node| node.tag_name().name().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let tame = tags(&html(&hostile("tame")));
    for words in [
        "<script>alert(1)</script>",
        "\" onmouseover=\"alert(1)",
        "' onfocus='alert(1)' x='",
        "</title></style></svg><img src=x onerror=alert(1)>",
        "]]><!--<b>",
        "&lt;b&gt;&amp;#60;",
        "\u{202e}\u{0}\u{1b}[31m",
        "]]>\u{fffe}",
    ] {
        let page = html(&hostile(words));
        assert_eq!(tags(&page), tame, "{words}");
        let document = Document::parse(body(&page)).expect("well-formed");
        let attributes = document.descendants().flat_map(|node| node.attributes().collect::<Vec<_>>());
        for attribute in attributes {
            assert!(!attribute.name().starts_with("on") && attribute.name() != "src", "{words}: {attribute:?}");
        }
        assert!(!page.contains(['\u{202e}', '\u{0}', '\u{1b}']), "{words}");
    }
}

#[test]
fn names_are_shown_as_they_are() {
    let page = html(&hostile("a <b> & \"c\""));
    let document = Document::parse(body(&page)).expect("well-formed");
    let heading = document.descendants().find(|node| node.has_tag_name("h1")).expect("a heading");
    let text: String = heading.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect();
    assert_eq!(text, "a <b> & \"c\"");
}

#[test]
fn an_account_without_timeline_phases_or_anything_is_a_page_too() {
    let old: Ledger =
        serde_json::from_slice(include_bytes!("../testdata/without_timeline.run.json")).expect("a ledger");
    let page = html(&old);
    let document = Document::parse(body(&page)).expect("well-formed");
    assert!(page.contains("holds no timeline"));
    assert_eq!(bytes(&document, 0, "peak"), Some(old.phases[0].memory.peak_bytes.0));
    let mut empty = ledger();
    (empty.phases, empty.admissions, empty.limits, empty.timeline) = Default::default();
    (empty.outcome, empty.exit_code) = (None, None);
    let page = html(&empty);
    Document::parse(body(&page)).expect("well-formed");
    assert!(page.contains("nothing to account for"));
}

#[test]
fn impossible_numbers_do_not_break_the_picture() {
    let mut ledger = ledger();
    for record in &mut ledger.phases {
        record.memory.peak_bytes = Bytes(u64::MAX);
        record.process_seconds = 1e300;
        record.load_seconds = -1.0;
    }
    let page = html(&ledger);
    Document::parse(body(&page)).expect("well-formed");
    assert!(!page.contains("NaN") && !page.contains("inf "), "{page}");
}

#[test]
fn the_page_needs_nothing_from_anywhere() {
    let page = html(&ledger());
    assert!(
        !page.contains("http:") && !page.contains("https:") && !page.contains("<script") && !page.contains("@import")
    );
    assert!(page.contains("default-src 'none'"));
    let addresses = page.matches("url(").count();
    assert_eq!(addresses, page.matches("url(#").count(), "only patterns of its own");
}

#[test]
fn it_can_be_used_with_a_keyboard_and_read_aloud() {
    let page = html(&ledger());
    let document = Document::parse(body(&page)).expect("well-formed");
    let nodes = || document.descendants().filter(Node::is_element);
    for svg in nodes().filter(|node| node.has_tag_name("svg") && node.attribute("role") == Some("img")) {
        assert!(svg.attribute("aria-label").is_some() || svg.attribute("aria-labelledby").is_some(), "{svg:?}");
    }
    for node in nodes().filter(|node| node.attribute("tabindex") == Some("0")) {
        assert!(node.attribute("aria-label").is_some() || node.attribute("aria-labelledby").is_some(), "{node:?}");
    }
    for table in nodes().filter(|node| node.has_tag_name("table")) {
        assert!(table.children().any(|child| child.has_tag_name("caption")), "{table:?}");
        let heads = table.descendants().filter(|node| node.has_tag_name("th"));
        assert!(heads.into_iter().all(|head| head.attribute("scope").is_some()), "{table:?}");
    }
    let ids: Vec<&str> = nodes().filter_map(|node| node.attribute("id")).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "every id is there once");
    for node in nodes().filter_map(|node| node.attribute("aria-labelledby")) {
        assert!(node.split(' ').all(|id| ids.contains(&id)), "{node}");
    }
    assert_eq!(nodes().filter(|node| node.has_tag_name("h1")).count(), 1);
}

#[test]
fn the_page_of_a_full_timeline_is_of_a_size_that_a_browser_likes() {
    let page = html(&ledger());
    assert!(page.len() < 600_000, "{} bytes", page.len());
}
