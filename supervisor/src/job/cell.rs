//! The cell that a job runs in, and the slot that it takes, from the order to build it to a slot that is free again.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::ExecuteRequest;
use cloister_sandbox::cgroup::{Limits, SlotCgroup};
use cloister_sandbox::spec::{Slot, Spec};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::oneshot;

use crate::job::bounds::Bounds;
use crate::job::handed::Handed;
use crate::job::life::{Life, all_dead, give_back, kill};
use crate::job::output_files::{JobFiles, Left};
use crate::job::prepare_error::PrepareError;
use crate::job::residue::Residue;
use crate::job::slots::{Lease, Slots};
use crate::link::event_loop::watch_or_return;
use crate::link::forkers::Forkers;

/// A cell and the slot it is in. Dropped, it is killed, and the slot is free once all in it is dead.
#[derive(Debug)]
pub struct Cell {
    /// The slot, and what all in the cell ends with.
    inner: Option<(Lease, Life)>,
    /// The job's files. Their memory is the slot's: it is free only when they are gone.
    files: Option<JobFiles>,
    slots: Arc<Slots>,
    /// Of the whole cell, and so of all parts of it.
    residue: Arc<Residue>,
    /// What it was handed by way of another part.
    handed: Option<Handed>,
    /// Kept until all is dead: the process that forked a job is the one that can tell of its end.
    forkers: Forkers,
}

impl Cell {
    /// A part of a cell: processes of that which are held by a group of their own, none by now. Its namespaces, its files and its id are
    /// the cell's, and it does not outlive it.
    ///
    /// # Errors
    /// What the kernel said. The slot is replaced then.
    pub fn part(&self, mut lease: Lease) -> cloister_sandbox::Result<Self> {
        let limits = self.cgroup().limits().expect("a cell's group was given its limits");
        if let Err(error) = lease.cgroup.reset(limits) {
            self.slots.lose(lease);
            return Err(error);
        }
        let (slots, forkers, residue) = (Arc::clone(&self.slots), self.forkers.clone(), Arc::clone(&self.residue));
        Ok(Self { inner: Some((lease, Life::Group)), files: None, slots, residue, handed: None, forkers })
    }

    /// Notes what is on its way to it: it takes room until nobody has that any more.
    pub fn note_handed(&mut self, handed: Handed) {
        self.handed = Some(handed);
    }

    /// Takes in a process that is stopped, the only one in it, and leaves it so.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn take_in_stopped(&mut self, process: u32) -> cloister_sandbox::Result<()> {
        self.inner.as_mut().expect("taken only by drop").0.cgroup.take_in_stopped(process)
    }

    /// What parts of it have left that are over.
    #[must_use]
    pub fn residue(&self) -> Arc<Residue> {
        Arc::clone(&self.residue)
    }

    /// Has one built in the leased slot.
    ///
    /// # Errors
    /// The step that failed. The slot goes back to the others then, or is replaced if it was what failed.
    pub async fn build(
        forkers: &Forkers,
        spec: &Spec,
        limits: Limits,
        mut lease: Lease,
        slots: &Arc<Slots>,
    ) -> Result<Self, PrepareError> {
        if let Err(error) = lease.cgroup.reset(limits) {
            slots.lose(lease);
            return Err(PrepareError::Slot(error));
        }
        let (init, files) = match forkers.launcher.connection().cell(lease.slot).await {
            Ok([init, files]) => (init, JobFiles::new(files, spec)),
            Err(error) => {
                slots.release(lease);
                return Err(error.into());
            }
        };
        match watch_or_return(init) {
            Ok(init) => Ok(Self {
                inner: Some((lease, Life::Init(init))),
                files: Some(files),
                slots: Arc::clone(slots),
                residue: Arc::default(),
                handed: None,
                forkers: forkers.clone(),
            }),
            Err((init, error)) => {
                // Nothing of a job has been in it.
                let _ = pidfd_send_signal(&init, Signal::KILL);
                slots.release(lease);
                Err(error.into())
            }
        }
    }

    fn parts(&self) -> &(Lease, Life) {
        self.inner.as_ref().expect("taken only by drop")
    }

    /// Which slot it is in.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.parts().0.slot
    }

    /// The slot's control group.
    #[must_use]
    pub fn cgroup(&self) -> &SlotCgroup {
        &self.parts().0.cgroup
    }

    /// From now on all in it can be stopped: this process, the only one in it, and what it starts.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn be_freezable(&mut self, first: u32) -> cloister_sandbox::Result<()> {
        self.inner.as_mut().expect("taken only by drop").0.cgroup.be_freezable(first)
    }

    /// Tells the kernel how ready to be to end a process of it where memory is used up.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn set_order_of_going(&self, process: u32, adjustment: i16) -> cloister_sandbox::Result<()> {
        self.slots.powers.set_order_of_going(process, adjustment)
    }

    /// From now on what is used is counted from nothing. The CPU time that was used until now.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn restart_count(&mut self) -> cloister_sandbox::Result<Duration> {
        self.inner.as_mut().expect("taken only by drop").0.cgroup.restart_count()
    }

    /// The first of its processes, which all others end with; none in what is a part of another.
    #[must_use]
    pub fn init(&self) -> Option<&OwnedFd> {
        match &self.parts().1 {
            Life::Init(init) => Some(init.get_ref()),
            Life::Group => None,
        }
    }

    /// What its job is forked from.
    #[must_use]
    pub fn forkers(&self) -> &Forkers {
        &self.forkers
    }

    /// Looks at what is there in front of a request. Returns where its files are put.
    pub fn begin(&mut self, request: &ExecuteRequest) -> &Path {
        let files = self.files.as_mut().expect("taken only at the end");
        files.begin(request);
        files.directory()
    }

    /// Ends when its processes are seen to hold too many record locks.
    pub async fn too_many_locks(&self) {
        self.slots.locks.too_many(self.cgroup()).await;
    }

    /// Looks whether its processes hold too many record locks now.
    pub async fn has_too_many_locks(&self) -> bool {
        self.slots.locks.finds_too_many(self.cgroup()).await
    }

    /// Begins the end of everything in it.
    pub fn kill(&self) {
        let (lease, life) = self.parts();
        kill(lease, life);
    }

    /// Waits until nothing in it runs any more.
    pub async fn gone(&self) {
        all_dead(self.parts(), &self.forkers).await;
    }

    /// Whether the job has left no file that would be returned or told of. Where what it has is little, that is closed
    /// then: it is the cell's end that frees the rest.
    #[must_use]
    pub fn left_nothing(&mut self) -> bool {
        let Some(files) = &self.files else { return true };
        let nothing = files.nothing();
        if nothing == Some(true) {
            self.files = None;
        }
        nothing.is_some()
    }

    /// Takes what the job left, once all in it are dead. What is begun goes to its end even if nobody waits
    /// for it any more, for the slot is not free before.
    pub async fn end(mut self, bounds: &Bounds) -> Left {
        if self.left_nothing() {
            return Left::default();
        }
        let files = self.files.take().expect("what has left something");
        let (bounds, (tell, told)) = (*bounds, oneshot::channel());
        tokio::spawn(async move {
            let collect = move || tell.send(files.collect(&bounds)).is_ok();
            let _ = tokio::task::spawn_blocking(collect).await;
            drop(self);
        });
        told.await.unwrap_or(Left { truncated: true, ..Left::default() })
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let Some(parts) = self.inner.take() else { return };
        kill(&parts.0, &parts.1);
        let (slots, forkers) = (Arc::clone(&self.slots), self.forkers.clone());
        let (files, handed, residue) = (self.files.take(), self.handed.take(), Arc::clone(&self.residue));
        tokio::spawn(async move {
            all_dead(&parts, &forkers).await;
            sweep();
            // Freed beside the event loop, which much of it would keep.
            if let Some(files) = files {
                let _ = tokio::task::spawn_blocking(|| drop(files)).await;
            }
            give_back(&slots, parts, handed.as_ref(), &residue).await;
        });
    }
}

/// Makes the kernel look for sockets that hold one another and so, and with them whatever else was sent,
/// outlive their job. Closing any Unix socket does: `net/unix/garbage.c`.
pub fn sweep() {
    let _ = std::os::unix::net::UnixStream::pair();
}
