//! Lengths of time as people write them.

use std::time::Duration;

use thiserror::Error;

/// A week. Nobody waits longer, and no clock overflows by it.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// In the order in which they may follow each other.
const UNITS: [(char, u64); 3] = [('h', 3600), ('m', 60), ('s', 1)];

/// What is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("use hours, minutes and seconds, such as 90s, 5m or 1h30m, or a whole number of seconds; at most 168h")]
pub struct InvalidDuration;

/// Reads `90s`, `5m`, `1h30m` or a whole number of seconds, up to a week. Each unit comes at most once, larger ones
/// first.
///
/// # Errors
/// Anything else.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    seconds(text.trim()).map(Duration::from_secs).filter(|duration| *duration <= LONGEST).ok_or(InvalidDuration)
}

fn seconds(text: &str) -> Option<u64> {
    if is_number(text) {
        return text.parse().ok();
    }
    let (mut rest, mut total) = (text, 0_u64);
    for (unit, length) in UNITS {
        if let Some((number, after)) = rest.split_once(unit).filter(|(number, _)| is_number(number)) {
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

/// Digits and nothing else; no sign either.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes it so that [`parse_duration`] reads it; parts of a second are left out.
pub fn format_duration(duration: Duration) -> String {
    let (mut rest, mut text) = (duration.as_secs(), String::new());
    for (unit, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("0s", 0),
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("1h1s", 3601),
            ("2h0m5s", 7205),
            ("90m", 5400),
            (" 5m ", 300),
            ("168h", 604_800),
            ("604800", 604_800),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(expected)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "h",
            "-5",
            "+5",
            "-5s",
            "1.5h",
            "5x",
            "5 m",
            "1m1h",
            "1s1s",
            "1h30",
            "5M",
            "h5",
            "0x5",
            "5ms",
            "1d",
            "forever",
            "169h",
            "604801",
            "99999999999999999999",
            "18446744073709551615h",
            "5s\0",
            "٣s",
        ] {
            assert_eq!(parse_duration(text), Err(InvalidDuration), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(seconds in 0_u64..=604_800) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), near in "[0-9hms ]{0,30}") {
            let _ = (parse_duration(&text), parse_duration(&near));
        }
    }
}
