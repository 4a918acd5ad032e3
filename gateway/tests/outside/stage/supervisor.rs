//! A stand-in for the supervisor: a Unix socket that answers as the test says. Ends with the value.

use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, thread};

use super::{Message, Place};

/// How it answers one request on its connection; `false` closes the connection.
type Answer = dyn Fn(&Message, &mut UnixStream) -> io::Result<bool> + Send + Sync;

/// What all of its threads share.
struct Shared {
    answer: Box<Answer>,
    stats: Mutex<Option<String>>,
    profiles: Mutex<Option<String>>,
    requests: Mutex<Vec<Message>>,
    streams: Mutex<Vec<UnixStream>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
    is_full: AtomicBool,
}

/// A listening stand-in.
pub struct Supervisor {
    /// Its socket.
    pub socket: PathBuf,
    connections: Connections,
    _place: Option<Place>,
}

/// Its threads' end is their own value's, so that the rest can be taken apart.
struct Connections {
    socket: PathBuf,
    shared: Arc<Shared>,
}

impl Supervisor {
    /// One that answers every request with this status, header lines and body.
    pub fn answering(status: &'static str, headers: &'static str, body: &'static str) -> io::Result<Self> {
        Self::start(move |_, stream| respond(stream, status, headers, body).map(|()| true))
    }

    /// One on a socket of its own.
    pub fn start(
        answer: impl Fn(&Message, &mut UnixStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let place = Place::new()?;
        let supervisor = Self::start_at(&place, answer)?;
        Ok(Self { _place: Some(place), ..supervisor })
    }

    /// One on this socket.
    pub fn start_at(
        socket: &Path,
        answer: impl Fn(&Message, &mut UnixStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            stats: Mutex::default(),
            profiles: Mutex::default(),
            requests: Mutex::default(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        let connections = Connections { socket: socket.to_owned(), shared };
        Ok(Self { socket: socket.to_owned(), connections, _place: None })
    }

    /// From now on it says this of itself when it is asked for its stats, which is counted nowhere here.
    pub fn say(&self, stats: &str) {
        *self.connections.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats.to_owned());
    }

    /// From now on it says this of its profiles, which is counted nowhere either.
    pub fn serve_profiles(&self, profiles: &str) {
        *self.connections.shared.profiles.lock().unwrap_or_else(PoisonError::into_inner) = Some(profiles.to_owned());
    }

    /// From now on it has no place for jobs, and asks for no body.
    pub fn fill(&self) {
        self.connections.shared.is_full.store(true, Ordering::Relaxed);
    }

    /// From now on it has places.
    pub fn empty(&self) {
        self.connections.shared.is_full.store(false, Ordering::Relaxed);
    }

    /// The requests that arrived whole.
    pub fn requests(&self) -> Vec<Message> {
        self.connections.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections a request ever came on.
    pub fn connections(&self) -> usize {
        self.connections.shared.connections.load(Ordering::Relaxed)
    }

    /// Ends as a killed process does: every connection closed, the socket's file left behind.
    pub fn kill(self) -> PathBuf {
        self.socket
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts, which then closes the listener.
        let _ = UnixStream::connect(&self.socket);
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(copy) = stream.try_clone() {
                self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
            }
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.serve(stream));
        }
    }

    fn serve(&self, mut stream: UnixStream) {
        let Ok(copy) = stream.try_clone() else { return };
        let mut reader = BufReader::new(copy);
        let mut counted = false;
        while let Ok(Some(request)) = self.read(&mut reader, &mut stream) {
            let told = match request.start.split(' ').nth(1) {
                Some("/stats") => Some(&self.stats),
                Some("/profiles") => Some(&self.profiles),
                _ => None,
            };
            if let Some(told) = told {
                let _ = tell(told, &mut stream);
                continue;
            }
            if !std::mem::replace(&mut counted, true) {
                self.connections.fetch_add(1, Ordering::Relaxed);
            }
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            if !matches!((self.answer)(&request, &mut stream), Ok(true)) {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// Reads a request, whose body is asked for if it waits for that.
    fn read(&self, reader: &mut BufReader<UnixStream>, stream: &mut UnixStream) -> io::Result<Option<Message>> {
        let Some(head) = Message::read_head(reader)? else { return Ok(None) };
        if head.header("expect") == Some("100-continue") && !self.is_full.load(Ordering::Relaxed) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if self.is_full.load(Ordering::Relaxed) && head.start.starts_with("POST ") {
            return Ok(Some(head));
        }
        head.read_body(reader).map(Some)
    }
}

fn tell(told: &Mutex<Option<String>>, stream: &mut UnixStream) -> io::Result<()> {
    match &*told.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(told) => respond(stream, "200 OK", "", told),
        None => respond(stream, "404 Not Found", "", "{}"),
    }
}

/// Writes a response.
pub fn respond(stream: &mut UnixStream, status: &str, headers: &str, body: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}
