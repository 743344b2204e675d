//! JSON-RPC 2.0 on the wire: what a line means, and what an answer looks like. Pure.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::errors::{Advice, ErrorClass};
use crate::event::Stamped;
use crate::exit_code::ExitCode;
use crate::queue::{JobId, SubmitError, Trouble};

/// Bytes of one line at most. The longest sensible request is a path of 4096 bytes, escaped.
pub const LONGEST_LINE: usize = 256 * 1024;
/// Requests in one batch at most.
pub const LARGEST_BATCH: usize = 100;

/// An error as JSON-RPC has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RpcError {
    /// From -32700 to -32600 as the standard says. The server's own are -32000 less the exit code that the command line
    /// would have ended with.
    pub code: i32,
    /// For people.
    pub message: String,
    /// Left out of the standard's errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// What a program needs to know of an error of the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorData {
    pub class: ErrorClass,
    /// The code that the command line would have ended with.
    pub exit_code: u8,
    pub advice: Advice,
}

impl RpcError {
    fn standard(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(super) fn parse(detail: impl Into<String>) -> Self {
        Self::standard(-32700, detail)
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::standard(-32600, detail)
    }

    pub(super) fn unknown_method(method: &str) -> Self {
        let shown: String = method.chars().take(60).collect();
        Self::standard(-32601, format!("there is no method `{shown}`; `initialize` tells which there are"))
    }

    pub(super) fn params(detail: impl Into<String>) -> Self {
        Self::standard(-32602, detail)
    }

    /// A job that nobody knows, or not any more.
    pub(super) fn unknown_job(id: JobId) -> Self {
        Trouble {
            message: format!("there is no job {id}; `job/list` tells those that are remembered"),
            class: ErrorClass::Input,
            exit_code: ExitCode::Usage.code(),
            advice: Advice::GiveUp,
        }
        .into()
    }
}

impl From<Trouble> for RpcError {
    fn from(Trouble { message, class, exit_code, advice }: Trouble) -> Self {
        let code = -32000 - i32::from(exit_code);
        Self { code, message, data: Some(ErrorData { class, exit_code, advice }) }
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        // Nothing was started, as with a refusal for memory.
        let (message, exit_code) = (error.to_string(), ExitCode::Refused.code());
        Trouble { message, class: ErrorClass::Environment, exit_code, advice: Advice::RetrySame }.into()
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// `None` of a notification, which is not answered.
    pub(super) id: Option<Value>,
    /// Or why it is none.
    pub(super) what: Result<Request, RpcError>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    One(Call),
    /// Answered together.
    Batch(Vec<Call>),
}

impl Message {
    /// Reads a line; one that is nothing becomes a call that fails.
    pub(super) fn read(line: &[u8]) -> Self {
        let failed = |error| Self::One(Call { id: Some(Value::Null), what: Err(error) });
        match serde_json::from_slice(line) {
            Err(error) => failed(RpcError::parse(format!("this line is not JSON: {error}"))),
            Ok(Value::Array(calls)) if calls.is_empty() => failed(RpcError::invalid("a batch of nothing")),
            Ok(Value::Array(calls)) if calls.len() > LARGEST_BATCH => {
                failed(RpcError::invalid(format!("a batch of more than {LARGEST_BATCH}; send several")))
            }
            Ok(Value::Array(calls)) => Self::Batch(calls.into_iter().map(Call::read).collect()),
            Ok(value) => Self::One(Call::read(value)),
        }
    }

    /// A line that was not kept.
    pub(super) fn too_long() -> Self {
        let error = RpcError::invalid(format!("a line of more than {LONGEST_LINE} bytes"));
        Self::One(Call { id: Some(Value::Null), what: Err(error) })
    }
}

impl Call {
    fn read(value: Value) -> Self {
        let failed = |id, detail: &str| Self { id: Some(id), what: Err(RpcError::invalid(detail)) };
        let Value::Object(mut call) = value else { return failed(Value::Null, "a call is an object") };
        let id = call.remove("id");
        if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
            return failed(Value::Null, "an id is a string, a number or null");
        }
        let shown = id.clone().unwrap_or(Value::Null);
        if call.get("jsonrpc") != Some(&json!("2.0")) {
            return failed(shown, "`jsonrpc` has to be \"2.0\"");
        }
        let Some(Value::String(method)) = call.remove("method") else {
            return failed(shown, "`method` has to be a string");
        };
        let params = match call.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Self { id, what: Err(RpcError::params("parameters are given by name, in an object")) },
        };
        Self { id, what: Ok(Request { method, params }) }
    }
}

/// The answer to one call.
pub(super) fn answer(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

/// An event of a job as it is told.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Notification<'a> {
    #[cfg_attr(test, schemars(extend("const" = "2.0")))]
    jsonrpc: &'static str,
    #[cfg_attr(test, schemars(extend("const" = "event")))]
    method: &'static str,
    params: Told<'a>,
}

/// An event object with its job.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Told<'a> {
    job_id: JobId,
    #[serde(flatten)]
    told: &'a Stamped,
}

/// How far a fetch of a model is.
#[cfg(feature = "pull")]
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ModelsProgress {
    #[cfg_attr(test, schemars(extend("const" = "2.0")))]
    jsonrpc: &'static str,
    #[cfg_attr(test, schemars(extend("const" = "models/progress")))]
    method: &'static str,
    params: PullProgress,
}

/// Of which model, and how far.
#[cfg(feature = "pull")]
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PullProgress {
    name: String,
    #[serde(flatten)]
    progress: crate::models::pull::Progress,
}

#[cfg(feature = "pull")]
impl ModelsProgress {
    pub(super) fn new(name: String, progress: crate::models::pull::Progress) -> Self {
        Self { jsonrpc: "2.0", method: "models/progress", params: PullProgress { name, progress } }
    }
}

impl<'a> Notification<'a> {
    pub(super) fn new(job_id: JobId, told: &'a Stamped) -> Self {
        Self { jsonrpc: "2.0", method: "event", params: Told { job_id, told } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> Option<i32> {
        match Message::read(line.as_bytes()) {
            Message::One(call) => call.what.err().map(|error| error.code),
            Message::Batch(calls) => calls.into_iter().find_map(|call| call.what.err()).map(|error| error.code),
        }
    }

    #[test]
    fn what_is_no_call_gets_the_standards_error() {
        for (line, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#, None),
            (r#"{"jsonrpc":"2.0","method":"a","params":{}}"#, None),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#, None),
            ("nonsense", Some(-32700)),
            (r#"{"jsonrpc":"2.0""#, Some(-32700)),
            ("\u{0}", Some(-32700)),
            ("[]", Some(-32600)),
            ("7", Some(-32600)),
            ("[7]", Some(-32600)),
            (r#"{"id":1,"method":"a"}"#, Some(-32600)),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#, Some(-32602)),
        ] {
            assert_eq!(code(line), expected, "{line}");
        }
        assert_eq!(code(&"[".repeat(100_000)), Some(-32700), "depth is bounded");
    }

    #[test]
    fn an_error_keeps_the_id_where_there_is_one() {
        let Message::One(call) = Message::read(br#"{"jsonrpc":"1.0","id":"x","method":"a"}"#) else { panic!("one") };
        assert_eq!(call.id, Some(json!("x")));
    }

    #[test]
    fn own_errors_tell_the_exit_code_twice() {
        let error = RpcError::unknown_job(JobId(3));
        assert_eq!((error.code, error.data.map(|data| data.exit_code)), (-32002, Some(2)));
    }
}
