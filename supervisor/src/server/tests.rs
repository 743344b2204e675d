use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::*;
use crate::programs::WorkerPrograms;

/// A client in memory. The supervisor has no worker programs: jobs are refused, or fail at sight.
struct Client {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
}

fn server() -> Server {
    let settings = Settings::new(Shelf::default());
    Server::new(Supervisor::new(WorkerPrograms::default()), settings)
}

/// What a client does with a server, and that the server ends after it.
async fn with_client<F: Future<Output = ()>>(talk: impl FnOnce(Client) -> F) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(near);
    let client = Client { lines: BufReader::new(reader).lines(), writer };
    let (far_reader, far_writer) = tokio::io::split(far);
    let (server, stop) = (server(), Stop::default());
    let both = async { tokio::join!(server.serve(far_reader, far_writer, &stop), talk(client)) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("an end in time");
}

impl Client {
    async fn send(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.expect("the server reads");
    }

    async fn receive(&mut self) -> Value {
        let line = self.lines.next_line().await.expect("text").expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()).await;
        let answer = self.receive().await;
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)), "{answer}");
        answer
    }
}

#[tokio::test]
async fn every_method_that_is_told_is_known_and_others_are_not() {
    with_client(|mut client| async move {
        let told = client.call("initialize", json!({"client": "a test", "anything": 1})).await;
        assert_eq!(told["result"]["protocol_version"], PROTOCOL_VERSION);
        let methods = told["result"]["capabilities"]["methods"].as_array().expect("a list").clone();
        for method in methods.iter().filter_map(Value::as_str).filter(|method| *method != "shutdown") {
            let answer = client.call(method, json!({})).await;
            assert_ne!(answer["error"]["code"], -32601, "{method}");
        }
        assert_eq!(client.call("models/push", json!({"name": "a"})).await["error"]["code"], -32601);
        assert_eq!(client.call("shutdown", json!({})).await["result"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn wrong_parameters_and_what_cannot_begin_are_told_apart() {
    with_client(|mut client| async move {
        for (params, says) in [
            (json!({}), "audio_path"),
            (json!({"audio_path": "a.wav", "audio": 1}), "unknown field"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "formats": ["doc"]}), "formats"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "language": "xx"}), "language"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "wait_for_memory": "soon"}), "wait"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "wait_for_memory": -1}), "wait"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "beam": 9}), "beam"),
            (json!({"audio_path": "a.wav", "stt": "m.bin", "no_summary": true, "llm": "x"}), "exclude"),
        ] {
            let answer = client.call("job/submit", params).await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
            assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains(says)), "{answer}");
        }
        let missing = json!({"audio_path": "/none/a.wav", "stt": "m.bin", "no_summary": true});
        let answer = client.call("job/submit", missing).await;
        assert_eq!(answer["error"]["code"], -32003, "{answer}");
        let data = json!({"class": "input", "exit_code": 3, "advice": "give_up"});
        assert_eq!(answer["error"]["data"], data, "{answer}");
        let answer = client.call("job/submit", json!({"audio_path": "/none/a.wav", "no_summary": true})).await;
        assert_eq!(answer["error"]["code"], -32004, "no model was named: {answer}");
        for method in ["job/cancel", "job/status"] {
            assert_eq!(client.call(method, json!({"job_id": 99})).await["error"]["code"], -32002);
        }
        assert_eq!(client.call("job/list", json!({})).await["result"]["jobs"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn notifications_are_not_answered_and_batches_are_answered_together() {
    with_client(|mut client| async move {
        client.send(r#"{"jsonrpc":"2.0","method":"job/list"}"#).await;
        client.send(r#"[{"jsonrpc":"2.0","method":"job/list"}]"#).await;
        client
            .send(r#"[{"jsonrpc":"2.0","id":1,"method":"job/list"},{"jsonrpc":"2.0","method":"job/list"},3,{"jsonrpc":"2.0","id":"z","method":"no"}]"#)
            .await;
        let answers = client.receive().await;
        let ids: Vec<&Value> = answers.as_array().expect("together").iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [&json!(1), &Value::Null, &json!("z")]);
    })
    .await;
}

#[tokio::test]
async fn a_line_that_is_too_long_or_no_text_is_refused_and_the_next_one_is_heard() {
    with_client(|mut client| async move {
        client.send(&"x".repeat(rpc::LONGEST_LINE + 1)).await;
        assert_eq!(client.receive().await["error"]["code"], -32600);
        client.writer.write_all(b"\xff\xfe\n").await.expect("the server reads");
        assert_eq!(client.receive().await["error"]["code"], -32700);
        let memory = client.call("memory/read", json!({})).await;
        assert!(memory["result"]["supervisor"]["anonymous"].as_u64().is_some_and(|bytes| bytes > 0), "{memory}");
        assert!(memory["result"]["system"]["limits"].is_array(), "{memory}");
    })
    .await;
}

#[tokio::test]
async fn after_the_end_nothing_is_taken() {
    with_client(|mut client| async move {
        client.call("shutdown", json!({"wait": true})).await;
        assert!(client.lines.next_line().await.expect("an end").is_none(), "the server is gone");
    })
    .await;
}
