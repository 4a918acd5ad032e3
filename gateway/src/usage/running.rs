//! The jobs whose events are not written yet, in a file of as many places: what a gateway that dies leaves there its next
//! start tells of. A place has one line, and none that is free begins with one.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::usage::record::Begun;
use crate::usage::state::{StateDirectory, StateError};

/// Jobs that may run and wait at once, and those whose events are not written yet.
pub const PLACES: u16 = 8192;

/// The bytes of a place, more than any line has. One is a page: it is there whole, or not at all.
const PLACE: u64 = 4096;

/// The file.
#[derive(Debug)]
pub struct Running(File);

impl Running {
    /// Opens it, and takes out what was left there: an event for each job, and how many could not be read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(state: &StateDirectory) -> Result<(Self, Vec<Vec<u8>>, usize), StateError> {
        const NAME: &str = "running";
        let file = state.open(NAME)?;
        let mut bytes = Vec::new();
        let most = u64::from(PLACES) * PLACE;
        (&file).take(most).read_to_end(&mut bytes).map_err(|error| StateError::File(state.path().join(NAME), error))?;
        let (mut left, mut unreadable) = (Vec::new(), 0);
        for place in
            bytes.chunks(usize::try_from(PLACE).unwrap_or(usize::MAX)).filter(|place| place.first() != Some(&0))
        {
            match place.iter().position(|byte| *byte == b'\n').and_then(|end| event(&place[..=end])) {
                Some(event) => left.push(event),
                None => unreadable += 1,
            }
        }
        Ok((Self(file), left, unreadable))
    }

    /// Remembers a line at a place.
    ///
    /// # Errors
    /// It is too long, or the file cannot be written.
    pub fn put(&self, place: u16, line: &[u8]) -> io::Result<()> {
        if line.len() as u64 > PLACE {
            return Err(io::Error::other("a line is longer than its place"));
        }
        self.0.write_all_at(line, u64::from(place) * PLACE)
    }

    /// Frees a place.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear(&self, place: u16) -> io::Result<()> {
        self.0.write_all_at(&[0], u64::from(place) * PLACE)
    }

    /// Frees all, when what was left there is written elsewhere.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear_all(&self) -> io::Result<()> {
        self.0.set_len(0)
    }
}

/// The event of what was left at a place.
fn event(line: &[u8]) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Told {
        outcome: Option<String>,
    }
    let begun: Begun = serde_json::from_slice(line).ok()?;
    let told: Told = serde_json::from_slice(line).ok()?;
    Some(if told.outcome.is_some() { line.to_vec() } else { begun.lost() })
}
