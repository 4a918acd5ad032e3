//! What operators see: metrics, and in the log what a request's own id and trace are found by.

use crate::stage::{Client, Gateway, Outcome, SCRIPT, Supervisor, until};

const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

#[test]
fn requests_are_counted_by_what_became_of_them_and_timed_by_stage() -> Outcome {
    let supervisor = Supervisor::start(|request, stream| {
        let headers = match request.json()["script"].as_str() {
            Some("returns") => {
                "x-cloister-outcome: returned\r\nserver-timing: queue;dur=0.250, setup;dur=1.500, run;dur=2500.000\r\n"
            }
            _ => "x-cloister-outcome: cpu_limit\r\n",
        };
        crate::stage::respond(stream, "200 OK", headers, "{}").map(|()| true)
    })?;
    let gateway = Gateway::start_with(&supervisor.socket, &METRICS)?;
    let mut client = Client::connect(gateway.address)?;
    let response = client.execute(r#"{"script": "returns"}"#)?;
    let timing = response.header("server-timing").unwrap_or_default();
    assert!(timing == "queue;dur=0.250, setup;dur=1.500, run;dur=2500.000", "{timing}");
    assert_eq!(response.header("x-cloister-outcome"), None);
    for _ in 0..2 {
        client.execute(SCRIPT)?;
    }
    client.execute("{}")?.refusal(400, "invalid_request");
    client.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    client.response()?;
    // An answer is counted once its last byte was handed over, which its client may see before.
    let count = |outcome: &str| gateway.metric(&format!("cloister_requests_total{{outcome=\"{outcome}\"}}"));
    until("all are counted", || count("served") == 1.0);
    assert_eq!(["returned", "cpu_limit", "invalid_request", "abandoned"].map(count), [1.0, 2.0, 1.0, 0.0]);
    let stage = |stage: &str, end: &str| {
        gateway.metric(&format!("cloister_stage_duration_seconds_bucket{{stage=\"{stage}\",le=\"{end}\"}}"))
    };
    assert_eq!([stage("setup", "0.001"), stage("setup", "0.0025")], [0.0, 1.0]);
    assert_eq!([stage("run", "1"), stage("run", "2.5"), stage("queue", "0.0005")], [0.0, 1.0, 1.0]);
    assert_eq!(gateway.metric("cloister_request_duration_seconds_count"), 4.0);
    assert_eq!(gateway.metric("cloister_connections"), 1.0);
    drop(client);
    until("the connection is gone", || gateway.metric("cloister_connections") == 0.0);
    Ok(())
}

/// What a supervisor says of itself.
fn stats(slots: u32, profiles: &str) -> String {
    format!(
        r#"{{"slots": {slots}, "busy": 2, "waiting": 1, "unread": 3, "unread_bytes": 4096, "profiles": {{{profiles}}}}}"#
    )
}

const NONE: &str = r#"{"died": 0, "hung": 0, "reload": 0, "renewed": 0}"#;

#[test]
fn the_supervisors_numbers_are_shown_while_it_answers() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start_with(&supervisor.socket, &METRICS)?;
    assert_eq!(gateway.metric("cloister_supervisor_up"), 0.0);
    assert!(gateway.metric("cloister_slots").is_nan());
    let zygote = r#"{"died": 3, "hung": 2, "reload": 1, "renewed": 24}"#;
    let profile = |name: &str| format!(r#""{name}": {{"parked": 4, "launcher": {NONE}, "zygote": {zygote}}}"#);
    supervisor.say(&stats(16, &[profile("default"), profile("old")].join(",")));
    until("they are shown", || gateway.metric("cloister_supervisor_up") == 1.0);
    assert_eq!(
        ["cloister_slots", "cloister_slots_busy", "cloister_queue_length"].map(|name| gateway.metric(name)),
        [16.0, 2.0, 1.0]
    );
    assert_eq!(
        ["cloister_answers_unread", "cloister_answers_unread_bytes"].map(|name| gateway.metric(name)),
        [3.0, 4096.0]
    );
    assert_eq!(gateway.metric("cloister_parked{profile=\"default\"}"), 4.0);
    let restarts = |what: &str, reason: &str| {
        gateway.metric(&format!("cloister_{what}_restarts_total{{profile=\"old\",reason=\"{reason}\"}}"))
    };
    let reasons = ["died", "hung", "reload", "renewed"];
    assert_eq!(reasons.map(|reason| restarts("zygote", reason)), [3.0, 2.0, 1.0, 24.0]);
    assert_eq!(reasons.map(|reason| restarts("launcher", reason)), [0.0; 4]);
    supervisor.say(&stats(16, &profile("default")));
    until("a profile is gone", || gateway.metric("cloister_parked{profile=\"old\"}").is_nan());
    assert!(restarts("zygote", "died").is_nan());
    supervisor.say("what is no JSON");
    until("it does not answer", || gateway.metric("cloister_supervisor_up") == 0.0);
    assert!(gateway.metric("cloister_slots").is_nan() && gateway.metric("cloister_parked").is_nan());
    Ok(())
}

/// A gateway that shows all there is.
fn full() -> std::io::Result<(Supervisor, Gateway)> {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    supervisor.say(&stats(32, &format!(r#""default": {{"parked": 4, "launcher": {NONE}, "zygote": {NONE}}}"#)));
    let gateway = Gateway::start_with(&supervisor.socket, &METRICS)?;
    until("the supervisor is shown", || gateway.metric("cloister_supervisor_up") == 1.0);
    Ok((supervisor, gateway))
}

#[test]
fn every_metric_says_what_it_is() -> Outcome {
    let (_supervisor, gateway) = full()?;
    let response = gateway.metrics()?;
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(response.body)?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name: String = line.chars().take_while(|letter| !" {".contains(*letter)).collect();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .fold(name.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name));
        assert!(text.contains(&format!("# HELP {family} ")), "{line}");
        let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {family} "))).unwrap_or_default();
        // As `promtool check metrics` has it.
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}: {kind}");
        assert!(kind != "histogram" || family.ends_with("_seconds"), "{line}: {kind}");
    }
    Ok(())
}

#[test]
fn the_dashboard_shows_what_there_is() -> Outcome {
    let (_supervisor, gateway) = full()?;
    let text = String::from_utf8(gateway.metrics()?.body)?;
    let dashboard = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/grafana-dashboard.json"))?;
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard)?;
    let mut seen = 0;
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_default();
            let names = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            for name in names.filter(|name| name.starts_with("cloister_")) {
                assert!(
                    text.lines()
                        .any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))),
                    "{name}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 16, "{seen}");
    Ok(())
}

#[test]
fn metrics_are_not_for_strangers() -> Outcome {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let message = Gateway::refuses(&["--listen", "127.0.0.1:0", "--metrics", address])?;
        assert!(message.contains("loopback") && message.contains("--metrics"), "{message}");
    }
    let gateway = Gateway::start_with(&crate::stage::Place::new()?, &METRICS)?;
    let mut client = Client::connect(gateway.address)?;
    client.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    client.response()?.refusal(404, "not_found");
    Ok(())
}

#[test]
fn a_callers_trace_is_in_the_log() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", SCRIPT)?;
    let id = client.response()?.header("x-cloister-id").unwrap_or_default().to_owned();
    let line = gateway.logged("the request", |line| line["id"] == id.as_str());
    assert_eq!(line["trace"], "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7");
    client.post("traceparent: made up\r\n", SCRIPT)?;
    let id = client.response()?.header("x-cloister-id").unwrap_or_default().to_owned();
    assert!(gateway.logged("the next", |line| line["id"] == id.as_str())["trace"].is_null());
    Ok(())
}
