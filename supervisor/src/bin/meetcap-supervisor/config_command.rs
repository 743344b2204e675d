//! `config`: what is set and who set it, as a configuration file for people or as JSON for programs. This is what
//! was asked for, so it goes to standard output.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use meetcap_supervisor::ExitCode;
use meetcap_supervisor::config::{self, Arguments, ConfigError, Loaded, Shown, Value, format_duration};
use serde_json::json;

use super::Refusal;
use super::args::{ConfigArgs, ConfigCommand};
use super::render::{json_for_terminal, printable, turns_direction};

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

pub(crate) fn run(args: &ConfigArgs) -> Result<ExitCode, Refusal> {
    let path = config::path(args.config.as_deref());
    match args.command {
        ConfigCommand::Show { json } => {
            let loaded = config::load(args.config.as_deref(), Arguments::default())?;
            for ignored in &loaded.provenance.ignored {
                eprintln!("note: {}", printable(&ignored.to_string()));
            }
            let path = path.ok();
            let text = if json { object(&loaded, path.as_deref()) } else { file(&loaded, path.as_deref()) };
            Ok(write(text.as_bytes()))
        }
        ConfigCommand::Path => {
            let path = path?;
            // The very bytes of the name, for whoever opens the file by them.
            let code = write(path.as_os_str().as_encoded_bytes());
            eprintln!("note: {}", if path.exists() { "this file is there" } else { "there is no such file" });
            Ok(code)
        }
        ConfigCommand::Init => init(&path?),
    }
}

/// Writes a file that changes nothing yet. One that is there belongs to whoever wrote it.
fn init(path: &Path) -> Result<ExitCode, Refusal> {
    let shown = printable(&path.display().to_string());
    let cannot = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Refusal::new(
            ExitCode::Usage,
            format!(
                "`{shown}` is there already and is not rewritten; `meetcap-supervisor config init --config NEW.toml` writes \
                 the text elsewhere, to copy from"
            ),
        ),
        _ => {
            Refusal::new(ExitCode::Output, format!("cannot write `{shown}`: {error}; name another file with --config"))
        }
    };
    if path.exists() {
        return Err(cannot(ErrorKind::AlreadyExists.into()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let mut file = tempfile::Builder::new().prefix(".config-").tempfile_in(folder).map_err(cannot)?;
    file.write_all(template().as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(cannot)?;
    // Whoever else makes it in this moment has made it.
    file.persist_noclobber(path).map_err(|error| cannot(error.error))?;
    eprintln!("written: {shown}; every setting is in it, commented out");
    Ok(ExitCode::Done)
}

/// Every setting with what it does, commented out: taking a `#` away sets what holds anyway.
fn template() -> String {
    let mut text = "\
# Settings of meetcap-supervisor. Each is commented out and shows what holds without it; take the # away to
# change one. `meetcap-supervisor config show` tells what holds, and who said so. meetcap reads this file as well.
"
    .to_owned();
    // The file is at home wherever that is.
    let at_home = |name: &str| config::is_home(name).then(|| "~".into());
    let (config, provenance) =
        config::resolve(None, at_home, Arguments::default()).expect("no layer, so no mistake in one");
    let settings = config::shown(&config, &provenance);
    for section in settings.chunk_by(|one, next| one.section == next.section) {
        text.push_str(&format!("\n[{}]\n", section[0].section));
        let mut said = "";
        for shown in section {
            if shown.about != said {
                said = shown.about;
                text.push_str(&remark(said));
            }
            let line = match value(shown) {
                Some(value) => format!("#{} = {value}\n", key(shown)),
                None => format!("#{} =   # without it: {}\n", key(shown), shown.unset),
            };
            text.push_str(&line);
        }
    }
    text.push_str("\n[supervisor.models]\n");
    text.push_str(&remark(config::MODELS_ABOUT));
    text.push_str("# minutes = \"https://host/path/minutes.gguf\"\n");
    text
}

fn write(line: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::Done,
        Err(error) => {
            eprintln!("error: cannot write the configuration: {error}");
            ExitCode::Output
        }
        Ok(()) => ExitCode::Done,
    }
}

/// The settings as a file that would set the same.
fn file(loaded: &Loaded, path: Option<&Path>) -> String {
    let mut text = match (path, &loaded.file) {
        (Some(path), Some(_)) => format!("# {}\n", printable(&path.display().to_string())),
        (Some(path), None) => format!("# {} (there is no such file)\n", printable(&path.display().to_string())),
        (None, _) => "# no file, as there is no home folder\n".to_owned(),
    };
    let settings = config::shown(&loaded.config, &loaded.provenance);
    for section in settings.chunk_by(|one, next| one.section == next.section) {
        text.push_str(&format!("\n[{}]\n", section[0].section));
        for line in lines(section) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// A line for each setting of a section; equals signs and remarks stand below each other.
fn lines(section: &[Shown]) -> Vec<String> {
    /// Beyond this a remark is not moved to the right for the sake of one long value.
    const WIDEST: usize = 40;
    let rows: Vec<(String, Option<String>)> = section.iter().map(|shown| (key(shown), value(shown))).collect();
    let set = || rows.iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    let keys = set().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let values = set().map(|(_, value)| value.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let line = |(shown, (key, value)): (&Shown, &(String, Option<String>))| {
        let source = printable(&shown.source.to_string());
        match (value, &shown.value) {
            (Some(value), _) => format!("{key:<keys$} = {value:<values$}  # from {source}"),
            (None, None) => format!("# {key} is not set by default: {}", shown.unset),
            (None, Some(_)) => format!("# {key} is from {source} and no UTF-8, so it cannot stand in a file"),
        }
    };
    section.iter().zip(&rows).map(line).collect()
}

/// Words behind a `#`, in lines that fit a terminal.
fn remark(words: &str) -> String {
    const WIDEST: usize = 100;
    let (mut text, mut line) = (String::new(), "#".to_owned());
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDEST {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

fn key(shown: &Shown) -> String {
    let key = shown.key.to_string_lossy();
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) { key.into_owned() } else { quoted(&key) }
}

/// As in a file; `None` for what is not set, and for what cannot stand there.
fn value(shown: &Shown) -> Option<String> {
    in_file(shown.value.as_ref()?)
}

fn in_file(value: &Value) -> Option<String> {
    Some(match value {
        Value::Switch(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::Path(path) => quoted(path.to_str()?),
        Value::Duration(duration) => quoted(&format_duration(*duration)),
        Value::Table(fields) => {
            let fields: Option<Vec<String>> =
                fields.iter().map(|(key, value)| Some(format!("{key} = {}", in_file(value)?))).collect();
            format!("{{ {} }}", fields?.join(", "))
        }
    })
}

/// A string of TOML. What commands a terminal or turns the direction of writing is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || turns_direction(c) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn in_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Switch(on) => json!(on),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Path(path) => json!(path.to_string_lossy()),
        Value::Duration(duration) => json!(duration.as_secs()),
        Value::Table(fields) => fields.iter().map(|(key, value)| ((*key).to_owned(), in_json(value))).collect(),
    }
}

/// The settings as programs see them: `.memory.warning_threshold.value` and `.source`.
fn object(loaded: &Loaded, path: Option<&Path>) -> String {
    let file = json!({ "path": path.map(Path::to_string_lossy), "exists": loaded.file.is_some() });
    let mut root = json!({ "file": file });
    for shown in config::shown(&loaded.config, &loaded.provenance) {
        let value = shown.value.as_ref().map(in_json);
        // `supervisor.fallback` lies inside of `supervisor`; what is not there yet comes into being.
        let section = shown.section.split('.').fold(&mut root, |place, name| &mut place[name]);
        section[&*shown.key.to_string_lossy()] = json!({ "value": value, "source": shown.source.to_string() });
    }
    json_for_terminal(&root)
}
