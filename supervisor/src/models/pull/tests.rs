//! A fetch from a server of a few lines, which answers as each test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::models::vad::tests::silero;

/// Answers request after request; `answer` is told how many came before, and which range is asked for.
fn served(mut answer: impl FnMut(usize, Option<(usize, usize)>, &mut TcpStream) + Send + 'static) -> Network {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    // Detached: it ends with the test's process.
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut range = None;
            for line in BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if let Some((first, last)) =
                    line.to_lowercase().strip_prefix("range: bytes=").and_then(|range| range.split_once('-'))
                {
                    range = Some((first.parse().expect("a number"), last.parse().expect("a number")));
                }
            }
            answer(count, range, &mut stream);
        }
    });
    Network { endpoint, first_wait: Duration::from_millis(1), ..Network::default() }
}

fn part(stream: &mut TcpStream, file: &[u8], (first, last): (usize, usize), etag: &str) {
    let (last, total) = (last.min(file.len() - 1), file.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {first}-{last}/{total}\r\n{etag}connection: close\r\n\r\n",
        last + 1 - first
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&file[first..=last]));
}

fn whole(stream: &mut TcpStream, file: &[u8], upto: usize) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", file.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&file[..upto]));
}

/// A detector's file, sound in its head and shape, with other weights.
fn version(last: u8) -> Vec<u8> {
    let mut file = silero();
    let length = file.len();
    // In both halves, so that a mixture is neither.
    file[length / 4] = last;
    file[length - 1] = last;
    file
}

fn wanted(network: &Network) -> Wanted {
    Wanted {
        name: "m".to_owned(),
        address: format!("{}/m.bin", network.endpoint),
        file: "m.bin".to_owned(),
        kind: Kind::Detector,
        bytes: None,
        sha256: None,
        licence: None,
    }
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn parts_of_two_files_never_become_one_though_the_server_ignores_if_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (version(1), version(2));
    let expected = new.clone();
    let network = served(move |count, range, stream| {
        let range = range.expect("parts are asked for");
        match count {
            0 => part(stream, &old, range, "etag: \"old\"\r\n"),
            // Breaks off in the middle; from then on there is another file of the same length.
            1 => part(stream, &old[..], (range.0, old.len() / 2), "etag: \"old\"\r\n"),
            _ => part(stream, &new, range, "etag: \"new\"\r\n"),
        }
    });
    let store = Store::new(folder.path());
    let came = pull(&wanted(&network), &store, &network, &Stop::default(), |_| {}).expect("it comes");
    assert!(matches!(came, Pulled::Came(_)));
    assert!(std::fs::read(folder.path().join("m.bin")).expect("read") == expected, "a mixture");
    assert_eq!(names(&folder), [".m.bin.meetcap.json", "m.bin"]);
}

#[test]
fn without_a_digest_or_a_tag_the_file_comes_in_one_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (version(1), version(2));
    let expected = new.clone();
    let network = served(move |count, range, stream| match (count, range) {
        (0, Some(range)) => part(stream, &old, range, ""),
        (1, None) => whole(stream, &old, old.len() / 2),
        // Whoever asks for parts gets them, first of the one and then of the other.
        (1, Some((first, _))) => part(stream, &old, (first, old.len() / 2), ""),
        (_, None) => whole(stream, &new, new.len()),
        (_, Some(range)) => part(stream, &new, range, ""),
    });
    let store = Store::new(folder.path());
    pull(&wanted(&network), &store, &network, &Stop::default(), |_| {}).expect("it comes");
    assert!(std::fs::read(folder.path().join("m.bin")).expect("read") == expected, "a mixture");
}

#[test]
fn a_server_that_always_breaks_off_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = served(|_, _, stream| whole(stream, &version(1), 1000));
    let store = Store::new(folder.path());
    let failed = pull(&wanted(&network), &store, &network, &Stop::default(), |_| {});
    assert!(matches!(failed, Err(PullError::TooManyTries { .. })), "{failed:?}");
    assert!(!folder.path().join("m.bin").exists());
}

#[test]
fn a_server_that_says_nothing_does_not_keep_whoever_wants_to_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut kept = Vec::new();
    let network = served(move |_, _, stream| kept.push(stream.try_clone()));
    let (store, stop, began) = (Store::new(folder.path()), Stop::default(), Instant::now());
    let failed = pull(&wanted(&network), &store, &network, &stop, |_| stop.interrupt());
    assert!(matches!(failed, Err(PullError::Interrupted { .. })), "{failed:?}");
    assert!(began.elapsed() < network.stall, "it waited for the server");
}

#[test]
fn a_proxy_that_cannot_be_used_is_not_passed_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let direct = served(|_, _, stream| whole(stream, &version(1), version(1).len()));
    for proxy in ["socks5://me:word@127.0.0.1:1", "what is this", "ftp://127.0.0.1:1"] {
        let network = Network { http_proxy: Some(network::Secret(proxy.to_owned())), ..direct.clone() };
        let failed = pull(&wanted(&network), &Store::new(folder.path()), &network, &Stop::default(), |_| {});
        let Err(error @ PullError::Proxy { .. }) = failed else { panic!("{proxy}: {failed:?}") };
        assert!(!error.to_string().contains("word"), "{error}");
    }
}

#[test]
fn the_file_of_another_repository_is_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = served(|_, _, stream| whole(stream, &version(1), version(1).len()));
    let store = Store::new(folder.path());
    let from = |repo: &str| Wanted { address: network.address(repo, "main", "m.bin"), ..wanted(&network) };
    let fetch = |repo: &str| pull(&from(repo), &store, &network, &Stop::default(), |_| {});
    assert!(matches!(fetch("a/one"), Ok(Pulled::Came(_))));
    assert!(matches!(fetch("a/one"), Ok(Pulled::WasHere(_))));
    let other = fetch("a/other");
    assert!(matches!(other, Err(PullError::Store(StoreError::Another { .. }))), "{other:?}");
}
