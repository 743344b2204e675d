//! Every setting as data for whoever shows them: a terminal, a program, a window.

use std::path::PathBuf;
use std::time::Duration;

use super::about::about;
use super::kinds::Setting;
use super::settings::{self, Slot, Visitor, walk};
use super::{Config, Fallback, Provenance, Source};
use crate::models::catalog::Addition;

/// A value of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Switch(bool),
    Number(u64),
    Text(String),
    /// Also a model's name.
    Path(PathBuf),
    Duration(Duration),
    /// Several under one name.
    Table(Vec<(&'static str, Value)>),
}

/// A setting, its value and where that comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `memory`, `supervisor`, `supervisor.fallback` or `supervisor.models`.
    pub section: &'static str,
    /// In `supervisor.fallback` a model.
    pub key: PathBuf,
    /// In `supervisor.fallback` also `false`, for no smaller model. `None` where nothing is set.
    pub value: Option<Value>,
    /// What holds where nothing is set.
    pub unset: &'static str,
    /// What it does, in a sentence; of a step in `supervisor.fallback`, what these do.
    pub about: &'static str,
    pub source: Source,
}

/// Every setting, section by section.
pub fn shown(config: &Config, provenance: &Provenance) -> Vec<Shown> {
    let mut list = List { provenance, shown: Vec::new() };
    walk(&mut config.clone(), &mut list);
    list.shown
}

struct List<'a> {
    provenance: &'a Provenance,
    shown: Vec<Shown>,
}

impl Visitor for List<'_> {
    fn setting<T>(&mut self, setting: &Setting<T>, slot: Slot<'_, T>) {
        let (value, unset) = match slot {
            Slot::Always(value) => (Some((setting.show)(value)), ""),
            Slot::Maybe(value, unset) => (value.as_ref().map(setting.show), unset),
        };
        let (section, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
        let source = self.provenance.of(setting.name);
        self.shown.push(Shown { section, key: key.into(), value, unset, about: about(setting.name), source });
    }

    fn fallback(&mut self, fallback: &mut Fallback) {
        for (from, to) in fallback.steps() {
            let value = to.map_or(Value::Switch(false), |to| Value::Path(to.to_path_buf()));
            let source = self.provenance.of_step(from);
            self.shown.push(Shown {
                section: settings::FALLBACK,
                key: from.to_path_buf(),
                value: Some(value),
                unset: "",
                about: about(settings::FALLBACK),
                source,
            });
        }
    }

    fn models(&mut self, models: &mut Vec<Addition>) {
        for model in models {
            self.shown.push(Shown {
                section: settings::MODELS,
                key: model.name().into(),
                value: Some(Value::Table(model.said())),
                unset: "",
                about: about(settings::MODELS),
                source: self.provenance.of_model(model.name()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_says_what_it_does() {
        let silent = |shown: &Shown| shown.about.is_empty() || shown.about.contains("  ");
        let settings = shown(&Config::default(), &Provenance::default());
        let silent: Vec<_> = settings.iter().filter(|setting| silent(setting)).collect();
        assert!(settings.len() > 20 && silent.is_empty(), "{silent:?}");
    }
}
