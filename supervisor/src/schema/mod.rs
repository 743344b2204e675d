//! The published shapes: JSON Schema made from the types themselves, and TypeScript declarations made from the schema.
//!
//! ```text
//!  Rust types ──schemars──► definitions ──► schema/*.schema.json
//!                                  └──────► schema/meetcap.d.ts
//! ```
//!
//! Built for tests only: no shipped program carries any of it. The tests make all files anew and compare them with those
//! that are committed; so neither can change without the other.

mod documents;
mod typescript;

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Definitions by name.
type Definitions = Map<String, Value>;

/// Lets a tagged union hold what is unknown today: one more branch, for every other tag. Clients pass over it.
pub(crate) fn open(schema: &mut Schema) {
    let Some(Value::Array(branches)) = schema.get_mut("oneOf") else { panic!("a tagged union has branches") };
    let tag = tag_of(branches).expect("every branch has the same tag");
    let known: Vec<Value> = branches.iter().map(|branch| branch["properties"][&tag]["const"].clone()).collect();
    branches.push(json!({
        "description": "One of a later version: pass over it.",
        "type": "object",
        "properties": { &tag: { "type": "string", "not": { "enum": known } } },
        "required": [tag],
    }));
}

/// The property that is a constant in every branch.
fn tag_of(branches: &[Value]) -> Option<String> {
    let constants = |branch: &Value| -> Vec<String> {
        let properties = branch["properties"].as_object().into_iter().flatten();
        properties.filter(|(_, property)| property.get("const").is_some()).map(|(name, _)| name.clone()).collect()
    };
    let (first, others) = branches.split_first()?;
    constants(first).into_iter().find(|tag| others.iter().all(|branch| constants(branch).contains(tag)))
}

/// Whether this branch stands for what [`open`] lets in.
fn is_open_branch(branch: &Value) -> bool {
    let mut properties = branch["properties"].as_object().into_iter().flatten();
    properties.any(|(_, property)| property.get("not").is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Every file, as it has to be.
    fn files() -> Vec<(&'static str, String)> {
        let documents = documents::all();
        let declarations = typescript::declarations(&documents);
        let json = |document: &Value| serde_json::to_string_pretty(document).expect("plain data") + "\n";
        let schemas = documents.iter().map(|document| (document.file, json(&document.json)));
        schemas.chain([("meetcap.d.ts", declarations)]).collect()
    }

    #[test]
    fn the_committed_schema_is_that_of_the_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
        let is_writing = std::env::var_os("MEETCAP_WRITE_SCHEMA").is_some();
        for (name, expected) in files() {
            let path = folder.join(name);
            if is_writing {
                fs::write(&path, &expected).expect("a writable folder");
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == expected,
                "supervisor/schema/{name} is not what the code says; write it anew and look at the difference:\n  \
                 MEETCAP_WRITE_SCHEMA=1 cargo test --release -p meetcap-supervisor --lib schema"
            );
        }
    }

    #[test]
    fn a_union_that_is_opened_keeps_its_branches_and_lets_others_in() {
        let branch = |name: &str| json!({"type": "object", "properties": {"kind": {"const": name}, "x": {}}});
        let mut schema = Schema::try_from(json!({"oneOf": [branch("a"), branch("b")]})).expect("a schema");
        open(&mut schema);
        let branches = schema.get("oneOf").and_then(Value::as_array).expect("branches");
        assert_eq!(branches.iter().map(is_open_branch).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(branches[2]["properties"]["kind"]["not"]["enum"], json!(["a", "b"]));
    }
}
