//! Scripts that say what they need: which profile they go to, and what is told where it is not there.

use serde_json::{Value, json};

use crate::stage::{Client, Gateway, KeyFile, Message, Outcome, SCRIPT, Supervisor, respond};

/// What a supervisor says of its profiles: by name, the runtime, Python and packages.
fn profiles(profiles: &[(&str, &str, &str, &[&str])]) -> String {
    let info = |(name, runtime, python, packages): &(&str, &str, &str, &[&str])| {
        let packages = packages.iter().filter_map(|package| package.split_once(' '));
        let packages: Vec<_> = packages.map(|(name, version)| json!({"name": name, "version": version})).collect();
        let told = json!({
            "python": python, "packages": packages, "runtime": runtime, "wall_ms": 1, "may_lower_timeout": true, "memory_bytes": 1,
            "tmp_bytes": 1, "result_bytes": 1, "stdout_bytes": 1, "files_in": 1, "files_in_bytes": 1, "files_out": 1,
            "files_out_bytes": 1, "loopback": false, "working_directory": "/work",
        });
        ((*name).to_owned(), told)
    };
    Value::Object(profiles.iter().map(info).collect()).to_string()
}

fn usual() -> String {
    profiles(&[
        ("default", "a", "3.11.7", &["numpy 2.4.0"]),
        ("large", "c", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2", "polars 1.0"]),
        ("science", "b", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2"]),
    ])
}

fn needing(packages: &[&str]) -> String {
    json!({"script": "def main(): return 1", "packages": packages}).to_string()
}

fn bringing(lines: &str) -> String {
    json!({"script": format!("# /// script\n# {lines}\n# ///\ndef main(): return 1\n")}).to_string()
}

/// What went to the supervisor: the profile and the runtime that was chosen.
fn sent(supervisor: &Supervisor) -> Vec<(Value, Option<String>)> {
    let told = |request: &Message| {
        (request.json()["profile"].clone(), request.header("x-cloister-runtime").map(str::to_owned))
    };
    supervisor.requests().iter().map(told).collect()
}

#[test]
fn a_script_goes_where_what_it_needs_is() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    supervisor.serve_profiles(&usual());
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    for (body, expected) in [
        (SCRIPT.to_owned(), None),
        (needing(&[]), None),
        (needing(&["numpy>=2"]), Some(("default", "a"))),
        (needing(&["SciPy>=1.11,<2"]), Some(("science", "b"))),
        (bringing("dependencies = ['scipy', 'polars; python_version >= \"3\"']"), Some(("large", "c"))),
        (bringing("requires-python = '>=3.11'"), Some(("default", "a"))),
    ] {
        let response = client.execute(&body)?;
        assert_eq!(response.status(), 200, "{body}: {response:?}");
        assert_eq!(response.header("x-cloister-profile"), expected.map(|(profile, _)| profile), "{body}");
        let last = sent(&supervisor).pop().ok_or("nothing was sent")?;
        let expected =
            expected.map_or((Value::Null, None), |(profile, runtime)| (profile.into(), Some(runtime.to_owned())));
        assert_eq!(last, expected, "{body}");
    }
    assert!(supervisor.requests().iter().all(|request| request.json()["packages"].is_null()), "they go no further");
    Ok(())
}

#[test]
fn what_is_missing_is_told_by_name_and_nothing_is_sent() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    supervisor.serve_profiles(&usual());
    let gateway = Gateway::start_with(&supervisor.socket, &["--metrics", "127.0.0.1:0"])?;
    let mut client = Client::connect(gateway.address)?;
    let response = client.execute(&needing(&["scipy>=2", "polars", "numpy"]))?;
    assert_eq!(response.status(), 422, "{response:?}");
    let told = response.json();
    assert_eq!(told["error"]["code"], "missing_packages");
    let missing = json!([{"name": "scipy", "wanted": "scipy>=2", "there": "1.15.2"}]);
    assert_eq!((&told["error"]["missing"], &told["error"]["nearest"]), (&missing, &"large".into()));
    assert_eq!(
        (&told["error"]["ran"], &told["stdout"], &told["id"]),
        (&false.into(), &"".into(), &response.header("x-cloister-id").into())
    );
    let message = told["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("scipy>=2 (1.15.2 is there)") && message.contains("`cloister runtime`"), "{message}");
    let named = json!({"script": "x", "profile": "default", "packages": ["scipy"]}).to_string();
    let told = client.execute(&named)?.json();
    assert_eq!(told["error"]["missing"], json!([{"name": "scipy", "wanted": "scipy", "there": null}]));
    assert_eq!(told["error"]["nearest"], "science");
    for (body, expected) in [
        (
            json!({"script": "x", "profile": "none", "packages": ["scipy"]}).to_string(),
            "profile: there is no profile \"none\"",
        ),
        (bringing("dependencies = ["), "script: its block \"# /// script\" is not what PEP 723 has there"),
        (needing(&["a @ https://example.org/a.whl"]), "packages[0]: "),
    ] {
        let message = client.execute(&body)?.refusal(400, "invalid_request");
        assert!(message.contains(expected), "{message}");
    }
    assert!(supervisor.requests().is_empty());
    assert_eq!(gateway.metric(r#"cloister_requests_total{outcome="missing_packages"}"#), 2.0);
    Ok(())
}

#[test]
fn an_assistant_names_packages_too_and_reads_what_is_missing() -> Outcome {
    let supervisor = Supervisor::answering(
        "200 OK",
        "",
        r#"{"id":"0","result":1,"stdout":"","stderr":"","truncated":[],"usage":{}}"#,
    )?;
    supervisor.serve_profiles(&usual());
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    let mut call = |packages: &[&str]| -> Result<Value, Box<dyn std::error::Error>> {
        let arguments = json!({"code": "1", "packages": packages});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute_python", "arguments": arguments}});
        let (call, headers) =
            (call.to_string(), "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n");
        let length = call.len();
        client.send(format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{call}"
        ))?;
        Ok(client.response()?.json()["result"].clone())
    };
    let served = call(&["scipy"])?;
    assert_eq!(served["isError"], false, "{served}");
    assert_eq!(sent(&supervisor), [("science".into(), Some("b".to_owned()))]);
    let told = call(&["scipy>=2"])?;
    assert_eq!(
        (&told["isError"], &told["_meta"]["cloister/code"]),
        (&true.into(), &"missing_packages".into()),
        "{told}"
    );
    assert!(
        told["content"][0]["text"].as_str().is_some_and(|text| text.contains("scipy>=2 (1.15.2 is there)")),
        "{told}"
    );
    Ok(())
}

#[test]
fn a_key_is_served_by_profiles_of_its_own() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    supervisor.serve_profiles(&usual());
    let one = keys.add("one", &["--profiles", "default,large"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    assert_eq!(client.execute_with(&one, &needing(&["scipy"]))?.header("x-cloister-profile"), Some("large"));
    let named = |profile: &str| json!({"script": "x", "profile": profile, "packages": ["nothing"]}).to_string();
    client.execute_with(&one, &named("science"))?.refusal(403, "forbidden");
    let told = client.execute_with(&one, &named("none"))?.refusal(403, "forbidden");
    assert!(!told.contains("science"), "{told}");
    let told = client.execute_with(&one, &needing(&["nothing"]))?.json().to_string();
    assert!(told.contains("missing_packages") && !told.contains("science"), "no profile of others is told of: {told}");
    Ok(())
}

#[test]
fn after_a_reload_nobody_is_told_or_served_by_what_was_before() -> Outcome {
    // It runs nothing under another runtime than it has.
    let supervisor = Supervisor::start(|request, stream| {
        let fits = matches!(request.header("x-cloister-runtime"), None | Some("new" | "newer"));
        match fits {
            true => respond(stream, "200 OK", "", "{}"),
            false => respond(
                stream,
                "503 Service Unavailable",
                "x-cloister-outcome: unavailable\r\n",
                r#"{"error":{"code":"unavailable"}}"#,
            ),
        }?;
        Ok(true)
    })?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--hold", "0s"])?;
    let mut client = Client::connect(gateway.address)?;
    client.execute(&needing(&["scipy"]))?.refusal(503, "unavailable");
    supervisor.serve_profiles(&profiles(&[("default", "old", "3.11.7", &["numpy 2.4.0"])]));
    assert_eq!(client.execute(&needing(&["scipy"]))?.status(), 422);
    // What was missing is there now.
    supervisor.serve_profiles(&profiles(&[("default", "new", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2"])]));
    assert_eq!(client.execute(&needing(&["scipy"]))?.status(), 200);
    // The runtime becomes another, with what is needed: it is sent again.
    supervisor.serve_profiles(&profiles(&[("default", "stale", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2"])]));
    assert_eq!(client.execute(&needing(&["scipy>=1.16"]))?.status(), 422, "it is known now");
    supervisor.serve_profiles(&profiles(&[("default", "newer", "3.11.7", &["scipy 1.16"])]));
    assert_eq!(client.execute(&needing(&["scipy"]))?.status(), 200);
    assert_eq!(sent(&supervisor).pop(), Some(("default".into(), Some("newer".to_owned()))));
    // Another, without it: an error, and no job.
    supervisor.serve_profiles(&profiles(&[("default", "stale", "3.11.7", &["scipy 1.16"])]));
    assert_eq!(client.execute(&needing(&["scipy>=3"]))?.status(), 422, "it is known now");
    supervisor.serve_profiles(&profiles(&[("default", "staler", "3.11.7", &["numpy 2.4.0"])]));
    let response = client.execute(&needing(&["scipy"]))?;
    assert!(matches!(response.status(), 503 | 422), "by what it knew, or what it knows: {response:?}");
    // The same: it is for another reason, and not sent again.
    supervisor.serve_profiles(&profiles(&[("default", "stale", "3.11.7", &["scipy 1.16"])]));
    assert_eq!(client.execute(&needing(&["scipy>=3"]))?.status(), 422);
    let before = supervisor.requests().len();
    assert_eq!(client.execute(&needing(&["scipy"]))?.status(), 503);
    assert_eq!(supervisor.requests().len(), before + 1);
    Ok(())
}
