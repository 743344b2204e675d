//! Judges JSON by the published schemas, as far as these go: the parts of JSON Schema that they are made of.
//!
//! # Panics
//! A keyword that is not known here is never passed over.

use std::path::Path;

use serde_json::Value;

/// Keywords that bound nothing, or nothing beyond their `type`.
const SILENT: [&str; 6] = ["$schema", "$defs", "title", "description", "default", "format"];

/// A schema with its definitions.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Value,
}

impl Schema {
    /// The published schema of this name, such as `events`.
    ///
    /// # Panics
    /// When it is not there or no JSON.
    pub fn published(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/schema");
        let path = folder.join(format!("{name}.schema.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(serde_json::from_str(&text).expect("a schema is JSON"))
    }

    pub fn new(root: Value) -> Self {
        Self { root }
    }

    /// The whole of it, or the part that a pointer such as `/$defs/Event` leads to.
    ///
    /// # Panics
    /// When it leads nowhere.
    pub fn at(&self, pointer: &str) -> &Value {
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"))
    }

    /// What is wrong with `value`, by the whole schema.
    ///
    /// # Errors
    /// The first thing found, with where it is.
    pub fn judge(&self, value: &Value) -> Result<(), String> {
        self.judge_by("", value)
    }

    /// The same by a part.
    ///
    /// # Errors
    /// See [`Self::judge`].
    pub fn judge_by(&self, pointer: &str, value: &Value) -> Result<(), String> {
        self.check(self.at(pointer), value).map_err(|Wrong { place, what }| {
            let place = if place.is_empty() { "the whole" } else { &place };
            format!("{place} {what}")
        })
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<(), Wrong> {
        let Some(keywords) = schema.as_object() else { panic!("{schema} is no schema") };
        for (keyword, bound) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let reference = bound.as_str().and_then(|path| path.strip_prefix('#')).expect("a local reference");
                    self.check(self.at(reference), value)?;
                }
                "type" => wrong_unless(has_type(value, bound), || format!("is {value}, not of type {bound}"))?,
                "const" => wrong_unless(value == bound, || format!("is {value}, not {bound}"))?,
                "enum" => wrong_unless(parts(bound).contains(value), || format!("is {value}, none of {bound}"))?,
                "minimum" => wrong_unless(!is_less(value, bound), || format!("is {value}, less than {bound}"))?,
                "maximum" => wrong_unless(!is_less(bound, value), || format!("is {value}, more than {bound}"))?,
                "not" => {
                    wrong_unless(self.check(bound, value).is_err(), || format!("is {value}, which is not allowed"))?;
                }
                "allOf" => parts(bound).iter().try_for_each(|part| self.check(part, value))?,
                "anyOf" => self.matching(bound, value, |count| count > 0)?,
                "oneOf" => self.matching(bound, value, |count| count == 1)?,
                "required" => {
                    let missing = parts(bound).iter().filter_map(Value::as_str).find(|name| lacks(value, name));
                    wrong_unless(missing.is_none(), || format!("lacks {missing:?}"))?;
                }
                "properties" => {
                    for (name, property) in bound.as_object().into_iter().flatten() {
                        let inner = value.get(name).map_or(Ok(()), |inner| self.check(property, inner));
                        inner.map_err(|wrong| wrong.within(name))?;
                    }
                }
                "additionalProperties" => {
                    assert_eq!(bound, &Value::Bool(false), "`additionalProperties` is only known as false");
                    let known = |name: &str| keywords["properties"].get(name).is_some();
                    let strange = value.as_object().into_iter().flatten().find(|(name, _)| !known(name));
                    wrong_unless(strange.is_none(), || format!("has a strange {strange:?}"))?;
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(bound, item).map_err(|wrong| wrong.within(&index.to_string()))?;
                    }
                }
                silent if SILENT.contains(&silent) => {}
                unknown => panic!("the keyword `{unknown}` is not known here"),
            }
        }
        Ok(())
    }

    fn matching(&self, branches: &Value, value: &Value, is_enough: impl Fn(usize) -> bool) -> Result<(), Wrong> {
        let results: Vec<_> = parts(branches).iter().map(|branch| self.check(branch, value)).collect();
        let count = results.iter().filter(|result| result.is_ok()).count();
        wrong_unless(is_enough(count), || {
            let reasons: Vec<String> = results.into_iter().filter_map(Result::err).map(|wrong| wrong.what).collect();
            format!("is {value}, which {count} branches allow: {}", reasons.join("; "))
        })
    }
}

/// What is wrong, and where.
#[derive(Debug)]
struct Wrong {
    place: String,
    what: String,
}

impl Wrong {
    fn within(self, name: &str) -> Self {
        Self { place: format!("/{name}{}", self.place), ..self }
    }
}

fn wrong_unless(is_right: bool, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if is_right { Ok(()) } else { Err(Wrong { place: String::new(), what: what() }) }
}

fn parts(list: &Value) -> &[Value] {
    list.as_array().expect("a list").as_slice()
}

fn lacks(value: &Value, name: &str) -> bool {
    value.is_object() && value.get(name).is_none()
}

/// What is no number is neither less nor more.
fn is_less(one: &Value, other: &Value) -> bool {
    one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one < other)
}

fn has_type(value: &Value, bound: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the type `{unknown}` is not known here"),
    };
    match bound {
        Value::String(name) => is(name),
        names => parts(names).iter().filter_map(Value::as_str).any(is),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_bounds_what_it_says() {
        for (schema, right, wrong) in [
            (json!({"type": ["integer", "null"]}), json!(3), json!(3.5)),
            (json!({"type": "number"}), json!(3), json!("3")),
            (json!({"const": 1}), json!(1), json!(2)),
            (json!({"enum": ["a", "b"]}), json!("b"), json!("c")),
            (json!({"minimum": 0, "maximum": 255}), json!(255), json!(256)),
            (json!({"minimum": 0}), json!("text"), json!(-1)),
            (json!({"not": {"enum": ["a"]}}), json!("b"), json!("a")),
            (json!({"required": ["a"]}), json!({"a": null}), json!({"b": 1})),
            (json!({"properties": {"a": {"type": "string"}}}), json!({"b": 1}), json!({"a": 1})),
            (json!({"properties": {"a": {}}, "additionalProperties": false}), json!({"a": 1}), json!({"b": 1})),
            (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1])),
            (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!(null), json!(1)),
            (json!({"oneOf": [{"type": "number"}, {"minimum": 2}]}), json!(1), json!(2)),
            (json!({"allOf": [{"type": "number"}, {"minimum": 2}]}), json!(2), json!(1)),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}), json!(null), json!(1)),
        ] {
            let schema = Schema::new(schema);
            assert_eq!(schema.judge(&right), Ok(()), "{schema:?}");
            assert!(schema.judge(&wrong).is_err(), "{schema:?} lets {wrong} through");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let schema = json!({"properties": {"a": {"items": {"type": "string"}}}});
        assert_eq!(Schema::new(schema).judge(&json!({"a": ["b", 1]})), Err("/a/1 is 1, not of type \"string\"".into()));
    }

    #[test]
    #[should_panic(expected = "`pattern` is not known")]
    fn an_unknown_keyword_is_not_passed_over() {
        let _ = Schema::new(json!({"pattern": "a"})).judge(&json!("b"));
    }
}
