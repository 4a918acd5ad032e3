//! Cells in a conversation: what the supervisor streams becomes messages, and an interrupt an order of its own.

use std::io;
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::stage::{Gateway, LONG, Outcome, Supervisor, respond};
use crate::stream::{begin, chunk, end};

const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// A WebSocket to the gateway.
struct Talk(WebSocket<TcpStream>);

impl Talk {
    fn open(gateway: &Gateway) -> io::Result<Self> {
        let stream = TcpStream::connect(gateway.address)?;
        stream.set_read_timeout(Some(LONG))?;
        let (socket, _) = client(format!("ws://{}/connect", gateway.address), stream).map_err(io::Error::other)?;
        Ok(Self(socket))
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        self.0.send(Message::text(message.to_string())).map_err(io::Error::other)
    }

    fn next(&mut self) -> io::Result<Value> {
        loop {
            match self.0.read().map_err(io::Error::other)? {
                Message::Text(text) => return serde_json::from_str(&text).map_err(io::Error::other),
                Message::Close(frame) => return Err(io::Error::other(format!("closed: {frame:?}"))),
                _ => {}
            }
        }
    }
}

/// A supervisor whose cells show something, and end when they are interrupted.
fn patient() -> io::Result<Supervisor> {
    let (interrupt, interrupted) = mpsc::channel();
    let (interrupt, interrupted) = (Mutex::new(interrupt), Mutex::new(interrupted));
    Supervisor::start(move |request, stream| {
        if request.start.starts_with("GET ") {
            return respond(stream, "200 OK", "", r#"{"profile":"default"}"#).map(|()| true);
        }
        if request.start.starts_with("POST /sessions/") {
            let _ = interrupt.lock().unwrap_or_else(PoisonError::into_inner).send(());
            return respond(stream, "200 OK", "", r#"{"interrupted":true}"#).map(|()| true);
        }
        let id = request.header("x-cloister-id").unwrap_or_default().to_owned();
        begin(stream)?;
        chunk(stream, "event: display\ndata: {\"data\":{\"text/plain\":\"a\\nb\"}}\n\n")?;
        if request.header("x-cloister-session").is_some() {
            let interrupted = interrupted.lock().unwrap_or_else(PoisonError::into_inner);
            interrupted.recv_timeout(LONG).map_err(io::Error::other)?;
        }
        chunk(stream, &format!("event: result\ndata: {{\"id\":\"{id}\",\"error\":{{\"code\":\"interrupted\"}}}}\n\n"))?;
        end(stream, "interrupted")
    })
}

#[test]
fn a_cell_is_told_of_as_it_comes_and_can_be_interrupted() -> Outcome {
    let supervisor = patient()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut talk = Talk::open(&gateway)?;
    for _ in 0..2 {
        talk.send(&json!({"type": "execute", "session": SESSION, "code": "show()", "busy": "refuse"}))?;
        let started = talk.next()?;
        assert_eq!((&started["type"], &started["session"]), (&json!("started"), &json!(SESSION)));
        assert_eq!(talk.next()?, json!({"type": "display", "data": {"text/plain": "a\nb"}}));
        talk.send(&json!({"type": "interrupt"}))?;
        let last = talk.next()?;
        assert_eq!(last, json!({"type": "result", "id": started["id"], "error": {"code": "interrupted"}}));
    }
    let requests = supervisor.requests();
    let cell = requests.iter().find(|request| request.start.starts_with("POST /execute ")).ok_or("no cell")?;
    assert_eq!(cell.body, br#"{"script":"show()"}"#);
    assert_eq!(cell.header("x-cloister-busy"), Some("refuse"));
    let interrupts = format!("POST /sessions/{SESSION}/interrupt HTTP/1.1");
    assert_eq!(requests.iter().filter(|request| request.start == interrupts).count(), 2);
    Ok(())
}

#[test]
fn what_cannot_be_interrupted_is_told_so() -> Outcome {
    let supervisor = patient()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut talk = Talk::open(&gateway)?;
    let refused = |message: Value, expected: &str| {
        let why = message["error"]["message"].as_str().unwrap_or_default();
        assert!(message["type"] == "refused" && why.contains(expected), "{message}");
    };
    talk.send(&json!({"type": "interrupt"}))?;
    refused(talk.next()?, "no job runs in this conversation");
    talk.send(&json!({"type": "execute", "session": "x", "code": "1"}))?;
    refused(talk.next()?, "session is a string, expected the id of a session");
    talk.send(&json!({"type": "execute", "session": SESSION, "script": "1"}))?;
    let error = talk.next()?;
    assert_eq!((&error["type"], &error["error"]["code"]), (&json!("error"), &json!("invalid_request")));
    assert!(error["error"]["message"].as_str().is_some_and(|why| why.contains("unknown field `script`")), "{error}");
    talk.send(&json!({"type": "execute", "script": "def main(): pass"}))?;
    assert_eq!(talk.next()?.get("session"), None);
    assert_eq!(talk.next()?["type"], "display");
    assert_eq!(talk.next()?["type"], "result");
    Ok(())
}
