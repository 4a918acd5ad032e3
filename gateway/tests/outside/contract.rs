//! What clients see of the gateway itself: paths, methods, headers, and what is relayed.

use crate::stage::{Client, Gateway, Outcome, Place, SCRIPT, Supervisor};

#[test]
fn a_job_goes_through_and_its_answer_comes_back() -> Outcome {
    let supervisor = Supervisor::answering(
        "422 Unprocessable Entity",
        "x-cloister-explain: layers\r\nretry-after: 7\r\nx-secret: kept\r\n",
        r#"{"anything": [1,  2]}"#,
    )?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post(
        "x-cloister-explain: 1\r\nx-cloister-id: forged\r\n",
        "{ \"script\": \"x = 1\",\n \"args\": [1e400,  2] }",
    )?;
    let response = client.response()?;

    assert_eq!((response.status(), response.body.as_slice()), (422, &br#"{"anything": [1,  2]}"#[..]));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("x-cloister-explain"), Some("layers"));
    assert_eq!(response.header("retry-after"), Some("7"));
    assert_eq!(response.header("x-secret"), None);

    let requests = supervisor.requests();
    let [request] = requests.as_slice() else { panic!("one request expected: {requests:?}") };
    assert_eq!(request.start, "POST /execute HTTP/1.1");
    assert_eq!(request.header("x-cloister-explain"), Some("1"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, br#"{"script":"x = 1","args":[1e400,  2]}"#);
    assert_eq!(request.header("x-cloister-id"), response.header("x-cloister-id"));
    assert_ne!(request.header("x-cloister-id"), Some("forged"));
    Ok(())
}

#[test]
fn layers_are_not_explained_unasked_and_connections_are_kept() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.execute(SCRIPT)?.header("x-cloister-id").map(str::to_owned));
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "every request has an id of its own");
    assert!(supervisor.requests().iter().all(|request| request.header("x-cloister-explain").is_none()));
    assert_eq!(supervisor.connections(), 1);
    Ok(())
}

#[test]
fn wrong_paths_methods_and_types_are_refused_in_the_envelope() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let refused = |request: &str, status, code| -> std::io::Result<_> {
        let mut client = Client::connect(gateway.address)?;
        client.send(request)?;
        let response = client.response()?;
        let message = response.refusal(status, code);
        Ok((response, message))
    };
    for path in
        ["/page", "/page/", "/page/index.html", "/execute/", "/Execute", "/execute2", "/..%2fexecute", "/metrics"]
    {
        refused(&format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 404, "not_found")?;
    }
    for (path, methods) in
        [("/execute", "POST"), ("/healthz", "GET, HEAD"), ("/readyz", "GET, HEAD"), ("/", "GET, HEAD")]
    {
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let (response, _) =
                refused(&format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 405, "method_not_allowed")?;
            assert_eq!(response.header("allow"), Some(methods));
        }
    }
    refused("GET /execute HTTP/1.1\r\nhost: localhost\r\n\r\n", 405, "method_not_allowed")?;
    for header in [
        "content-type: text/plain",
        "x: y",
        "content-type: application/jsonx",
        "content-type: application/json\r\ncontent-encoding: gzip",
    ] {
        let request = format!("POST /execute HTTP/1.1\r\nhost: localhost\r\n{header}\r\ncontent-length: 2\r\n\r\n{{}}");
        refused(&request, 415, "unsupported_media_type")?;
    }
    Ok(())
}

#[test]
fn a_malformed_request_is_named_and_never_forwarded() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let large = format!(r#"{{"script": "x", "stdin": "{}", "size": 1}}"#, "a".repeat(1_000_000));
    for (body, part) in [
        (r#"{"script": 1}"#, "script is the number 1, expected a string"),
        (r#"{"script": "x", "script": "y"}"#, "duplicate"),
        (large.as_str(), "unknown field `size`"),
        ("", "the body is empty"),
        ("{", "not a valid request"),
    ] {
        let message = client.execute(body)?.refusal(400, "invalid_request");
        assert!(message.contains(part), "{message}");
    }
    assert!(supervisor.requests().is_empty());
    Ok(())
}

#[test]
fn health_is_the_gateways_own_and_readiness_the_supervisors() -> Outcome {
    let supervisor =
        Supervisor::answering("503 Service Unavailable", "retry-after: 1\r\n", r#"{"status":"checking"}"#)?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let health = client.response()?;
    assert_eq!((health.status(), health.body.as_slice()), (200, &br#"{"status":"ok"}"#[..]));
    assert!(health.header("x-cloister-id").is_some());
    client.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let readiness = client.response()?;
    assert_eq!((readiness.status(), readiness.body.as_slice()), (503, &br#"{"status":"checking"}"#[..]));
    client.send("HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    assert_eq!(client.head()?.status(), 200);
    Ok(())
}

#[test]
fn the_log_has_one_line_a_request_and_no_word_of_it() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result":"printed"}"#)?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let id = client.execute(SCRIPT)?.header("x-cloister-id").unwrap_or_default().to_owned();
    let line = gateway.logged("the job", |line| line["id"] == id.as_str());
    assert_eq!((&line["level"], &line["status"], &line["bytes"]), (&"INFO".into(), &200.into(), &20.into()));
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    assert!(line["milliseconds"].is_number(), "{line}");
    client.execute(&SCRIPT.replace("script", "scirpt"))?.refusal(400, "invalid_request");
    let line = gateway.logged("the refusal", |line| line["status"] == 400);
    assert_eq!(line["code"], "InvalidRequest");
    let log = format!("{:?}", gateway.log());
    assert!(!log.contains("do not log me") && !log.contains("printed"), "{log}");
    assert_eq!(gateway.log().iter().filter(|line| line["id"].is_string()).count(), 2);
    Ok(())
}

#[test]
fn a_connection_whose_body_nobody_reads_is_said_to_end() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    for (start, status) in [("POST /nowhere", 404), ("PUT /execute", 405)] {
        let mut client = Client::connect(gateway.address)?;
        client.send(format!("{start} HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
        let kept = client.response()?;
        assert_eq!((kept.status(), kept.header("connection")), (status, None));
        // The body comes when the answer may have been given already.
        client.send(format!("{start} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n"))?;
        let ended = client.response()?;
        assert_eq!((ended.status(), ended.header("connection")), (status, Some("close")));
    }
    Ok(())
}

#[test]
fn a_node_without_keys_is_not_for_pages_of_others() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let port = gateway.address.port();
    let ask = |start: &str, headers: &str| {
        let mut client = Client::connect(gateway.address)?;
        client.send(format!(
            "{start} HTTP/1.1\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{SCRIPT}",
            SCRIPT.len()
        ))?;
        client.response()
    };
    for path in
        ["POST /execute", "POST /mcp", "GET /", "GET /readyz", "GET /healthz", "GET /openapi.json", "GET /nowhere"]
    {
        let message = ask(path, "host: evil.example\r\n")?.refusal(403, "forbidden");
        assert!(message.contains("localhost") && message.contains("--no-auth"), "{message}");
        ask(path, "host: localhost\r\norigin: http://evil.example\r\n")?.refusal(403, "forbidden");
        for host in ["", "host: localhost\r\nhost: localhost\r\n", "host: local host\r\n"] {
            ask(path, host)?.refusal(400, "invalid_request");
        }
    }
    assert!(supervisor.requests().is_empty());
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "[::1]".to_owned()] {
        assert_eq!(ask("POST /execute", &format!("host: {host}\r\n"))?.status(), 200);
        assert_eq!(ask("POST /execute", &format!("host: {host}\r\norigin: http://{host}\r\n"))?.status(), 200);
    }

    let open = Gateway::start_with(&supervisor.socket, &["--no-auth"])?;
    let mut client = Client::connect(open.address)?;
    client.send("GET /healthz HTTP/1.1\r\nhost: cloister.example\r\norigin: https://elsewhere.example\r\n\r\n")?;
    assert_eq!(client.response()?.status(), 200);
    client.send("GET /healthz HTTP/1.1\r\n\r\n")?;
    client.response()?.refusal(400, "invalid_request");
    Ok(())
}
