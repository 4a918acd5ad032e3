//! All that is kept of use: opened at the start, asked for each job, and closed at the end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{JobId, Tenant};

use crate::error::Error;
use crate::keys::Key;
use crate::usage::events::{EventWriter, Events};
use crate::usage::keeper::Keeper;
use crate::usage::ledger::{CountedJob, Ledger, NoMore};
use crate::usage::meter::Meter;
use crate::usage::record::{Begun, moment};
use crate::usage::running::Running;
use crate::usage::state::{StateDirectory, StateError};

/// What keys use; clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    ledger: Option<Arc<Ledger>>,
    events: Option<Events>,
}

/// The threads that write.
#[derive(Debug, Default)]
pub struct Books {
    keeper: Option<Keeper>,
    writer: Option<EventWriter>,
}

/// A request that is to become a job.
#[derive(Debug)]
pub struct Job<'a> {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The profile that it asks for.
    pub profile: &'a str,
    /// The digest of its script.
    pub script_sha256: String,
    /// How long it is.
    pub bytes_in: u64,
    /// How many processors it may use at once, in thousandths, and for how long, if that is known.
    pub processors: Option<(u32, Duration)>,
}

impl Accounts {
    /// Opens what was kept. `address` is by what a second gateway is told of this one.
    ///
    /// # Errors
    /// What is wrong with the state directory, with what is in it, or with the file of events.
    pub fn open(state: Option<&Path>, usage: Option<&Path>, address: SocketAddr) -> Result<(Self, Books), Error> {
        let Some(path) = state else { return Ok(Default::default()) };
        let who = format!("pid {}, listening on {address}", std::process::id());
        let damaged = |error: StateError| Error::StateDirectory(error.into());
        let state = Arc::new(StateDirectory::take(path, &who).map_err(damaged)?);
        let ledger = Ledger::new(state.used().map_err(damaged)?);
        let unwritable = |error| Error::State(path.to_owned(), error);
        let keeper = Keeper::start(Arc::clone(&ledger), Arc::clone(&state)).map_err(unwritable)?;
        let mut books = Books { keeper: Some(keeper), writer: None };
        let mut events = None;
        if let Some(file) = usage {
            let (running, left, unreadable) = Running::open(&state).map_err(damaged)?;
            if !left.is_empty() || unreadable > 0 {
                let jobs = left.len();
                tracing::warn!(
                    jobs,
                    unreadable,
                    "the gateway before this one ended with jobs: their usage events are written now"
                );
            }
            let started = Events::start(file, (running, left)).map_err(|error| Error::Usage(file.to_owned(), error))?;
            events = Some(started.0);
            books.writer = Some(started.1);
        }
        Ok((Self { ledger: Some(ledger), events }, books))
    }

    /// Whether jobs are told of.
    pub fn tells(&self) -> bool {
        self.events.is_some()
    }

    /// Looks whether a key may run a job now.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, key: &Key) -> Result<(), NoMore> {
        match &self.ledger {
            Some(ledger) => ledger.check(key),
            None if key.quotas() == (None, None) => Ok(()),
            None => Err(NoMore::Unkept),
        }
    }

    /// Counts a job of a key.
    ///
    /// # Errors
    /// It may run none now.
    pub fn take(&self, key: &Key) -> Result<Option<CountedJob>, NoMore> {
        match &self.ledger {
            Some(ledger) => ledger.take(key).map(Some),
            None => self.check(key).map(|()| None),
        }
    }

    /// A meter for a job that is about to be handed on; `None` if it could not be told of later, so that it must not be.
    pub async fn meter(&self, counted: Option<CountedJob>, key: Option<&str>, job: Job<'_>) -> Option<Meter> {
        let event = match &self.events {
            None => None,
            Some(events) => {
                let Job { id, tenant, profile, script_sha256, bytes_in, .. } = job;
                let (key, id, profile) = (key.map(str::to_owned), id.to_string(), profile.to_owned());
                let begun = Begun { time: moment(), key, id, profile, script_sha256, bytes_in };
                match events.begin(&begun, tenant).await {
                    Some(place) => Some((place, begun)),
                    // It is given back, for nothing is known of it.
                    None => return None,
                }
            }
        };
        Some(Meter::new(counted, event, job.processors))
    }
}

impl Books {
    /// Writes the rest, when no meter is left.
    ///
    /// # Errors
    /// Not all could be written.
    pub fn close(self) -> Result<(), Error> {
        let told = self.writer.is_none_or(EventWriter::finish);
        let kept = self.keeper.is_none_or(Keeper::finish);
        if told && kept { Ok(()) } else { Err(Error::Unkept) }
    }
}
