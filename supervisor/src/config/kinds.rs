//! The kinds of settings: how each is read from a file and from a variable, what it allows, and how it is shown.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::document::Given;
use super::places::Places;
use super::shown::Value;
use super::{Device, parse_duration};
use crate::input::parse_language;

/// A reading, or what would have been allowed.
pub(super) type Reading<T> = Result<T, &'static str>;

/// One setting.
pub(super) struct Setting<T> {
    /// With its section, `memory.warning_threshold`.
    pub(super) name: &'static str,
    pub(super) read: fn(Given<'_>, &Places) -> Reading<T>,
    pub(super) variable: Option<Variable<T>>,
    pub(super) show: fn(&T) -> Value,
}

/// The variable that a setting can be given in. Text for people: blanks around it do not count.
pub(super) struct Variable<T> {
    pub(super) name: &'static str,
    pub(super) read: fn(&OsStr) -> Reading<T>,
}

const PERCENT: &str = "a whole number from 1 to 100";
const THREADS: &str = "a whole number from 1 to 1024";
const LAYERS: &str = "a whole number from 0 to 99999";
const WORDS: &str = "true, false, 1, 0, yes, no, on or off";

pub(super) fn switch(name: &'static str, variable: Option<&'static str>) -> Setting<bool> {
    Setting {
        name,
        read: |given, _| match given {
            Given::Switch(on) => Ok(on),
            _ => Err("true or false"),
        },
        variable: variable.map(|name| Variable { name, read: |text| word(text).ok_or(WORDS) }),
        show: |on| Value::Switch(*on),
    }
}

/// Python's `bool("false")` is true; here it is not.
fn word(text: &OsStr) -> Option<bool> {
    let text = text.to_str()?.trim().to_ascii_lowercase();
    match text.as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn percent(name: &'static str, variable: &'static str) -> Setting<u8> {
    Setting {
        name,
        read: |given, _| whole(given).filter(is_percent).ok_or(PERCENT),
        variable: Some(Variable {
            name: variable,
            read: |text| {
                let percent = text.to_str().and_then(|text| text.trim().parse().ok());
                percent.filter(is_percent).ok_or(PERCENT)
            },
        }),
        show: |percent| Value::Number((*percent).into()),
    }
}

fn is_percent(number: &u8) -> bool {
    (1..=100).contains(number)
}

pub(super) fn threads(name: &'static str) -> Setting<u16> {
    Setting {
        name,
        read: |given, _| whole(given).filter(|threads| (1..=1024).contains(threads)).ok_or(THREADS),
        variable: None,
        show: |threads| Value::Number((*threads).into()),
    }
}

pub(super) fn layers(name: &'static str) -> Setting<u32> {
    Setting {
        name,
        read: |given, _| whole(given).filter(|layers| *layers <= 99_999).ok_or(LAYERS),
        variable: None,
        show: |layers| Value::Number((*layers).into()),
    }
}

fn whole<T: TryFrom<i64>>(given: Given<'_>) -> Option<T> {
    match given {
        Given::Whole(number) => number.try_into().ok(),
        _ => None,
    }
}

pub(super) fn language(name: &'static str) -> Setting<String> {
    Setting {
        name,
        read: |given, _| {
            text(given).and_then(|code| parse_language(code).ok()).ok_or("whisper's code of a language (en, de, ja, …)")
        },
        variable: None,
        show: |code| Value::Text(code.clone()),
    }
}

pub(super) fn device(name: &'static str) -> Setting<Device> {
    Setting {
        name,
        read: |given, _| text(given).and_then(|name| name.parse().ok()).ok_or("cpu, cuda, metal or vulkan"),
        variable: None,
        show: |device| Value::Text(device.to_string()),
    }
}

pub(super) fn duration(name: &'static str) -> Setting<Duration> {
    Setting {
        name,
        read: |given, _| {
            let duration = match given {
                Given::Text(text) => parse_duration(text),
                Given::Whole(seconds) => parse_duration(&seconds.to_string()),
                Given::Switch(_) | Given::Other => return Err(DURATION),
            };
            duration.map_err(|_| DURATION)
        },
        variable: None,
        show: |duration| Value::Duration(*duration),
    }
}

const DURATION: &str = "a time such as \"90s\", \"5m\" or \"1h30m\", or a whole number of seconds, at most 168h,";

pub(super) fn model(name: &'static str) -> Setting<PathBuf> {
    Setting {
        name,
        read: |given, places| places.model(text(given).ok_or("a model's name or path in quotes")?),
        variable: None,
        show: |model| Value::Path(model.clone()),
    }
}

pub(super) fn path(name: &'static str, variable: Option<&'static str>) -> Setting<PathBuf> {
    Setting {
        name,
        read: |given, places| places.path(text(given).ok_or("a path in quotes")?),
        // As a shell gave it: the shell has expanded `~`, and relative is to where the program was started.
        variable: variable.map(|name| Variable { name, read: |text| Ok(text.into()) }),
        show: |path| Value::Path(path.clone()),
    }
}

fn text(given: Given<'_>) -> Option<&str> {
    match given {
        Given::Text(text) => Some(text),
        _ => None,
    }
}

/// What stands in for a model: another one, or nothing.
pub(super) fn step(given: Given<'_>, places: &Places) -> Reading<Option<PathBuf>> {
    match given {
        Given::Switch(false) | Given::Text("none") => Ok(None),
        Given::Text(text) => places.model(text).map(Some),
        Given::Switch(true) | Given::Whole(_) | Given::Other => {
            Err("a smaller model's name or path in quotes, or false for none,")
        }
    }
}
