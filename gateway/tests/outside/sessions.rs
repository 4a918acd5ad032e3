//! Sessions as far as they are the gateway's: who may have which, what goes to the supervisor, and what comes back.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use crate::stage::{Client, Gateway, KeyFile, Message, Outcome, Place, Supervisor, respond};

const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// A supervisor with one session, of the profile `small`.
fn with_a_session() -> io::Result<Supervisor> {
    Supervisor::start(|request, stream| answer(request, stream).map(|()| true))
}

fn answer(request: &Message, stream: &mut UnixStream) -> io::Result<()> {
    let mut line = request.start.split(' ');
    let (method, path) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    match (method, path.strip_prefix("/sessions")) {
        ("POST", Some("")) => respond(stream, "201 Created", "", r#"{"session":"…"}"#),
        ("GET", Some("")) => respond(stream, "200 OK", "", r#"{"sessions":[]}"#),
        ("GET", Some(rest)) if rest.ends_with("/files/big") => {
            let size = 3_000_000;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length";
            write!(stream, "{head}: {size}\r\n\r\n")?;
            stream.write_all(&vec![7; size])
        }
        ("PUT" | "DELETE", Some(_)) => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", Some(_)) => respond(stream, "200 OK", "", r#"{"interrupted":true}"#),
        ("GET", Some(rest)) if rest[1..] == *SESSION => {
            respond(stream, "200 OK", "", r#"{"session":"0","profile":"small","state":"idle"}"#)
        }
        (_, None) => respond(stream, "200 OK", "x-cloister-outcome: returned\r\n", r#"{"cell":1}"#),
        _ => {
            let outcome = "x-cloister-outcome: session_ended\r\n";
            respond(stream, "410 Gone", outcome, r#"{"error":{"code":"session_ended","reason":"idle"}}"#)
        }
    }
}

/// A whole request with these further header lines, and its response.
fn ask(client: &mut Client, line: &str, headers: &str, body: &str) -> io::Result<Message> {
    let length = body.len();
    client.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n{body}"))?;
    client.response()
}

fn cell(client: &mut Client, session: &str, headers: &str, body: &str) -> io::Result<Message> {
    let json = format!("content-type: application/json\r\n{headers}");
    ask(client, &format!("POST /sessions/{session}/execute"), &json, body)
}

fn lines(supervisor: &Supervisor) -> Vec<String> {
    let line = |request: &Message| request.start.trim_end_matches(" HTTP/1.1").to_owned();
    supervisor.requests().iter().map(line).collect()
}

#[test]
fn a_cell_is_a_script_that_says_of_which_session() -> Outcome {
    let supervisor = with_a_session()?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--metrics", "127.0.0.1:0"])?;
    let mut client = Client::connect(gateway.address)?;
    let response = cell(&mut client, SESSION, "x-cloister-explain: 1\r\n", r#"{"code": "x = 1", "timeout_ms": 5}"#)?;
    assert_eq!((response.status(), response.json()["cell"].as_u64()), (200, Some(1)));
    cell(&mut client, SESSION, "", r#"{"code": "x", "busy": "refuse"}"#)?;
    // Of which profile the session is was asked for once.
    let show = format!("GET /sessions/{SESSION}");
    assert_eq!(lines(&supervisor), [show.as_str(), "POST /execute", "POST /execute"]);
    let requests = supervisor.requests();
    assert_eq!(requests[1].body, br#"{"script":"x = 1","timeout_ms":5}"#);
    let [first, second] = [&requests[1], &requests[2]];
    assert_eq!([first, second].map(|request| request.header("x-cloister-session")), [Some(SESSION); 2]);
    assert_eq!([first, second].map(|request| request.header("x-cloister-busy")), [None, Some("refuse")]);
    assert_eq!([first, second].map(|request| request.header("x-cloister-explain")), [Some("1"), None]);
    assert_eq!(first.header("x-cloister-id"), response.header("x-cloister-id"));
    assert_eq!(gateway.metric("cloister_requests_total{outcome=\"returned\"}"), 2.0);
    Ok(())
}

#[test]
fn what_is_no_cell_and_no_session_goes_no_further() -> Outcome {
    let supervisor = with_a_session()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    for (body, expected) in
        [("{}", "code is missing"), (r#"{"code":"x","files":[]}"#, "unknown field `files`"), ("", "the body is empty")]
    {
        let message = cell(&mut client, SESSION, "", body)?.refusal(400, "invalid_request");
        assert!(message.contains(expected), "{message}");
    }
    let message = ask(&mut client, "POST /sessions", "content-type: application/json\r\n", r#"{"idle_s": 0}"#)?
        .refusal(400, "invalid_request");
    assert!(message.contains("idle_s is the number 0"), "{message}");
    ask(&mut client, &format!("POST /sessions/{SESSION}/execute"), "", "{}")?.refusal(415, "unsupported_media_type");
    for line in [
        "GET /sessions/1",
        "DELETE /sessions/..",
        "POST /sessions/%00/interrupt",
        "POST /sessions/x/fork",
        "GET /sessions/x/files/a",
    ] {
        let mut client = Client::connect(gateway.address)?;
        ask(&mut client, line, "", "")?.refusal(404, "not_found");
    }
    let mut client = Client::connect(gateway.address)?;
    cell(&mut client, "nowhere", "", r#"{"code": "x"}"#)?.refusal(404, "not_found");
    for (line, methods) in [
        ("PUT /sessions", "GET, HEAD, POST"),
        ("POST /sessions/x", "GET, HEAD, DELETE"),
        ("GET /sessions/x/execute", "POST"),
        ("GET /sessions/x/interrupt", "POST"),
        ("GET /sessions/x/fork", "POST"),
        ("POST /sessions/x/files", "GET, HEAD"),
        ("POST /sessions/x/files/a", "GET, HEAD, PUT, DELETE"),
    ] {
        let mut client = Client::connect(gateway.address)?;
        let response = ask(&mut client, line, "", "")?;
        response.refusal(405, "method_not_allowed");
        assert_eq!(response.header("allow"), Some(methods));
    }
    assert!(lines(&supervisor).is_empty());
    Ok(())
}

#[test]
fn orders_are_handed_on_and_their_answers_come_back() -> Outcome {
    let supervisor = with_a_session()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let json = "content-type: application/json\r\n";
    assert_eq!(ask(&mut client, "POST /sessions", json, r#"{ "idle_s": 60 }"#)?.status(), 201);
    for (line, status) in [
        ("GET /sessions".to_owned(), 200),
        (format!("GET /sessions/{SESSION}"), 200),
        (format!("POST /sessions/{SESSION}/interrupt"), 200),
        (format!("DELETE /sessions/{SESSION}"), 204),
        ("GET /sessions/ffffffffffffffffffffffffffffffff".to_owned(), 410),
    ] {
        let response = ask(&mut client, &line, "", "")?;
        assert_eq!(response.status(), status, "{line}");
        assert_eq!(lines(&supervisor).last(), Some(&line));
        assert!(response.header("x-cloister-id").is_some());
        let is_over = response.json()["error"]["reason"] == "idle";
        assert_eq!(is_over, status == 410, "{line}");
    }
    let opened = &supervisor.requests()[0];
    assert_eq!((opened.body.as_slice(), opened.header("expect")), (&br#"{"idle_s":60}"#[..], Some("100-continue")));
    assert_eq!(opened.header("content-type"), Some("application/json"));
    assert_eq!(supervisor.connections(), 1);
    Ok(())
}

#[test]
fn files_go_through_as_they_are() -> Outcome {
    let supervisor = with_a_session()?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--max-body", "100000"])?;
    let mut client = Client::connect(gateway.address)?;
    let files = format!("/sessions/{SESSION}/files");
    let content = "\u{e9}\0\r\n".repeat(10_000);
    assert_eq!(ask(&mut client, &format!("PUT {files}/a/%c3%a9%20b"), "", &content)?.status(), 204);
    let put = &supervisor.requests()[0];
    assert_eq!(put.start, format!("PUT {files}/a/%C3%A9%20b HTTP/1.1"));
    assert_eq!(
        (put.body.as_slice(), put.header("content-type")),
        (content.as_bytes(), Some("application/octet-stream"))
    );

    let response = ask(&mut client, &format!("GET {files}/big"), "", "")?;
    assert_eq!((response.status(), response.body.len()), (200, 3_000_000));
    assert_eq!(response.header("content-length"), Some("3000000"));
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("content-disposition"), Some("attachment"));

    let refused = |line: &str, headers: &str, body: &str, status, code| -> io::Result<_> {
        Ok(ask(&mut Client::connect(gateway.address)?, line, headers, body)?.refusal(status, code))
    };
    let before = lines(&supervisor).len();
    for path in ["..", "%2e%2e/a", "a/../b", "%2Fetc/passwd", "a%00", "%FF"] {
        let message = refused(&format!("PUT {files}/{path}"), "", "x", 400, "invalid_request")?;
        assert!(message.starts_with("the path "), "{message}");
    }
    refused(&format!("PUT {files}/a"), "", &"x".repeat(100_001), 413, "too_large")?;
    refused(&format!("PUT {files}/a"), "content-encoding: gzip\r\n", "x", 415, "unsupported_media_type")?;
    assert_eq!(lines(&supervisor).len(), before);
    Ok(())
}

#[test]
fn a_key_has_sessions_of_its_profiles_alone() -> Outcome {
    let (supervisor, keys) = (with_a_session()?, KeyFile::new()?);
    let (all, large) = (keys.add("all", &[])?, keys.add("large", &["--profiles", "large", "--concurrency", "1"])?);
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let header = |key: &str| format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
    let ask = |line: &str, key: &str, body: &str| -> io::Result<_> {
        ask(&mut Client::connect(gateway.address)?, line, &header(key), body)
    };
    let run = format!("POST /sessions/{SESSION}/execute");
    ask("GET /sessions", "wrong", "")?.refusal(401, "unauthorized");
    ask(&run, "wrong", r#"{"code":"x"}"#)?.refusal(401, "unauthorized");
    assert!(lines(&supervisor).is_empty());
    ask("POST /sessions", &large, "{}")?.refusal(403, "forbidden");
    assert_eq!(ask("POST /sessions", &large, r#"{"profile":"large"}"#)?.status(), 201);
    // This one is of the profile small.
    ask(&run, &large, r#"{"code":"x"}"#)?.refusal(403, "forbidden");
    assert_eq!(ask(&run, &all, r#"{"code":"x"}"#)?.status(), 200);
    let requests = supervisor.requests();
    let tenants: Vec<_> = requests.iter().map(|request| request.header("x-cloister-tenant")).collect();
    assert!(tenants[0] == tenants[1] && tenants[0] != tenants[2] && tenants[2] == tenants[3], "{tenants:?}");
    assert!(tenants.iter().all(Option::is_some));
    Ok(())
}

#[test]
fn without_a_supervisor_nothing_is_told_of_sessions() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--hold", "0s"])?;
    let mut client = Client::connect(gateway.address)?;
    for line in
        ["GET /sessions".to_owned(), format!("DELETE /sessions/{SESSION}"), format!("GET /sessions/{SESSION}/files/a")]
    {
        ask(&mut client, &line, "", "")?.refusal(503, "unavailable");
    }
    cell(&mut client, SESSION, "", r#"{"code":"x"}"#)?.refusal(503, "unavailable");
    Ok(())
}

#[test]
fn who_asks_for_what_a_supervisor_before_had_is_told_so() -> Outcome {
    let place = Place::new()?;
    let supervisor = Supervisor::start_at(&place, |request, stream| answer(request, stream).map(|()| true))?;
    let gateway = Gateway::start(&place)?;
    let mut client = Client::connect(gateway.address)?;
    let json = "content-type: application/json\r\n";
    let session =
        ask(&mut client, "POST /sessions", json, "{}")?.header("x-cloister-id").unwrap_or_default().to_owned();
    std::fs::remove_file(supervisor.kill())?;
    let _anew = Supervisor::start_at(&place, |_, stream| {
        let outcome = "x-cloister-outcome: not_found\r\n";
        respond(stream, "404 Not Found", outcome, r#"{"error":{"code":"not_found"}}"#).map(|()| true)
    })?;
    for line in [format!("GET /sessions/{session}"), format!("DELETE /sessions/{session}/files/a")] {
        let response = ask(&mut client, &line, "", "")?;
        response.refusal(410, "session_ended");
        assert_eq!(response.json()["error"]["reason"], "node_restarted");
    }
    cell(&mut client, &session, "", r#"{"code":"x"}"#)?.refusal(410, "session_ended");
    assert_eq!(cell(&mut client, SESSION, "", r#"{"code":"x"}"#)?.status(), 404, "this one is nobody's");
    Ok(())
}

#[test]
fn a_supervisor_that_dies_takes_sessions_with_it() -> Outcome {
    let supervisor = Supervisor::start(|_, _| Ok(false))?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let json = "content-type: application/json\r\n";
    let message = ask(&mut client, "POST /sessions", json, "{}")?.refusal(502, "lost");
    assert!(message.contains("all sessions with it"), "{message}");
    Ok(())
}
