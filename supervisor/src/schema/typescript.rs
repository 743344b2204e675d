//! TypeScript declarations from a schema: of the parts of JSON Schema that ours is made of, and no others.
//!
//! # Panics
//! Whatever is unknown here, by its name: a declaration that says less than the schema would be a wrong one.

use std::fmt::Write;

use serde_json::Value;

use super::documents::Document;
use super::{Definitions, is_open_branch};

const HEAD: &str = "\
// What meetcap-supervisor writes and takes, as TypeScript sees it. Made from the schemas beside it; do not edit.
//
// Events, states, classes and the like may be added in later versions without another version number: have a `default`
// branch, and pass over what it is given.
";

/// Keywords that bound a value more tightly than a type of TypeScript can.
const FINER: [&str; 4] = ["format", "minimum", "maximum", "title"];
/// Those that [`Writer::type_of`] and its helpers look at.
const KNOWN: [&str; 14] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "items",
    "not",
    "oneOf",
    "properties",
    "required",
    "type",
];

/// One file for all of them. What several name is declared once.
pub(super) fn declarations(documents: &[Document]) -> String {
    let mut all = Definitions::new();
    for document in documents {
        for (name, definition) in document.json["$defs"].as_object().expect("definitions") {
            let known = all.insert(name.clone(), definition.clone());
            assert!(known.is_none_or(|known| known == *definition), "{name} has two shapes in {}", document.file);
        }
    }
    let mut text = HEAD.to_owned();
    for (name, definition) in &all {
        text.push('\n');
        text.push_str(&declaration(name, definition));
    }
    text
}

fn declaration(name: &str, schema: &Value) -> String {
    let comment = comment(schema, 0);
    if is_plain_object(schema) {
        format!("{comment}export interface {name} {}\n", object(schema, 0))
    } else {
        format!("{comment}export type {name} = {};\n", type_of(schema, 0))
    }
}

fn is_plain_object(schema: &Value) -> bool {
    schema.get("properties").is_some() && ["allOf", "anyOf", "oneOf"].iter().all(|key| schema.get(key).is_none())
}

fn type_of(schema: &Value, depth: usize) -> String {
    let Some(keywords) = schema.as_object() else { panic!("{schema} is no schema") };
    for key in keywords.keys().map(String::as_str) {
        assert!(KNOWN.contains(&key) || FINER.contains(&key), "no TypeScript is known for `{key}` in {schema}");
    }
    let parts = |key: &str| keywords.get(key).and_then(Value::as_array);
    let union = parts("oneOf").or(parts("anyOf")).map(|branches| union(branches, depth));
    let shared = parts("allOf").map(|all| all.iter().map(|part| type_of(part, depth)).collect::<Vec<_>>().join(" & "));
    if let Some(rest) = union.or(shared) {
        let own = keywords.get("properties").map(|_| object(schema, depth));
        return match own {
            Some(own) => format!("{own} & {rest}"),
            None => rest,
        };
    }
    if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
        return reference.strip_prefix("#/$defs/").expect("a definition").to_owned();
    }
    if let Some(constant) = keywords.get("const") {
        return constant.to_string();
    }
    if let Some(values) = parts("enum") {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match keywords.get("type") {
        None => "unknown".to_owned(),
        Some(Value::String(name)) => named(name, schema, depth),
        Some(Value::Array(names)) => {
            let names = names.iter().map(|name| named(name.as_str().expect("a type"), schema, depth));
            names.collect::<Vec<_>>().join(" | ")
        }
        Some(other) => panic!("{other} is no type"),
    }
}

fn named(name: &str, schema: &Value, depth: usize) -> String {
    match name {
        "null" | "boolean" | "string" | "number" => name.to_owned(),
        "integer" => "number".to_owned(),
        "array" => {
            let item = type_of(&schema["items"], depth);
            if item.contains([' ', '|']) { format!("({item})[]") } else { format!("{item}[]") }
        }
        "object" if schema.get("properties").is_some() => object(schema, depth),
        "object" => "Record<string, unknown>".to_owned(),
        unknown => panic!("no TypeScript is known for the type `{unknown}`"),
    }
}

/// A branch a line. What a later version may add would take the meaning from the tag, so it is left to the head's advice.
fn union(branches: &[Value], depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let branches: Vec<&Value> = branches.iter().filter(|branch| !is_open_branch(branch)).collect();
    if branches.iter().all(|branch| branch.get("properties").is_none() && branch.get("description").is_none()) {
        return branches.iter().map(|branch| type_of(branch, depth)).collect::<Vec<_>>().join(" | ");
    }
    let mut text = "(".to_owned();
    for branch in branches {
        let _ = write!(text, "\n{}{indent}| {}", comment(branch, depth + 1), type_of(branch, depth + 1));
    }
    let _ = write!(text, "\n{})", "  ".repeat(depth));
    text
}

fn object(schema: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut text = "{\n".to_owned();
    let mut properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    // What tells one branch from another is read first.
    properties.sort_by_key(|(_, property)| property.get("const").is_none());
    for (name, property) in properties {
        let is_required = required.contains(&Value::from(name.as_str()));
        let mark = if is_required { "" } else { "?" };
        let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let key = if is_word { name.clone() } else { Value::from(name.as_str()).to_string() };
        let default = property.get("default").filter(|default| !is_required && !default.is_null());
        text.push_str(&described(property, default, depth + 1));
        let _ = writeln!(text, "{indent}{key}{mark}: {};", type_of(property, depth + 1));
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

fn comment(schema: &Value, depth: usize) -> String {
    described(schema, None, depth)
}

/// The description and what stands for a value that is left out, or nothing.
fn described(schema: &Value, default: Option<&Value>, depth: usize) -> String {
    let description = schema["description"].as_str().unwrap_or_default();
    let default = default.map(|default| format!("@default {default}"));
    let lines: Vec<&str> = description.lines().chain(default.as_deref()).collect();
    let indent = "  ".repeat(depth);
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines: String =
                lines.iter().map(|line| format!("{}\n", format!("{indent} * {line}").trim_end())).collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_what_typescript_calls_them() {
        for (schema, expected) in [
            (json!({"type": "integer", "format": "uint8", "maximum": 255}), "number"),
            (json!({"type": ["string", "null"]}), "string | null"),
            (json!({"anyOf": [{"$ref": "#/$defs/Bytes"}, {"type": "null"}]}), "Bytes | null"),
            (json!({"type": "array", "items": {"type": ["string", "null"]}}), "(string | null)[]"),
            (json!({"type": "array", "items": {"$ref": "#/$defs/Limit"}}), "Limit[]"),
            (json!({"const": "2.0"}), "\"2.0\""),
            (json!({"enum": ["a", "b"], "type": "string"}), "\"a\" | \"b\""),
            (json!({}), "unknown"),
        ] {
            assert_eq!(type_of(&schema, 0), expected, "{schema}");
        }
    }

    #[test]
    fn objects_say_what_may_be_left_out_and_why() {
        let schema = json!({
            "type": "object",
            "description": "A thing.",
            "properties": {"a/b": {"type": "string"}, "c": {"type": "boolean", "description": "See.", "default": false}},
            "required": ["a/b"],
        });
        let expected = "/** A thing. */\nexport interface Thing {\n  \"a/b\": string;\n  /**\n   * See.\n   * @default false\n   */\n  c?: boolean;\n}\n";
        assert_eq!(declaration("Thing", &schema), expected);
    }

    #[test]
    #[should_panic(expected = "no TypeScript is known for `patternProperties`")]
    fn what_is_unknown_is_not_passed_over() {
        type_of(&json!({"type": "object", "patternProperties": {}}), 0);
    }
}
