//! HTTP/2: many requests on one connection, and peers who make use of that.

use std::io::Read;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::stage::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, execute, frame, header};
use crate::stage::{Certificate, Frames, Gateway, Outcome, Place, SCRIPT, Supervisor, trusting, until};

/// RFC 9113, 7: the stream was refused before anything was done with it.
const REFUSED_STREAM: u32 = 7;
/// RFC 9113, 7: the peer is a burden.
const ENHANCE_YOUR_CALM: u32 = 11;
/// RFC 9113, 6.5.2: what may be sent on a stream before its reader asks for more.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// RFC 7541, A: the whole of `:status: 200`.
const STATUS_200: u8 = 0x88;

/// A gateway with TLS, and how to connect to it.
struct Secured {
    gateway: Gateway,
    config: Arc<ClientConfig>,
    _certificate: Certificate,
}

impl Secured {
    fn start(supervisor: &std::path::Path, arguments: &[&str]) -> Result<Self, Box<dyn std::error::Error>> {
        let (certificate, trusted) = Certificate::new()?;
        let gateway = Gateway::start_with(supervisor, &[&certificate.arguments()[..], arguments].concat())?;
        Ok(Self { gateway, config: trusting(&trusted, &["h2"])?, _certificate: certificate })
    }

    fn open(&self, settings: &[(u16, u32)]) -> std::io::Result<Frames> {
        Frames::open(self.gateway.address, &self.config, settings)
    }

    /// Whether a well-behaved client is served.
    fn serves(&self) -> std::io::Result<bool> {
        let mut frames = self.open(&[])?;
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &get("/healthz"))?;
        Ok(frames.find(|frame| frame.kind == HEADERS)?.payload.first() == Some(&STATUS_200))
    }
}

/// A supervisor whose jobs never end.
fn busy() -> std::io::Result<Supervisor> {
    Supervisor::start(|_, stream| stream.read(&mut [0; 1]).map(|_| false))
}

fn get(path: &str) -> Vec<u8> {
    header(&[(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "localhost")])
}

fn post(frames: &mut Frames, stream: u32) -> std::io::Result<()> {
    frames.send(HEADERS, END_HEADERS, stream, &execute())?;
    frames.send(DATA, END_STREAM, stream, SCRIPT.as_bytes())
}

#[test]
fn jobs_side_by_side_get_their_own_answers() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result":4}"#)?;
    let secured = Secured::start(&supervisor.socket, &[])?;
    let mut frames = secured.open(&[])?;
    for stream in [1, 3, 5] {
        post(&mut frames, stream)?;
    }
    let mut answered = Vec::new();
    while answered.len() < 3 {
        let data = frames.find(|frame| frame.kind == DATA && !frame.payload.is_empty())?;
        assert_eq!(data.payload, br#"{"result":4}"#);
        answered.push(data.stream);
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5]);
    // A refusal that would close an HTTP/1.1 connection is one stream's affair.
    frames.send(
        HEADERS,
        END_HEADERS,
        7,
        &header(&[(":method", "POST"), (":scheme", "https"), (":path", "/execute"), (":authority", "localhost")]),
    )?;
    frames.find(|frame| frame.kind == HEADERS && frame.stream == 7)?;
    post(&mut frames, 9)?;
    frames.find(|frame| frame.kind == DATA && frame.stream == 9)?;
    assert_eq!(supervisor.requests().len(), 4);
    Ok(())
}

#[test]
fn a_stream_that_is_reset_takes_its_job_with_it_and_no_other() -> Outcome {
    let supervisor = busy()?;
    let secured = Secured::start(&supervisor.socket, &[])?;
    let mut frames = secured.open(&[])?;
    post(&mut frames, 1)?;
    post(&mut frames, 3)?;
    until("both run", || supervisor.requests().len() == 2);
    frames.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes())?;
    secured.gateway.logged("the departure", |line| line["message"] == "the client left before its answer");
    post(&mut frames, 5)?;
    until("the next runs", || supervisor.requests().len() == 3);
    assert_eq!(secured.gateway.log().iter().filter(|line| line["id"].is_string()).count(), 1);
    Ok(())
}

#[test]
fn streams_reset_as_fast_as_they_are_opened_end_the_connection() -> Outcome {
    let supervisor = busy()?;
    let secured = Secured::start(&supervisor.socket, &[])?;
    let mut frames = secured.open(&[])?;
    let pair = |stream: u32| {
        [frame(HEADERS, END_HEADERS, stream, &execute()), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    // The gateway may well have gone before all of it is sent.
    let _ = frames.send_raw(&(0..2000).flat_map(|number| pair(2 * number + 1)).collect::<Vec<_>>());
    assert_eq!(frames.end(), Some(ENHANCE_YOUR_CALM));
    assert!(supervisor.requests().is_empty() && secured.serves()?);
    Ok(())
}

#[test]
fn jobs_given_up_again_and_again_end_the_connection() -> Outcome {
    let supervisor = busy()?;
    let secured = Secured::start(&supervisor.socket, &[])?;
    let mut frames = secured.open(&[])?;
    let is_cut_off = || secured.gateway.log().iter().any(|line| line["message"] == "a connection is cut off");
    let mut running = 0;
    // One after the other, each running before it is given up: nothing that HTTP/2 itself counts.
    for stream in (1..800).step_by(2) {
        let sent = post(&mut frames, stream);
        until("it runs, or the connection has ended", || supervisor.requests().len() > running || is_cut_off());
        if sent.and_then(|()| frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).is_err() || is_cut_off() {
            break;
        }
        running = supervisor.requests().len();
    }
    assert!((100..400).contains(&running), "{running}");
    let line = secured.gateway.logged("the end", |line| line["message"] == "a connection is cut off");
    assert_eq!(line["reason"], "its peer gives up too many requests");
    frames.end();
    assert!(secured.serves()?);
    Ok(())
}

#[test]
fn a_header_without_end_is_not_waited_for() -> Outcome {
    let secured = Secured::start(&Place::new()?, &[])?;
    let mut frames = secured.open(&[])?;
    frames.send(HEADERS, 0, 1, &get("/healthz"))?;
    let more = frame(CONTINUATION, 0, 1, &header(&[("x", &"a".repeat(100))]).repeat(100));
    for _ in 0..1000 {
        if frames.send_raw(&more).is_err() {
            break;
        }
    }
    assert!(frames.end().is_some(), "no reason was given");
    assert!(secured.serves()?);
    Ok(())
}

#[test]
fn streams_beyond_the_most_are_refused_and_the_others_stay() -> Outcome {
    let supervisor = busy()?;
    let secured = Secured::start(&supervisor.socket, &[])?;
    let mut frames = secured.open(&[])?;
    for number in 0..101 {
        post(&mut frames, 2 * number + 1)?;
    }
    let reset = frames.find(|frame| frame.kind == RST_STREAM)?;
    assert_eq!((reset.stream, reset.payload.as_slice()), (201, &REFUSED_STREAM.to_be_bytes()[..]));
    until("the hundred run", || supervisor.requests().len() == 100);
    Ok(())
}

#[test]
fn a_peer_that_grants_no_window_loses_its_connection() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result":4}"#)?;
    let arguments = ["--body-timeout", "300ms", "--max-connections", "1"];
    let secured = Secured::start(&supervisor.socket, &arguments)?;
    let mut frames = secured.open(&[(INITIAL_WINDOW_SIZE, 0)])?;
    post(&mut frames, 1)?;
    frames.find(|frame| frame.kind == HEADERS)?;
    frames.end();
    let line = secured.gateway.logged("the end", |line| line["message"] == "a connection is cut off");
    assert_eq!(line["reason"], "its peer takes next to nothing of an answer");
    assert!(secured.serves()?, "its place is free again");
    Ok(())
}

#[test]
fn pings_do_not_keep_an_idle_connection() -> Outcome {
    let secured = Secured::start(&Place::new()?, &["--idle-timeout", "400ms"])?;
    let mut frames = secured.open(&[])?;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &get("/healthz"))?;
    let mut pings = 0;
    while pings < 1000 && frames.send(6, 0, 0, &[0; 8]).is_ok() {
        pings += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(pings < 1000);
    Ok(())
}
