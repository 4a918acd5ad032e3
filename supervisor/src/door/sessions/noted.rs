//! What is noted of a session while it is there.

use std::sync::Arc;
use std::time::Instant;

use cloister_protocol::{JobId, SessionState, SessionUsage};

use crate::job::residue::Residue;

/// How many branches may be over whose files are to go: what is beyond that goes with the session.
const MOST_GONE: usize = 1024;

/// What is noted of a session.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) state: SessionState,
    /// Cells and orders that wait for their turn, or have it.
    pub(super) asked: usize,
    pub(super) cells: u64,
    pub(super) usage: SessionUsage,
    pub(super) memory: u64,
    /// What branches of it have left that are over.
    pub(super) residue: Arc<Residue>,
    /// Cells and orders of branches that wait for their turn, or have it.
    pub(super) asked_of_branches: usize,
    /// Branches of it that are over, and whose files may be there.
    pub(super) gone: Vec<JobId>,
    /// Since when nothing is asked of it.
    pub(super) since: Instant,
}

impl Noted {
    /// Of one that is being opened, behind so many cells.
    pub(super) fn opening(cells: u64) -> Self {
        let (state, usage, since) = (SessionState::Opening, SessionUsage::default(), Instant::now());
        Self {
            state,
            asked: 0,
            cells,
            usage,
            memory: 0,
            residue: Arc::default(),
            asked_of_branches: 0,
            gone: Vec::new(),
            since,
        }
    }

    /// Memory that it holds, and what its branches have left, in bytes.
    pub(super) fn held(&self) -> u64 {
        self.memory + self.residue.bytes()
    }

    /// Takes note of a branch whose files are to go.
    pub(super) fn note_gone(&mut self, branch: JobId) {
        if self.gone.len() < MOST_GONE {
            self.gone.push(branch);
        }
    }

    /// How readily it is ended where memory is short, the least first, and since when nothing is asked of it itself; `None` while
    /// something is, and what it holds is what its cell may. One that branches go on with that are asked comes behind all others, and last of all
    /// one whose branches have left something: only its end gives that back.
    pub(super) fn dispensable(&self) -> Option<(u8, Instant)> {
        let rests = self.asked == 0 && self.state == SessionState::Idle;
        match (rests, self.asked_of_branches > 0, self.residue.bytes() > 0) {
            (true, used, _) => Some((u8::from(used), self.since)),
            (false, _, true) => Some((2, self.since)),
            (false, _, false) => None,
        }
    }
}
