//! The files under `supervisor/docs/results`: one criterion each, measured figures with their targets.

use std::path::{Path, PathBuf};

use crate::json::{Json, quoted};

/// Where they lie, from the root.
pub(crate) const FOLDER: &str = "supervisor/docs/results";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// In words; empty when the figure only informs.
    pub(crate) target: String,
    /// `None` when there is no target.
    pub(crate) met: Option<bool>,
}

impl Figure {
    /// One that only informs.
    pub(crate) fn plain(name: &str, value: f64, unit: &str) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned(), target: String::new(), met: None }
    }

    pub(crate) fn at_most(name: &str, value: f64, unit: &str, limit: f64) -> Self {
        let target = if limit == 0.0 { "0".to_owned() } else { format!("≤ {limit}") };
        Self { target, met: Some(value <= limit), ..Self::plain(name, value, unit) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measurement {
    pub(crate) criterion: u8,
    pub(crate) name: String,
    pub(crate) command: String,
    /// Processor, cores, kernel.
    pub(crate) machine: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) notes: Vec<String>,
}

impl Measurement {
    /// Whether every target was met.
    pub(crate) fn met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met != Some(false))
    }

    pub(crate) fn to_json(&self) -> String {
        let figures: Vec<String> = self.figures.iter().map(figure_json).collect();
        let notes: Vec<String> = self.notes.iter().map(|note| format!("    {}", quoted(note))).collect();
        let list = |items: &[String]| match items {
            [] => "[]".to_owned(),
            items => format!("[\n{}\n  ]", items.join(",\n")),
        };
        format!(
            "{{\n  \"criterion\": {},\n  \"name\": {},\n  \"command\": {},\n  \"machine\": {},\n  \"figures\": {},\n  \
             \"notes\": {}\n}}\n",
            self.criterion,
            quoted(&self.name),
            quoted(&self.command),
            quoted(&self.machine),
            list(&figures),
            list(&notes)
        )
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let json = Json::parse(text)?;
        let criterion = json.number("criterion").filter(|number| (1.0..=99.0).contains(number));
        let text = |key: &str| json.text(key).map(str::to_owned).ok_or_else(|| format!("no `{key}`"));
        let figures = json.list("figures").iter().map(read_figure).collect::<Result<_, _>>()?;
        let note = |note: &Json| match note {
            Json::Text(note) => Ok(note.clone()),
            other => Err(format!("{other:?} is no note")),
        };
        Ok(Self {
            criterion: criterion.map(|number| number as u8).ok_or("no `criterion`")?,
            name: text("name")?,
            command: text("command")?,
            machine: text("machine")?,
            figures,
            notes: json.list("notes").iter().map(note).collect::<Result<_, _>>()?,
        })
    }
}

fn figure_json(figure: &Figure) -> String {
    let met = figure.met.map_or("null".to_owned(), |met| met.to_string());
    format!(
        "    {{ \"name\": {}, \"value\": {}, \"unit\": {}, \"target\": {}, \"met\": {met} }}",
        quoted(&figure.name),
        figure.value,
        quoted(&figure.unit),
        quoted(&figure.target)
    )
}

fn read_figure(json: &Json) -> Result<Figure, String> {
    let text = |key: &str| json.text(key).map(str::to_owned).ok_or_else(|| format!("a figure without `{key}`"));
    let value = json.number("value").ok_or("a figure without `value`")?;
    Ok(Figure { name: text("name")?, value, unit: text("unit")?, target: text("target")?, met: json.flag("met") })
}

/// All that are there, by criterion and name.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Measurement>, String> {
    let entries = std::fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let mut all = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| (a.criterion, &a.name).cmp(&(b.criterion, &b.name)));
    Ok(all)
}

fn read(file: &Path) -> Result<Measurement, String> {
    let failed = |cause: String| format!("{} could not be read: {cause}", file.display());
    let text = std::fs::read_to_string(file).map_err(|cause| failed(cause.to_string()))?;
    Measurement::from_json(&text).map_err(failed)
}

/// Writes `<name>.json`.
pub(crate) fn write(root: &Path, name: &str, measurement: &Measurement) -> Result<PathBuf, String> {
    let folder = root.join(FOLDER);
    let file = folder.join(format!("{name}.json"));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, measurement.to_json()));
    written.map_err(|cause| format!("{} could not be written: {cause}", file.display()))?;
    Ok(file)
}

/// Processor, cores and kernel of this machine, without its name.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, kernel.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_read_as_it_was_written() {
        let measurement = Measurement {
            criterion: 9,
            name: "stop \"it\"".to_owned(),
            command: "cargo xtask bench".to_owned(),
            machine: "a processor, 2 cores".to_owned(),
            figures: vec![Figure::at_most("a", 1.25, "ms", 5.0), Figure::plain("b", 3.0, "")],
            notes: vec!["said".to_owned()],
        };
        assert_eq!(Measurement::from_json(&measurement.to_json()), Ok(measurement.clone()));
        assert!(measurement.met());
        let figures = vec![Figure::at_most("a", 1.0, "", 0.0)];
        assert!(!Measurement { figures, notes: Vec::new(), ..measurement }.met());
    }
}
