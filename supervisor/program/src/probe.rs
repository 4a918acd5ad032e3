//! A daemon asked by its own program whether it is ready or alive, for who starts and watches it where there is no other
//! program to ask with, such as in a container without a shell.
//!
//! It reads no policy and changes nothing. What answers may be anyone: it is bounded, and shown without control characters.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

/// How long all of it may take: a connection that is not accepted, and an answer that does not come or does not end.
const DEADLINE: Duration = Duration::from_secs(3);

/// The most that is read of an answer.
const LARGEST: u64 = 16 * 1024;

/// The most that is shown of it, in characters.
const SHOWN: usize = 300;

/// What is asked.
#[derive(Clone, Copy, Debug, Args)]
pub struct Probe {
    /// Ask only whether it answers, not whether jobs can run: for who restarts what hangs.
    #[arg(long)]
    pub alive: bool,
}

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("no answer: {0}")]
    Away(#[from] io::Error),
    #[error("no answer within {} seconds", DEADLINE.as_secs())]
    Late,
    #[error("what answers does not speak HTTP, or speaks it with TLS")]
    NotHttp,
}

impl Probe {
    /// Asks over what `connect` gives, and says in one line what it heard. Exit codes: 0 it is so, 1 it is not.
    pub fn ask<S: Read + Write>(
        self,
        path: &'static str,
        connect: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> ExitCode {
        let (done, answer) = mpsc::channel();
        // A connection may wait for ever, which no timeout of a socket bounds; a thread ends with its program.
        std::thread::spawn(move || done.send(exchange(path, connect)));
        let heard = answer.recv_timeout(DEADLINE).unwrap_or(Err(Silent::Late)).and_then(|text| status(&text));
        let (holds, told) = self.judge(heard);
        println!("{told}");
        ExitCode::from(u8::from(!holds))
    }

    fn judge(self, heard: Result<(u16, String), Silent>) -> (bool, String) {
        match heard {
            Ok(_) if self.alive => (true, "alive".to_owned()),
            Ok((200, _)) => (true, "ready".to_owned()),
            Ok((_, why)) => (false, format!("not ready: {why}")),
            Err(why) => (false, format!("{}: {why}", if self.alive { "not alive" } else { "not ready" })),
        }
    }
}

/// One request and its answer. HTTP/1.0: the answer ends with its connection and is in no pieces.
fn exchange<S: Read + Write>(path: &str, connect: impl FnOnce() -> io::Result<S>) -> Result<Vec<u8>, Silent> {
    let mut stream = connect()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut text = Vec::new();
    stream.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// The status of an answer, and its reason in one line.
fn status(answer: &[u8]) -> Result<(u16, String), Silent> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(Silent::NotHttp)?;
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let code = words.next().filter(|version| version.starts_with("HTTP/1.")).and(words.next());
    let code = code.and_then(|code| code.parse().ok()).ok_or(Silent::NotHttp)?;
    let mut why = format!("it answers {code}");
    if let Some(message) = message(body) {
        let plain = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN);
        let _ = write!(why, ": {}", plain.collect::<String>());
    }
    Ok((code, why))
}

/// The message of a refusal's body.
fn message(body: &str) -> Option<String> {
    serde_json::from_str::<Refusal>(body).ok().map(|told| told.error.message)
}

/// What is read of one.
#[derive(Deserialize)]
struct Refusal {
    error: Why,
}

/// Its reason.
#[derive(Deserialize)]
struct Why {
    message: String,
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read, Write};

    use super::{Probe, Silent, exchange, status};

    const READY: Probe = Probe { alive: false };
    const ALIVE: Probe = Probe { alive: true };

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let unready =
            b"HTTP/1.0 503 Service Unavailable\r\n\r\n{\"error\":{\"message\":\"the sandbox is being checked\"}}";
        let told = "not ready: it answers 503: the sandbox is being checked";
        assert_eq!(READY.judge(status(unready)), (false, told.to_owned()));
        assert_eq!(ALIVE.judge(status(unready)), (true, "alive".to_owned()));
        assert_eq!(READY.judge(status(b"HTTP/1.1 200 OK\r\n\r\n{}")), (true, "ready".to_owned()));
        assert_eq!(READY.judge(status(b"HTTP/1.1 503 \r\n\r\n")), (false, "not ready: it answers 503".to_owned()));
    }

    #[test]
    fn silence_and_other_tongues_are_neither_ready_nor_alive() {
        for heard in
            [&b""[..], b"\x15\x03\x03\x00\x02\x02\x46", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 20", b"HTTP/1.1 x\r\n\r\n"]
        {
            assert!(!READY.judge(status(heard)).0, "{heard:?}");
            assert!(!ALIVE.judge(status(heard)).0, "{heard:?}");
        }
        assert_eq!(ALIVE.judge(Err(Silent::Late)), (false, "not alive: no answer within 3 seconds".to_owned()));
    }

    #[test]
    fn what_a_stranger_answers_is_bounded_and_cannot_steer_a_terminal() {
        let long = format!("HTTP/1.1 503 \r\n\r\n{{\"error\":{{\"message\":\"\\u001b[2J\\n{}\"}}}}", "x".repeat(9999));
        let (_, told) = READY.judge(status(long.as_bytes()));
        assert!(told.len() < 400 && !told.contains(char::is_control), "{told}");

        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Cursor::new(vec![b'x'; buffer.len()]).read(buffer)
            }
        }
        impl Write for Endless {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let heard = exchange("/readyz", || Ok(Endless)).expect("it ends");
        assert_eq!(heard.len() as u64, super::LARGEST);
    }
}
