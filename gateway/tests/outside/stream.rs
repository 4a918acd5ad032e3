//! Answers that come as events while the job runs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use crate::stage::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, execute, header};
use crate::stage::{
    Certificate, Client, Frames, Gateway, LONG, Message, Outcome, SCRIPT, Supervisor, respond, trusting, until,
};

const ACCEPT: &str = "accept: text/event-stream\r\n";
const FIRST: &str = "event: stdout\ndata: {\"text\":\"one\\n\"}\n\n";
const LAST: &str = "event: result\ndata: {\"result\":4}\n\n";
/// RFC 9113, 6.5.2: what may be sent on a stream before its reader asks for more.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Begins a stream.
pub fn begin(stream: &mut UnixStream) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nserver-timing: queue;dur=0.500, setup;dur=1.500\r\n\
        trailer: x-cloister-outcome, server-timing\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes())
}

/// A piece of it.
pub fn chunk(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    write!(stream, "{:x}\r\n{text}\r\n", text.len())
}

/// Its end, and what became of the job.
pub fn end(stream: &mut UnixStream, outcome: &str) -> io::Result<bool> {
    write!(stream, "0\r\nx-cloister-outcome: {outcome}\r\nserver-timing: run;dur=2500.000\r\n\r\n").map(|()| true)
}

/// A supervisor that streams `answer`.
fn streaming(answer: impl Fn(&mut UnixStream) -> io::Result<bool> + Send + Sync + 'static) -> io::Result<Supervisor> {
    Supervisor::start(move |request, stream| {
        if request.header("accept") != Some("text/event-stream") {
            return respond(stream, "200 OK", "", r#"{"result":"plain"}"#).map(|()| true);
        }
        answer(stream)
    })
}

fn jobs(supervisor: &Supervisor) -> Vec<Message> {
    supervisor.requests().into_iter().filter(|request| request.start.starts_with("POST ")).collect()
}

/// An answer of one event, then nothing until its reader leaves, of which it tells.
fn silent() -> io::Result<(Supervisor, Receiver<()>)> {
    let (left, leaving) = mpsc::channel();
    let left = Mutex::new(left);
    let supervisor = streaming(move |stream| {
        begin(stream)?;
        chunk(stream, FIRST)?;
        let _ = stream.read(&mut [0; 1]);
        let _ = left.lock().unwrap_or_else(PoisonError::into_inner).send(());
        Ok(false)
    })?;
    Ok((supervisor, leaving))
}

#[test]
fn events_are_passed_on_while_the_job_runs_and_its_outcome_is_counted() -> Outcome {
    let (seen, see) = mpsc::channel();
    let see = Mutex::new(see);
    let supervisor = streaming(move |stream| {
        begin(stream)?;
        chunk(stream, FIRST)?;
        // It goes on only once the client has read that.
        see.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LONG).map_err(io::Error::other)?;
        chunk(stream, LAST)?;
        end(stream, "cpu_limit")
    })?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--metrics", "127.0.0.1:0"])?;
    let mut client = Client::connect(gateway.address)?;
    client.post(ACCEPT, SCRIPT)?;
    let head = client.head()?;
    assert_eq!((head.status(), head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), (Some("no-store"), Some("no")));
    let timing = head.header("server-timing").unwrap_or_default();
    assert!(timing == "queue;dur=0.500, setup;dur=1.500", "{timing}");
    let id = head.header("x-cloister-id").unwrap_or_default();
    assert_eq!(client.chunk()?, FIRST.as_bytes());
    seen.send(())?;
    assert_eq!((client.chunk()?, client.chunk()?), (LAST.as_bytes().to_vec(), Vec::new()));
    // The connection goes on.
    assert_eq!(client.execute(SCRIPT)?.json()["result"], "plain");

    let request = &jobs(&supervisor)[0];
    assert_eq!((request.header("te"), request.header("x-cloister-id")), (Some("trailers"), Some(id)));
    let line = gateway.logged("the stream", |line| line["id"] == id);
    assert_eq!((&line["status"], &line["code"], &line["level"]), (&200.into(), &"CpuLimit".into(), &"INFO".into()));
    assert_eq!(line["bytes"], FIRST.len() + LAST.len());
    let run =
        |end: &str| gateway.metric(&format!("cloister_stage_duration_seconds_bucket{{stage=\"run\",le=\"{end}\"}}"));
    assert_eq!([run("1"), run("2.5")], [0.0, 1.0]);
    assert_eq!(gateway.metric("cloister_requests_total{outcome=\"cpu_limit\"}"), 1.0);
    Ok(())
}

#[test]
fn what_is_refused_is_no_stream() -> Outcome {
    let supervisor = Supervisor::answering("429 Too Many Requests", "retry-after: 1\r\n", r#"{"error":{}}"#)?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post(ACCEPT, SCRIPT)?;
    let response = client.response()?;
    assert_eq!((response.status(), response.header("content-type")), (429, Some("application/json")));
    assert_eq!((response.header("retry-after"), response.header("cache-control")), (Some("1"), None));
    client.post(ACCEPT, "{}")?;
    client.response()?.refusal(400, "invalid_request");
    Ok(())
}

#[test]
fn a_supervisor_that_goes_away_is_told_in_a_last_event() -> Outcome {
    for (part, before) in [(FIRST, FIRST.to_owned()), (&FIRST[..25], format!("{}\nevent: cut\n\n", &FIRST[..25]))] {
        let supervisor = streaming(move |stream| {
            begin(stream)?;
            chunk(stream, part)?;
            Ok(false)
        })?;
        let gateway = Gateway::start(&supervisor.socket)?;
        let mut client = Client::connect(gateway.address)?;
        client.post(ACCEPT, SCRIPT)?;
        let response = client.response()?;
        let text = String::from_utf8(response.body.clone())?;
        let last = text.strip_prefix(&format!("{before}event: error\ndata: ")).ok_or(text.clone())?;
        let last: serde_json::Value = serde_json::from_str(last)?;
        assert_eq!((&last["error"]["code"], last["id"].as_str()), (&"lost".into(), response.header("x-cloister-id")));
        let line = gateway.logged("the stream", |line| line["id"] == last["id"]);
        assert_eq!((&line["level"], &line["code"]), (&"ERROR".into(), &"Lost".into()));
        assert!(line["because"].is_string(), "{line}");
    }
    Ok(())
}

#[test]
fn a_silent_stream_is_not_cut_off_and_a_reader_who_takes_nothing_is() -> Outcome {
    let supervisor = streaming(|stream| {
        begin(stream)?;
        chunk(stream, FIRST)?;
        sleep(Duration::from_millis(1500));
        chunk(stream, LAST)?;
        end(stream, "returned")
    })?;
    let (certificate, trusted) = Certificate::new()?;
    let limits = ["--body-timeout", "300ms", "--idle-timeout", "300ms", "--header-timeout", "5s"];
    let plain = Gateway::start_with(&supervisor.socket, &limits)?;
    let mut client = Client::connect(plain.address)?;
    client.post(ACCEPT, SCRIPT)?;
    assert_eq!(client.response()?.body, format!("{FIRST}{LAST}").as_bytes());

    let secure = Gateway::start_with(&supervisor.socket, &[&certificate.arguments()[..], &limits].concat())?;
    let config = trusting(&trusted, &["h2"])?;
    let post = |frames: &mut Frames| -> io::Result<()> {
        let head = [execute(), header(&[("accept", "text/event-stream")])].concat();
        frames.send(HEADERS, END_HEADERS, 1, &head)?;
        frames.send(DATA, END_STREAM, 1, SCRIPT.as_bytes())
    };
    let mut frames = Frames::open(secure.address, &config, &[])?;
    post(&mut frames)?;
    assert_eq!(frames.find(|frame| frame.kind == DATA)?.payload, FIRST.as_bytes());
    assert_eq!(frames.find(|frame| frame.kind == DATA)?.payload, LAST.as_bytes());
    let mut frames = Frames::open(secure.address, &config, &[(INITIAL_WINDOW_SIZE, 0)])?;
    post(&mut frames)?;
    frames.find(|frame| frame.kind == HEADERS)?;
    frames.end();
    let line = secure.logged("the end", |line| line["message"] == "a connection is cut off");
    assert_eq!(line["reason"], "its peer takes next to nothing of an answer");
    Ok(())
}

#[test]
fn a_reader_who_leaves_a_silent_stream_takes_its_job_with_it() -> Outcome {
    let (supervisor, leaving) = silent()?;
    let (certificate, trusted) = Certificate::new()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post(ACCEPT, SCRIPT)?;
    assert_eq!((client.head()?.status(), client.chunk()?), (200, FIRST.as_bytes().to_vec()));
    assert_eq!(leaving.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(client);
    leaving.recv_timeout(LONG)?;

    let gateway = Gateway::start_with(&supervisor.socket, &certificate.arguments())?;
    let mut frames = Frames::open(gateway.address, &trusting(&trusted, &["h2"])?, &[])?;
    for stream in [1, 3] {
        frames.send(HEADERS, END_HEADERS, stream, &[execute(), header(&[("accept", "text/event-stream")])].concat())?;
        frames.send(DATA, END_STREAM, stream, SCRIPT.as_bytes())?;
        frames.find(|frame| frame.kind == DATA && frame.stream == stream)?;
    }
    frames.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes())?;
    leaving.recv_timeout(LONG)?;
    assert_eq!(leaving.try_recv(), Err(mpsc::TryRecvError::Empty), "the other stream stays");
    drop(frames);
    leaving.recv_timeout(LONG)?;
    until("both are logged", || {
        let left = |line: &&serde_json::Value| line["message"] == "the client left before the end of its answer";
        gateway.log().iter().filter(left).count() == 2
    });
    Ok(())
}
