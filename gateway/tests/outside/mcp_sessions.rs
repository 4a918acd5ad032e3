//! Calls of the tool that keep a session: what is opened, what runs in it, and what is closed again.

use std::io;

use serde_json::{Value, json};

use crate::stage::{Client, Gateway, KeyFile, Message, Outcome, Supervisor, respond};

const PICTURE: &str = "iVBORw0KGgo=";

/// A supervisor that opens sessions, and whose cells do as they are told.
fn with_sessions() -> io::Result<Supervisor> {
    Supervisor::start(|request, stream| {
        let script = request.json()["script"].as_str().unwrap_or_default().to_owned();
        let session = request.header("x-cloister-session").unwrap_or_default().to_owned();
        match (request.start.as_str(), script.as_str()) {
            (start, _) if start.starts_with("POST /sessions ") => respond(stream, "201 Created", "", "{}"),
            (start, _) if start.starts_with("DELETE ") => respond(stream, "200 OK", "", "{}"),
            (_, "waits") => {
                let body = r#"{"error":{"code":"overloaded","message":"too many wait"}}"#;
                respond(stream, "429 Too Many Requests", "x-cloister-outcome: overloaded\r\n", body)
            }
            (_, "fails") => {
                let body = format!(
                    r#"{{"error":{{"code":"timeout","message":"m"}},"session":"{session}","restored":true,"not_kept":["a"]}}"#
                );
                respond(stream, "422 Unprocessable Entity", "x-cloister-outcome: timeout\r\n", &body)
            }
            _ => {
                let body = format!(r#"{{"text":"1","session":"{session}","display":[{{"image/png":"{PICTURE}"}}]}}"#);
                respond(stream, "200 OK", "x-cloister-outcome: returned\r\n", &body)
            }
        }
        .map(|()| true)
    })
}

/// The result of a call.
fn call(client: &mut Client, headers: &str, arguments: &Value) -> io::Result<Value> {
    let params = json!({"name": "execute_python", "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
    client.send(format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))?;
    Ok(client.response()?.json()["result"].clone())
}

fn lines(requests: &[Message]) -> Vec<&str> {
    requests.iter().map(|request| request.start.trim_end_matches(" HTTP/1.1")).collect()
}

#[test]
fn a_session_is_opened_for_its_first_cell_and_used_by_the_next() -> Outcome {
    let (supervisor, keys) = (with_sessions()?, KeyFile::new()?);
    // Who may have one request at once has one.
    let key = keys.add("one", &["--concurrency", "1", "--profiles", "small"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let (mut client, key) = (Client::connect(gateway.address)?, format!("authorization: Bearer {key}\r\n"));
    let files = json!([{"path": "a", "content": "x"}]);
    let new = json!({"session": "new", "script": "1", "profile": "small", "files": files, "timeout_ms": 5});
    let result = call(&mut client, &key, &new)?;
    let requests = supervisor.requests();
    assert_eq!(lines(&requests), ["POST /sessions", "POST /execute"]);
    assert_eq!(requests[0].body, br#"{"profile":"small","files":[{"path":"a","content":"x"}]}"#);
    assert_eq!(requests[1].body, br#"{"script":"1","timeout_ms":5}"#);
    let session = requests[0].header("x-cloister-id").unwrap_or_default();
    assert_eq!(requests[1].header("x-cloister-session"), Some(session));
    assert_ne!(requests[1].header("x-cloister-id"), Some(session));
    let expected = format!("result: 1\nshown: image/png\nsession: {session}");
    assert_eq!((&result["content"][0]["text"], &result["isError"]), (&json!(expected), &json!(false)));
    assert_eq!(result["content"][1], json!({"type": "image", "data": PICTURE, "mimeType": "image/png"}));

    let failed = call(&mut client, &key, &json!({"session": session, "code": "fails"}))?;
    let expected = format!(
        "error: timeout: m\nrestored: the session goes on as it was before this call\nnot brought back: a\nsession: {session}"
    );
    assert_eq!((&failed["content"][0]["text"], &failed["isError"]), (&json!(expected), &json!(true)));
    assert_eq!(lines(&supervisor.requests()), ["POST /sessions", "POST /execute", "POST /execute"]);
    Ok(())
}

#[test]
fn what_cannot_run_leaves_no_session_behind() -> Outcome {
    let (supervisor, keys) = (with_sessions()?, KeyFile::new()?);
    let key = format!("authorization: Bearer {}\r\n", keys.add("small", &["--profiles", "small"])?);
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    for (arguments, code) in [
        (json!({"session": "new", "code": "1"}), "forbidden"),
        (json!({"session": "new", "code": "1", "profile": "large"}), "forbidden"),
        (json!({"session": "new", "code": "", "profile": "small"}), "invalid_request"),
        (json!({"session": "new", "code": "1", "profile": "small", "stdin": "x"}), "invalid_request"),
        (json!({"session": "newer", "code": "1"}), "invalid_request"),
    ] {
        assert_eq!(call(&mut client, &key, &arguments)?["_meta"]["cloister/code"], code, "{arguments}");
    }
    assert!(supervisor.requests().is_empty());
    let refused = call(&mut client, &key, &json!({"session": "new", "code": "waits", "profile": "small"}))?;
    assert_eq!(refused["content"][0]["text"], "error: overloaded: too many wait");
    let requests = supervisor.requests();
    let session = requests[0].header("x-cloister-id").unwrap_or_default();
    let close = format!("DELETE /sessions/{session}");
    assert_eq!(lines(&requests), ["POST /sessions", "POST /execute", close.as_str()]);
    Ok(())
}
