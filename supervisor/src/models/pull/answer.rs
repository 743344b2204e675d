//! What a server's answer means. Pure: numbers and headers in, a meaning out.

use std::time::Duration;

use crate::models::digest::Digest;

/// The headers that count, as text; what is no text is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) content_length: Option<u64>,
    pub(super) content_range: Option<String>,
    pub(super) etag: Option<String>,
    /// The hub's own: length, SHA-256 and revision of what a redirect leads to.
    pub(super) linked_size: Option<u64>,
    pub(super) linked_etag: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) retry_after: Option<String>,
}

/// What to do about an answer that is neither content nor a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The whole file, from its first byte.
    Whole,
    /// A part of it.
    Part(Range),
    Redirect(String),
    /// It will not become better by asking again.
    Refused,
    /// It may, after some time.
    Busy(Option<Duration>),
    /// No sense in it: another part than was asked for, or none.
    Nonsense(&'static str),
}

/// Bytes of a file, and how many it has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: u64,
}

impl Range {
    /// `bytes 0-99/1000`.
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self { first: first.parse().ok()?, last: last.parse().ok()?, total: total.parse().ok()? };
        (range.first <= range.last && range.last < range.total).then_some(range)
    }
}

impl Answer {
    /// `asked` are the first and the last byte that were asked for.
    pub(super) fn meaning(&self, asked: Option<(u64, u64)>, now: u64) -> Meaning {
        match self.status {
            200 => Meaning::Whole,
            206 => match (self.content_range.as_deref().and_then(Range::parse), asked) {
                (Some(range), Some((first, last))) if range.first == first && range.last <= last => {
                    Meaning::Part(range)
                }
                (Some(_), _) => Meaning::Nonsense("another part than was asked for"),
                (None, _) => Meaning::Nonsense("a part without saying which"),
            },
            301 | 302 | 303 | 307 | 308 => match &self.location {
                Some(location) => Meaning::Redirect(location.clone()),
                None => Meaning::Nonsense("a redirect to nowhere"),
            },
            408 | 425 | 429 | 500 | 502 | 503 | 504 => {
                Meaning::Busy(self.retry_after.as_deref().and_then(|text| wait(text, now)))
            }
            _ => Meaning::Refused,
        }
    }

    /// The SHA-256 that the hub tells; its other files have something shorter there.
    pub(super) fn linked_digest(&self) -> Option<Digest> {
        self.linked_etag.as_deref()?.trim_start_matches("W/").trim_matches('"').parse().ok()
    }

    /// An entity tag that stands for these very bytes.
    pub(super) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"') && etag.len() < 200)
    }
}

/// `Retry-After`: seconds, or a date.
fn wait(text: &str, now: u64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    let then = u64::try_from(then.as_second()).ok()?;
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// How long to wait before the `times`th try in a row that did not get further. `lot` between 0 and 1 spreads those who
/// failed together.
pub(super) fn backoff(first: Duration, times: u32, lot: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    let full = first.saturating_mul(1 << times.saturating_sub(1).min(10)).min(LONGEST);
    full.mul_f64(0.5 + lot.clamp(0.0, 1.0) / 2.0)
}

/// Where a redirect leads from here. `None` for what is no address.
pub(super) fn target(from: &str, location: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let location = location.split('#').next()?;
    let scheme_end = location.find("://").unwrap_or(usize::MAX);
    if scheme_end < location.find(['/', '?', '#']).unwrap_or(usize::MAX) {
        Some(location.to_owned())
    } else if let Some(other) = location.strip_prefix("//") {
        Some(format!("{scheme}://{other}"))
    } else if location.starts_with('/') {
        Some(format!("{scheme}://{authority}{location}"))
    } else {
        let path = rest[authority.len()..].split(['?', '#']).next()?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(format!("{scheme}://{authority}{folder}/{location}"))
    }
}

/// Whether two addresses lead to one file of one repository, at whichever mirror and revision.
pub(super) fn is_same_file(one: &str, other: &str) -> bool {
    fn file(address: &str) -> Option<(&str, Option<&str>)> {
        let path = address.split(['?', '#']).next()?.split_once("://")?.1.split_once('/')?.1;
        Some(match path.split_once("/resolve/") {
            Some((repo, rest)) => (repo, rest.split_once('/').map(|(_, file)| file)),
            None => (path, None),
        })
    }
    file(one).is_some() && file(one) == file(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        let part =
            |range: &str, asked| Answer { content_range: Some(range.to_owned()), ..answer(206) }.meaning(asked, 0);
        let good = Range { first: 10, last: 19, total: 100 };
        assert_eq!(part("bytes 10-19/100", Some((10, 19))), Meaning::Part(good));
        assert_eq!(part("bytes 10-19/100", Some((10, 50))), Meaning::Part(good), "less than was asked for will do");
        for range in [
            "bytes 9-19/100",
            "bytes 10-20/100",
            "bytes 10-19/*",
            "bytes */100",
            "bytes 19-10/100",
            "items 10-19/100",
            "bytes 10-19/19",
            "",
        ] {
            assert!(matches!(part(range, Some((10, 19))), Meaning::Nonsense(_)), "{range}");
        }
        assert!(matches!(part("bytes 10-19/100", None), Meaning::Nonsense(_)));
        assert!(matches!(answer(206).meaning(Some((0, 0)), 0), Meaning::Nonsense(_)));
    }

    #[test]
    fn what_may_become_better_is_waited_for_and_the_rest_is_not() {
        let after =
            |text: &str| Answer { retry_after: Some(text.to_owned()), ..answer(429) }.meaning(None, 784_111_777 - 60);
        assert_eq!(after("120"), Meaning::Busy(Some(Duration::from_secs(120))));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Meaning::Busy(Some(Duration::from_secs(60))));
        assert_eq!(after("Sun, 06 Nov 1990 08:49:37 GMT"), Meaning::Busy(Some(Duration::ZERO)), "in the past");
        for odd in ["soon", "-1", "1e9", ""] {
            assert_eq!(after(odd), Meaning::Busy(None), "{odd}");
        }
        for status in [500, 502, 503, 504, 408] {
            assert_eq!(answer(status).meaning(None, 0), Meaning::Busy(None), "{status}");
        }
        for status in [400, 401, 403, 404, 410, 416, 418, 501] {
            assert_eq!(answer(status).meaning(None, 0), Meaning::Refused, "{status}");
        }
        assert_eq!(answer(200).meaning(Some((5, 9)), 0), Meaning::Whole);
        assert!(matches!(answer(302).meaning(None, 0), Meaning::Nonsense(_)));
    }

    #[test]
    fn a_redirect_is_followed_from_where_it_was_said() {
        let from = "https://hub.example/a/resolve/main/b.bin?download=true";
        for (location, expected) in [
            ("https://cdn.example/x?y=1#z", "https://cdn.example/x?y=1"),
            ("/c/d", "https://hub.example/c/d"),
            ("/c?next=https://x", "https://hub.example/c?next=https://x"),
            ("other.bin", "https://hub.example/a/resolve/main/other.bin"),
            ("//cdn.example/x", "https://cdn.example/x"),
        ] {
            assert_eq!(target(from, location).as_deref(), Some(expected), "{location}");
        }
        assert_eq!(target("https://hub.example", "x").as_deref(), Some("https://hub.example/x"));
    }

    #[test]
    fn the_hubs_digest_is_one_of_64_digits_only() {
        let told = |etag: &str| Answer { linked_etag: Some(etag.to_owned()), ..answer(302) }.linked_digest();
        let digits = "ab".repeat(32);
        assert_eq!(told(&format!("\"{digits}\"")).map(|digest| digest.to_string()), Some(digits.clone()));
        assert!(told(&digits).is_some());
        assert!(told("\"a94a8fe5ccb19ba61c4c0873d391e987982fbbd3\"").is_none() && told("").is_none());
    }

    #[test]
    fn a_mirror_and_another_revision_have_the_same_file_and_another_repository_has_not() {
        let hub = "https://hub.example/a/b/resolve/main/q4.gguf";
        for (other, same) in [
            ("https://mirror.example/a/b/resolve/main/q4.gguf", true),
            ("https://hub.example/a/b/resolve/0123/q4.gguf?download=true", true),
            ("https://hub.example/a/c/resolve/main/q4.gguf", false),
            ("https://hub.example/a/b/resolve/main/q8.gguf", false),
            ("https://hub.example/q4.gguf", false),
            ("/home/me/q4.gguf", false),
        ] {
            assert_eq!(is_same_file(hub, other), same, "{other}");
        }
        assert!(!is_same_file("q4.gguf", "q4.gguf"), "no addresses");
    }

    #[test]
    fn waits_grow_and_are_spread() {
        let first = Duration::from_millis(500);
        assert_eq!(backoff(first, 1, 1.0), first);
        assert_eq!(backoff(first, 3, 1.0), first * 4);
        assert_eq!(backoff(first, 3, 0.0), first * 2);
        assert_eq!(backoff(first, u32::MAX, 1.0), Duration::from_secs(30));
    }
}
