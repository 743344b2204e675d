//! Which types are published in which file.

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::Definitions;
use crate::event::{Event, Stamped};
use crate::leak::Account;
use crate::memory::{Ledger, Moment};
use crate::output::Transcript;
use crate::planning::Estimate;
use crate::queue::{JobState, JobStatus};
use crate::server::params::{
    Cancel, EstimateModel, Initialized, Jobs, Memory, Models, Pull, PulledModel, ShutDown, Status, Submit, Submitted,
    Summarize,
};
use crate::server::rpc::{ModelsProgress, Notification, RpcError};

/// A file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: &'static str,
    pub(super) json: Value,
}

/// All files, in the order in which they are declared.
pub(super) fn all() -> Vec<Document> {
    vec![events(), rpc(), ledger(), transcript(), leak_check()]
}

fn events() -> Document {
    let title = "An event of meetcap-supervisor: one line of `run --events jsonl`";
    document("events.schema.json", title, &reference::<Stamped>(), Given::default().with::<Event>().with::<Stamped>())
}

fn ledger() -> Document {
    let title = "The account of a run of meetcap-supervisor: `<stem>.run.json`";
    document("ledger.schema.json", title, &reference::<Ledger>(), Given::default().with::<Moment>().with::<Ledger>())
}

fn transcript() -> Document {
    let title = "A transcript of meetcap-supervisor: `<stem>.transcript.json`";
    document("transcript.schema.json", title, &reference::<Transcript>(), Given::default().with::<Transcript>())
}

fn leak_check() -> Document {
    let title = "What a leak check of meetcap-supervisor found: `leak-check --json FILE`";
    document("leak.schema.json", title, &reference::<Account>(), Given::default().with::<Account>())
}

/// A method: its name, what it takes, what it gives.
type Method = (&'static str, Value, Value);

fn rpc() -> Document {
    let mut taken = Taken::default();
    let mut given = Given::default().with::<Event>().with::<Stamped>().with::<JobState>();
    let nothing = || json!({ "type": "object", "description": "Nothing is needed; what is there is passed over." });
    let methods: [Method; 11] = [
        ("initialize", nothing(), given.add::<Initialized>()),
        ("job/submit", taken.add::<Submit>(), given.add::<Submitted>()),
        ("job/summarize", taken.add::<Summarize>(), given.add::<Submitted>()),
        ("job/cancel", taken.add::<Cancel>(), given.add::<JobStatus>()),
        ("job/status", taken.add::<Status>(), given.add::<JobStatus>()),
        ("job/list", nothing(), given.add::<Jobs>()),
        ("memory/read", nothing(), given.add::<Memory>()),
        ("models/list", nothing(), given.add::<Models>()),
        ("models/estimate", taken.add::<EstimateModel>(), given.add::<Estimate>()),
        ("models/pull", taken.add::<Pull>(), given.add::<PulledModel>()),
        ("shutdown", taken.add::<ShutDown>(), json!({ "type": "null" })),
    ];
    given.add::<RpcError>();
    let notification = given.add::<Notification<'static>>();
    let progress = given.add::<ModelsProgress>();
    let mut definitions = given.finish();
    for (name, definition) in taken.finish() {
        let known = definitions.insert(name.clone(), definition.clone());
        assert!(known.is_none_or(|known| known == definition), "{name} is taken in another shape than it is given");
    }
    definitions.extend(envelopes(&methods));
    let message = json!({
        "description": "One line, in either direction. Requests may also come as a batch, in an array; \
            their answers then come in one.",
        "anyOf": [at("Request"), at("Success"), at("Failure"), notification, progress],
    });
    definitions.insert("Message".to_owned(), message);
    let title = "JSON-RPC 2.0 of `meetcap-supervisor serve`: one message a line";
    Document { file: "rpc.schema.json", json: with_definitions(title, &at("Message"), &definitions) }
}

/// What JSON-RPC puts around parameters and results.
fn envelopes(methods: &[Method]) -> [(String, Value); 5] {
    let version = json!({ "const": "2.0" });
    let id = json!({ "type": ["string", "number", "null"] });
    let method = |(name, params, result): &Method| {
        let both = json!({
            "type": "object", "properties": { "params": params, "result": result }, "required": ["params", "result"],
        });
        ((*name).to_owned(), both)
    };
    let names: Vec<&str> = methods.iter().map(|(name, ..)| *name).collect();
    let table: Definitions = methods.iter().map(method).collect();
    let request = |(name, params, _): &Method| {
        let properties =
            json!({ "jsonrpc": version, "id": at("RequestId"), "method": { "const": name }, "params": params });
        // Where nothing has to be given, nothing need be there.
        let required: &[&str] =
            if needs_params(name) { &["jsonrpc", "method", "params"] } else { &["jsonrpc", "method"] };
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let requests: Vec<Value> = methods.iter().map(request).collect();
    [
        ("RequestId".to_owned(), id),
        (
            "Methods".to_owned(),
            json!({
                "description": "No message, but a table: what each method takes and gives.",
                "type": "object", "properties": table, "required": names,
            }),
        ),
        (
            "Request".to_owned(),
            json!({ "description": "A call. One without `id` is not answered.", "oneOf": requests }),
        ),
        (
            "Success".to_owned(),
            json!({
                "description": "The answer to a call. What `result` is depends on the method: see `Methods`.",
                "type": "object",
                "properties": { "jsonrpc": version, "id": at("RequestId"), "result": {} },
                "required": ["jsonrpc", "id", "result"],
            }),
        ),
        (
            "Failure".to_owned(),
            json!({
                "description": "The answer to a call that was not carried out. `id` is null where none could be read.",
                "type": "object",
                "properties": { "jsonrpc": version, "id": at("RequestId"), "error": at("RpcError") },
                "required": ["jsonrpc", "id", "error"],
            }),
        ),
    ]
}

fn needs_params(method: &str) -> bool {
    matches!(method, "job/submit" | "job/summarize" | "job/cancel" | "job/status" | "models/estimate" | "models/pull")
}

fn at(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn reference<T: JsonSchema>() -> Value {
    at(&T::schema_name())
}

fn document(file: &'static str, title: &str, root: &Value, given: Given) -> Document {
    Document { file, json: with_definitions(title, root, &given.finish()) }
}

fn with_definitions(title: &str, root: &Value, definitions: &Definitions) -> Value {
    let twice = definitions.keys().find(|name| name.ends_with(|last: char| last.is_ascii_digit()));
    assert_eq!(twice, None, "two published types have the same name; rename one with `schemars(rename)`");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

/// Types as they are written.
#[derive(Debug)]
struct Given(SchemaGenerator);

/// Types as they are read.
#[derive(Debug)]
struct Taken(SchemaGenerator);

fn generator(contract: Contract) -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.contract = contract).into_generator()
}

impl Default for Given {
    fn default() -> Self {
        Self(generator(Contract::Serialize))
    }
}

impl Default for Taken {
    fn default() -> Self {
        Self(generator(Contract::Deserialize))
    }
}

impl Given {
    fn with<T: JsonSchema>(mut self) -> Self {
        self.add::<T>();
        self
    }

    fn add<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    fn finish(self) -> Definitions {
        finish(self.0)
    }
}

impl Taken {
    fn add<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    fn finish(self) -> Definitions {
        finish(self.0)
    }
}

fn finish(mut generator: SchemaGenerator) -> Definitions {
    let mut definitions = generator.take_definitions(true);
    share_unions(&mut definitions);
    definitions.values_mut().for_each(tidy);
    definitions
}

/// A type that was flattened into another stands there as a copy; a reference to it says the same and is read once.
fn share_unions(definitions: &mut Definitions) {
    for name in ["Event", "JobState", "Moment"] {
        let Some(branches) = definitions.get(name).map(|union| union["oneOf"].clone()) else { continue };
        for (other, definition) in definitions.iter_mut().filter(|(other, _)| *other != name) {
            let object = definition.as_object_mut().expect("a definition is an object");
            if object.get("oneOf") == Some(&branches) {
                object.remove("oneOf");
                let earlier = object.insert("allOf".to_owned(), json!([at(name)]));
                assert_eq!(earlier, None, "{other} has parts already");
            }
        }
    }
}

/// Descriptions are read outside of Rust: no links into its documentation, no line breaks of its sources.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = tidied(description);
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn tidied(description: &str) -> String {
    let paragraphs =
        description.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`").replace("`None`", "null")
}
