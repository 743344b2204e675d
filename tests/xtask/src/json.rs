//! JSON, as much as the project's own result files and events need: a reader that builds a tree, and strings written.

use std::iter::Peekable;
use std::str::Chars;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    /// In the file's order.
    Object(Vec<(String, Json)>),
}

/// Deeper than anything that is written here.
const DEEPEST: usize = 32;

impl Json {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.chars().peekable() };
        let value = reader.value(0)?;
        reader.blanks();
        match reader.rest.next() {
            None => Ok(value),
            Some(extra) => Err(format!("`{extra}` behind the end")),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        match self.get(key) {
            Some(Self::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Self::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }
}

struct Reader<'text> {
    rest: Peekable<Chars<'text>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.rest.next_if(char::is_ascii_whitespace).is_some() {}
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        self.blanks();
        match self.rest.next() {
            Some(found) if found == wanted => Ok(()),
            found => Err(format!("{found:?} where `{wanted}` was due")),
        }
    }

    fn follows(&mut self, wanted: char) -> bool {
        self.blanks();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        self.blanks();
        match self.rest.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => self.string().map(Json::Text),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.expect('{')?;
        let mut members = Vec::new();
        while !self.follows('}') {
            if !members.is_empty() {
                self.expect(',')?;
            }
            self.blanks();
            let name = self.string()?;
            self.expect(':')?;
            members.push((name, self.value(depth + 1)?));
        }
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        self.expect('[')?;
        let mut items = Vec::new();
        while !self.follows(']') {
            if !items.is_empty() {
                self.expect(',')?;
            }
            items.push(self.value(depth + 1)?);
        }
        Ok(Json::List(items))
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            match self.rest.next().ok_or("a string without an end")? {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        Ok(match self.rest.next().ok_or("an escape without an end")? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let digits: String = self.rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).map_err(|_| format!("`\\u{digits}`"))?;
                // Half of a pair is shown as what it is: unreadable.
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        })
    }

    fn word(&mut self) -> Result<Json, String> {
        let mut word = String::new();
        while let Some(next) = self.rest.next_if(|next| next.is_ascii_alphanumeric() || "+-.".contains(*next)) {
            word.push(next);
        }
        match word.as_str() {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            number => number.parse().map(Json::Number).map_err(|_| format!("`{number}` is no value")),
        }
    }
}

/// A string as JSON wants it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_it_was_written() {
        let text = r#" {"a": [1, -2.5e3, "x\n\"\u00e9"], "b": {"c": true, "d": null}, "e": [] } "#;
        let json = Json::parse(text).expect("JSON");
        let items = [Json::Number(1.0), Json::Number(-2500.0), Json::Text("x\n\"é".to_owned())];
        assert_eq!(json.list("a"), items);
        assert_eq!(json.get("b").and_then(|b| b.flag("c")), Some(true));
        assert_eq!(json.get("b").and_then(|b| b.get("d")), Some(&Json::Null));
        assert_eq!((json.list("e"), json.list("none")), (&[][..], &[][..]));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "[1 2]", "{\"a\" 1}", "\"open", "tru", "1 2", "[1,]"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        assert!(Json::parse(&"[".repeat(1000)).is_err_and(|why| why.contains("deep")));
    }

    #[test]
    fn a_quoted_string_reads_back() {
        let text = "a \"b\" \\ c\nd\u{1}é";
        assert_eq!(Json::parse(&quoted(text)), Ok(Json::Text(text.to_owned())));
    }
}
