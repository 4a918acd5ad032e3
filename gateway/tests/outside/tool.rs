//! What a model and a program are told of the node before they send anything: the tool's description, and the document.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::{Client, Gateway, KeyFile, Outcome, Place, Supervisor, until};

/// Two profiles, as the supervisor tells of them.
const PROFILES: &str = r#"{
    "default": {"interpreter": {"version": "3.11.2", "packages": ["numpy 2.4.6"]}, "wall_ms": 10000, "may_lower_timeout": true,
        "memory_bytes": 536870912, "tmp_bytes": 67108864, "result_bytes": 1048576, "stdout_bytes": 1048576, "files_in": 32,
        "files_in_bytes": 8388608, "files_out": 16, "files_out_bytes": 4194304, "loopback": false, "working_directory": "/tmp"},
    "large": {"interpreter": {"version": "3.13.1"}, "wall_ms": 2500, "may_lower_timeout": false, "memory_bytes": 1000,
        "tmp_bytes": 1, "result_bytes": 1, "stdout_bytes": 1, "files_in": 1, "files_in_bytes": 1, "files_out": 1,
        "files_out_bytes": 1, "loopback": true, "working_directory": "/tmp"}}"#;

/// The one tool, as it is listed for who sends these further header lines.
fn tool(client: &mut Client, headers: &str) -> std::io::Result<Value> {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#;
    client.send(format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))?;
    Ok(client.response()?.json()["result"]["tools"][0].clone())
}

#[test]
fn a_model_is_told_what_its_key_may_use() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    let (all, large) = (keys.add("all", &[])?, keys.add("large", &["--profiles", "large"])?);
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let list = |key: &str| -> std::io::Result<(String, Value)> {
        let tool = tool(&mut Client::connect(gateway.address)?, &format!("authorization: Bearer {key}\r\n"))?;
        Ok((tool["description"].as_str().unwrap_or_default().to_owned(), tool["inputSchema"].clone()))
    };
    // Nobody has told anything yet.
    let (description, input) = list(&all)?;
    assert!(description.ends_with("left unused for a while."), "{description}");
    assert!(input["properties"].get("profile").is_none());

    supervisor.serve_profiles(PROFILES);
    until("the profiles are known", || list(&all).is_ok_and(|(description, _)| description.contains("3.11.2")));
    let (description, input) = list(&all)?;
    for said in [
        "Python 3.11.2",
        "numpy 2.4.6",
        "10 s, 512 MiB of memory, 1 MiB for stdout",
        "16 files of 4 MiB",
        "No network,",
    ] {
        assert!(description.contains(said), "{said}: {description}");
    }
    assert_eq!(input["properties"]["profile"]["enum"], json!(["default", "large"]));
    let said = input["properties"]["profile"]["description"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        said,
        "Limits and packages. Left out: default. default: 10 s, 512 MiB of memory; large: 2.5 s, 1000 bytes of memory, Python 3.13.1 with its \
         standard library alone; nothing can be installed, a loopback network."
    );
    assert_eq!(input["required"], json!(["script"]));

    let (description, input) = list(&large)?;
    assert!(description.contains("Python 3.13.1") && !description.contains("3.11.2"), "{description}");
    assert_eq!(input["properties"]["profile"]["enum"], json!(["large"]));
    assert_eq!(input["required"], json!(["script", "profile"]));
    assert!(input["properties"].get("timeout_ms").is_none());
    assert!(supervisor.requests().is_empty());
    Ok(())
}

#[test]
fn the_tool_takes_what_a_request_may_have() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let mut client = Client::connect(gateway.address)?;
    let tool = tool(&mut client, "")?;
    client.send("GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let document = client.response()?.json();
    let names = |schema: &Value| -> BTreeSet<String> {
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let mut expected = names(&document["components"]["schemas"]["ExecuteRequest"]);
    // A model writes values into its code, has no tools of its own, and is told what profiles there are.
    expected.retain(|name| !["args", "kwargs", "profile", "tools"].contains(&name.as_str()));
    expected.insert("session".to_owned());
    assert_eq!(names(&tool["inputSchema"]), expected);
    assert_eq!((&tool["title"], tool.get("outputSchema")), (&json!("Run Python"), None));
    let text = tool.to_string();
    for word in ["$ref", "oneOf", "\"example\"", "{}", "null,"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    Ok(())
}

#[test]
fn the_document_tells_the_versions_and_no_names() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let document = || {
        let mut client = Client::connect(gateway.address)?;
        client.send("GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        client.response().map(|response| String::from_utf8_lossy(&response.body).into_owned())
    };
    assert!(!document()?.contains("under Python"));
    supervisor.serve_profiles(PROFILES);
    let version = "Scripts run under Python 3.11.2; other profiles than the default have 3.13.1.";
    until("the versions are known", || document().is_ok_and(|document| document.contains(version)));
    assert!(!document()?.contains("\"large\""));
    // What was known goes on to be told.
    supervisor.serve_profiles("nonsense");
    assert!(document()?.contains(version));
    assert!(supervisor.requests().is_empty());
    Ok(())
}
