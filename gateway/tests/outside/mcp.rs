//! The Model Context Protocol, message by message. The suite speaks it with the official client.

use std::io::Read;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::stage::{Client, Gateway, KeyFile, LONG, Message, Outcome, SCRIPT, Supervisor, respond, until};

/// Sends a message, with these further header lines.
fn post(client: &mut Client, headers: &str, method: &str, params: Value) -> std::io::Result<()> {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
    client.send(format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

fn call(client: &mut Client, headers: &str, arguments: Value) -> std::io::Result<Message> {
    post(client, headers, "tools/call", json!({"name": "execute_python", "arguments": arguments}))?;
    client.response()
}

/// The text of a result, and whether it is an error.
fn told(result: &Value) -> (String, bool) {
    let text = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(result.get("structuredContent").is_none(), "nothing is sent twice: {result}");
    (text, result["isError"] == true)
}

#[test]
fn the_one_tool_runs_scripts_by_way_of_the_supervisor() -> Outcome {
    let supervisor = Supervisor::start(|request, stream| {
        let fails = request.json()["script"] == "fails";
        let (status, body) = if fails {
            ("422 Unprocessable Entity", r#"{"error":{"code":"no_main","message":"none"}}"#)
        } else {
            ("200 OK", r#"{"result":1e400}"#)
        };
        respond(stream, status, "", body).map(|()| true)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;

    post(&mut client, "", "tools/list", json!({}))?;
    let tools = client.response()?.json()["result"]["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(1));
    assert_eq!(tools[0]["name"], "execute_python");
    assert_eq!(tools[0]["inputSchema"]["required"], json!(["script"]));

    let response = call(&mut client, "", json!({"script": "runs", "args": [1, 2.50]}))?;
    let result = &response.json()["result"];
    assert_eq!((response.status(), told(result)), (200, ("result: 1e400".to_owned(), false)));
    let id = response.header("x-cloister-id").unwrap_or_default();
    let request = &supervisor.requests()[0];
    assert_eq!(request.body, br#"{"script":"runs","entry":"auto","args":[1,2.5]}"#);
    assert_eq!(request.header("x-cloister-id"), Some(id));

    let failed = call(&mut client, "", json!({"script": "fails"}))?.json();
    assert_eq!(failed["result"]["_meta"]["cloister/code"], "no_main");
    assert_eq!(told(&failed["result"]), ("error: no_main: none".to_owned(), true));
    let wrong = call(&mut client, "", json!({"scirpt": "runs"}))?.json();
    assert_eq!(wrong["result"]["_meta"]["cloister/code"], "invalid_request");
    post(&mut client, "", "tools/call", json!({"name": "rm", "arguments": {}}))?;
    assert_eq!(client.response()?.json()["error"]["code"], -32602);
    assert_eq!(supervisor.requests().len(), 2);
    Ok(())
}

/// Sends a message as it is written.
fn send(client: &mut Client, body: &str) -> std::io::Result<Message> {
    client.send(format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    client.response()
}

#[test]
fn what_is_written_is_what_arrives_and_what_comes_back() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result": [1.50, 1E400, 12345678901234567890123]}"#)?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let call = r#"{"params":{"_meta":{"a":1},"arguments":{"script":"x","args":[0.10, 1E2]},"name":"execute_python"},"method":"tools/call","id":"\u0061","jsonrpc":"2.0"}"#;
    let response = send(&mut client, call)?;
    let body = String::from_utf8(response.body.clone())?;
    assert!(body.contains(r#""text":"result: [1.50, 1E400, 12345678901234567890123]""#), "{body}");
    assert_eq!((response.status(), &response.json()["id"]), (200, &json!("a")));
    assert_eq!(supervisor.requests()[0].body, br#"{"script":"x","entry":"auto","args":[0.10, 1E2]}"#);
    Ok(())
}

#[test]
fn a_message_is_checked_as_a_request_is() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let private = r#"{"\u0024serde_json::private::RawValue":"[1]"}"#;
    let with = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"execute_python","arguments":{arguments}}}}}"#
        )
    };
    for (arguments, expected) in [
        (format!(r#"{{"script":"x","args":[{private}]}}"#), "args: the key"),
        (r#"{"script":"x","kwargs":{"a":1,"a":2}}"#.to_owned(), "kwargs: duplicate key \"a\""),
        (format!(r#"{{"script":"x","args":{}{}}}"#, "[".repeat(9999), "]".repeat(9999)), "args: nested too deeply"),
        (r#"{"script":"x","script":"y"}"#.to_owned(), "duplicate field `script`"),
        (r#"{"code":"x","script":"x"}"#.to_owned(), "code and script are two names of one field"),
        (r#"{"code":"x","entry":"auto"}"#.to_owned(), "entry is \"auto\", expected"),
        (format!(r#"{{"code":"x","entry":{}{}}}"#, "[".repeat(9999), "]".repeat(9999)), "entry is an array"),
        (format!(r#"{{"code":"x","entry":"program","argv":[{private}]}}"#), "argv[0] is an object"),
        (format!(r#"{{"code":"x","entry":"program","argv":[{}1]}}"#, "\"x\",".repeat(100_000)), "argv has more than"),
        (r#"{"code":"x","entry":"program","argv":["\ud800"]}"#.to_owned(), "argv[0] is not valid Unicode"),
        (r#"{"code":"x","nan":{"null":"null"}}"#.to_owned(), "nan is an object"),
        ("null".to_owned(), "code is missing"),
    ] {
        let result = send(&mut client, &with(&arguments))?.json()["result"].clone();
        let (text, is_error) = told(&result);
        assert!(is_error && text.starts_with("error: invalid_request: ") && text.contains(expected), "{text}");
    }
    for (body, status, code) in [
        ("{".to_owned(), 400, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_owned(), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{private}}}"#), 400, -32600),
        (with(r#"{},"arguments":{}"#), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":"{}"}}"#, "x".repeat(20_000)), 413, -32600),
    ] {
        let response = send(&mut client, &body)?;
        assert_eq!((response.status(), &response.json()["error"]["code"]), (status, &json!(code)), "{body:.80}");
    }
    assert!(supervisor.requests().is_empty());
    assert_eq!(send(&mut client, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)?.json()["result"], json!({}));
    Ok(())
}

#[test]
fn an_answer_is_counted_as_long_as_it_is_here() -> Outcome {
    let large: &str = format!(r#"{{"result":"{}"}}"#, "x".repeat(600_000)).leak();
    let supervisor = Supervisor::answering("200 OK", "", large)?;
    let options = ["--max-body", "1000000", "--max-body-memory", "1000000"];
    let gateway = Gateway::start_with(&supervisor.socket, &options)?;
    let mut client = Client::connect(gateway.address)?;
    let result = call(&mut client, "", json!({"script": "x"}))?.json()["result"].clone();
    let (text, is_error) = told(&result);
    assert!(is_error && text.starts_with("error: overloaded: the script ran"), "{text}");

    let options = ["--max-body", "1000000", "--max-body-memory", "3800000"];
    let gateway = Gateway::start_with(&supervisor.socket, &options)?;
    let mut client = Client::connect(gateway.address)?;
    for _ in 0..3 {
        let result = call(&mut client, "", json!({"script": "x"}))?.json()["result"].clone();
        assert_eq!(told(&result).0.len(), 600_000 + "result: \"\"".len());
    }
    Ok(())
}

#[test]
fn files_come_back_as_what_they_are() -> Outcome {
    let supervisor = Supervisor::answering(
        "200 OK",
        "",
        r#"{"result":1,"truncated":["files"],"files":[
            {"name":"a/plot 1.png","size":2,"media_type":"image/png","content_base64":"AP8="},
            {"name":"b.csv","size":4,"media_type":"text/csv","content_base64":"w6ksMQ=="},
            {"name":"c.bin","size":2,"media_type":"application/octet-stream","content_base64":"AP8="},
            {"name":"d.txt","size":2,"media_type":"text/plain","content_base64":"AP8="},
            {"name":"e.png","size":9,"media_type":"image/png","omitted":"too large"},
            {"name":"f.txt","path":"f.txt","size":2,"media_type":"text/plain","content_base64":"QQE="}]}"#,
    )?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let files = json!([{"path": "in.txt", "content": "x"}, {"path": "in.bin", "content_base64": "AP8="}]);
    let result = call(&mut client, "", json!({"script": "x", "files": files}))?.json()["result"].clone();
    let request = supervisor.requests()[0].json();
    assert_eq!(request["files"], files);

    let content = result["content"].as_array().cloned().unwrap_or_default();
    let names =
        "out/a/plot 1.png\nout/b.csv\nout/c.bin\nout/d.txt\nout/e.png (not here: too large)\nf.txt\n(there were more)";
    assert_eq!(told(&result).0, format!("result: 1\nfiles, in the order in which they follow:\n{names}"));
    let resource = |what| json!({"type": "resource", "resource": what});
    assert_eq!(
        content[1..],
        [
            json!({"type": "image", "data": "AP8=", "mimeType": "image/png"}),
            resource(json!({"uri": "file:///out/b.csv", "mimeType": "text/csv", "text": "é,1"})),
            resource(json!({"uri": "file:///out/c.bin", "mimeType": "application/octet-stream", "blob": "AP8="})),
            resource(json!({"uri": "file:///out/d.txt", "mimeType": "text/plain", "blob": "AP8="})),
            resource(json!({"uri": "file:///f.txt", "mimeType": "text/plain", "blob": "QQE="})),
        ]
    );
    let wrong = call(&mut client, "", json!({"script": "x", "files": [{"path": "../x", "content": ""}]}))?.json();
    let (text, _) = told(&wrong["result"]);
    assert!(text.starts_with("error: invalid_request: files[0].path"), "{text}");
    Ok(())
}

#[test]
fn a_call_needs_a_key_and_counts_for_it() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    let key = keys.add("one", &["--rate", "1/h", "--burst", "1", "--profiles", "small"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    call(&mut client, "", json!({"script": "x"}))?.refusal(401, "unauthorized");
    let header = format!("authorization: Bearer {key}\r\n");
    let refused = call(&mut client, &header, json!({"script": "x"}))?.json();
    assert_eq!(refused["result"]["_meta"]["cloister/code"], "forbidden");
    call(&mut client, &header, json!({"script": "x"}))?.refusal(429, "rate_limited");
    assert!(supervisor.requests().is_empty());
    Ok(())
}

#[test]
fn pages_in_browsers_and_forged_names_are_refused() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let response = call(&mut client, "origin: http://localhost\r\n", json!({"script": "x"}))?;
    assert_eq!(response.status(), 403);
    let mut client = Client::connect(gateway.address)?;
    client.send("POST /mcp HTTP/1.1\r\nhost: rebound.example\r\ncontent-length: 0\r\n\r\n")?;
    assert_eq!(client.response()?.status(), 403);
    for method in ["GET", "DELETE"] {
        let mut client = Client::connect(gateway.address)?;
        client.send(format!("{method} /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
        client.response()?.refusal(405, "method_not_allowed");
    }
    assert!(supervisor.requests().is_empty());
    Ok(())
}

#[test]
fn a_client_that_hangs_up_takes_its_call_with_it() -> Outcome {
    let (left, leaving) = mpsc::channel();
    let supervisor = Supervisor::start(move |_, stream| {
        if matches!(stream.read(&mut [0; 1]), Ok(0)) {
            let _ = left.send(());
        }
        Ok(false)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    post(&mut client, "", "tools/call", json!({"name": "execute_python", "arguments": {"script": "x"}}))?;
    until("the job runs", || supervisor.requests().len() == 1);
    drop(client);
    leaving.recv_timeout(LONG)?;
    Ok(())
}

#[test]
fn the_log_has_no_word_of_a_call() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result":"printed"}"#)?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let arguments: Value = serde_json::from_str(SCRIPT)?;
    let id = call(&mut client, "", arguments)?.header("x-cloister-id").unwrap_or_default().to_owned();
    gateway.logged("the call", |line| line["id"] == id.as_str());
    let log = format!("{:?}", gateway.log());
    assert!(!log.contains("do not log me") && !log.contains("printed"), "{log}");
    Ok(())
}
