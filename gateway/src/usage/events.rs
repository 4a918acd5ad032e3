//! Usage events on their way into their file, which a thread of its own writes.
//!
//! A job is handed on only when it is remembered in the state directory, so that a gateway that dies forgets none; its event
//! takes its place there, and frees it when it is written. So memory is bounded by the places, and where events cannot be
//! written, no more jobs are begun: nothing that was accepted is lost silently.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cloister_protocol::Tenant;
use tokio::sync::oneshot;

use crate::usage::places::Places;
use crate::usage::record::Begun;
use crate::usage::running::Running;
use crate::usage::sink::Sink;

/// How long a job waits until it is remembered.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon the disk has what is written, how often a file is looked for that was moved away, and how soon it is tried again
/// to write what could not be.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is told that events cannot be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Events {
    notes: Sender<Note>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Mutex<Places>,
    fails: AtomicBool,
}

/// The thread.
#[derive(Debug)]
pub struct EventWriter {
    notes: Sender<Note>,
    thread: JoinHandle<usize>,
}

/// A job that is remembered.
#[derive(Debug)]
pub struct Remembered {
    number: u16,
    notes: Option<Sender<Note>>,
}

#[derive(Debug)]
enum Note {
    Begin { place: Remembered, line: Vec<u8>, begun: oneshot::Sender<Remembered> },
    End { place: u16, line: Vec<u8> },
    Forget { place: u16 },
    Stop,
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        // Counts, whole whatever happened to the last holder.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Starts the thread. The first events are those that a gateway before has left in `running`.
    ///
    /// # Errors
    /// Events cannot be written, or there is no thread.
    pub fn start(file: &Path, (running, left): (Running, Vec<Vec<u8>>)) -> io::Result<(Self, EventWriter)> {
        let mut sink = Sink::open(file)?;
        sink.write(&left.concat(), &mut 0)?;
        sink.sync()?;
        running.clear_all()?;
        let (notes, taken) = mpsc::channel();
        let shared = Arc::new(Shared { places: Mutex::new(Places::new()), fails: AtomicBool::new(false) });
        let (waiting, times) = (VecDeque::new(), Times::new());
        let desk = Desk { sink, running, shared: Arc::clone(&shared), waiting, done: 0, times, stops: false };
        let thread = thread::Builder::new().name("usage".to_owned()).spawn(move || desk.work(&taken))?;
        Ok((Self { notes: notes.clone(), shared }, EventWriter { notes, thread }))
    }

    /// Remembers a job. `None` if it cannot be told of later, so that it must not begin.
    pub async fn begin(&self, job: &Begun, tenant: Tenant) -> Option<Remembered> {
        if self.shared.fails.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.shared.places().take(tenant)?;
        let place = Remembered { number, notes: Some(self.notes.clone()) };
        let (begun, remembered) = oneshot::channel();
        self.notes.send(Note::Begin { place, line: job.line(), begun }).ok()?;
        tokio::time::timeout(PATIENCE, remembered).await.ok()?.ok()
    }
}

impl EventWriter {
    /// Waits until all is written that was told; `false` if the next start has to write something.
    pub fn finish(self) -> bool {
        let _ = self.notes.send(Note::Stop);
        let left = self.thread.join().unwrap_or(1);
        if left > 0 {
            tracing::error!(left, "usage events could not be written: they are kept, and the next start writes them");
        }
        left == 0
    }
}

impl Remembered {
    /// Tells of the job, which is then remembered no more.
    pub fn tell(mut self, line: Vec<u8>) {
        if let Some(notes) = self.notes.take() {
            let _ = notes.send(Note::End { place: self.number, line });
        }
    }
}

impl Drop for Remembered {
    /// Of a job that was never begun.
    fn drop(&mut self) {
        if let Some(notes) = self.notes.take() {
            let _ = notes.send(Note::Forget { place: self.number });
        }
    }
}

/// What the thread has before it.
struct Desk {
    sink: Sink,
    running: Running,
    shared: Arc<Shared>,
    /// Events that are to be written, each with its place.
    waiting: VecDeque<(u16, Vec<u8>)>,
    /// How much of the first is written.
    done: usize,
    times: Times,
    stops: bool,
}

/// When things were last done.
struct Times {
    written: Option<Instant>,
    followed: Instant,
    complained: Option<Instant>,
}

impl Times {
    fn new() -> Self {
        Self { written: None, followed: Instant::now(), complained: None }
    }
}

impl Desk {
    /// Until it is to stop; how many events are not written then.
    fn work(mut self, notes: &Receiver<Note>) -> usize {
        loop {
            let idle = self.waiting.is_empty() && self.times.written.is_none();
            let first =
                if idle { notes.recv().map_err(|_| RecvTimeoutError::Disconnected) } else { notes.recv_timeout(EVERY) };
            match first {
                Ok(first) => std::iter::once(first).chain(notes.try_iter()).for_each(|note| self.take(note)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.stops = true,
            }
            self.write();
            if self.stops {
                break;
            }
            if self.times.written.is_some_and(|since| since.elapsed() >= EVERY) {
                self.sync();
            }
        }
        self.sync();
        for (place, line) in &self.waiting {
            // Its place is there already, however full the disk is.
            if let Err(error) = self.running.put(*place, line) {
                tracing::error!(%error, event = %String::from_utf8_lossy(line).trim_end(), "a usage event could not be kept");
            }
        }
        self.waiting.len()
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Begin { place, line, begun } => match self.running.put(place.number, &line) {
                // One that waits no more drops its place.
                Ok(()) => drop(begun.send(place)),
                Err(error) => self.complain(&error),
            },
            Note::End { place, line } => self.waiting.push_back((place, line)),
            Note::Forget { place } => self.free(place),
            Note::Stop => self.stops = true,
        }
    }

    fn write(&mut self) {
        while let Some((place, line)) = self.waiting.front() {
            let place = *place;
            let mut write = || {
                if self.done == 0 && self.times.followed.elapsed() >= EVERY {
                    self.sink.follow()?;
                    self.times.followed = Instant::now();
                }
                self.sink.write(line, &mut self.done)
            };
            if let Err(error) = write() {
                self.shared.fails.store(true, Ordering::Relaxed);
                self.complain(&error);
                return;
            }
            self.done = 0;
            self.waiting.pop_front();
            self.times.written.get_or_insert_with(Instant::now);
            self.free(place);
        }
        if self.shared.fails.swap(false, Ordering::Relaxed) {
            self.times.complained = None;
            tracing::info!("usage events are written again: jobs are begun again");
        }
    }

    fn sync(&mut self) {
        self.times.written = None;
        if let Err(error) = self.sink.sync() {
            self.complain(&error);
        }
    }

    fn free(&mut self, place: u16) {
        // At worst the next start tells of its job again.
        if let Err(error) = self.running.clear(place) {
            self.complain(&error);
        }
        self.shared.places().give_back(place);
    }

    fn complain(&mut self, error: &io::Error) {
        if self.times.complained.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
            self.times.complained = Some(Instant::now());
            tracing::error!(%error, waiting = self.waiting.len(), "usage events cannot be written: no job is begun until they are");
        }
    }
}
