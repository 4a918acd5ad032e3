//! The cell that a job runs in, and the slot that it takes, from the order to build it to a slot that is free again.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::ExecuteRequest;
use cloister_sandbox::cgroup::{Limits, SlotCgroup};
use cloister_sandbox::spec::{Slot, Spec};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::job::bounds::Bounds;
use crate::job::output_files::{JobFiles, Left};
use crate::job::prepare_error::PrepareError;
use crate::job::slots::{Lease, Slots};
use crate::link::event_loop::watch_or_return;
use crate::link::forkers::Forkers;

/// A cell and the slot it is in. Dropped, it is killed, and the slot is free once all in it is dead.
#[derive(Debug)]
pub struct Cell {
    /// The slot, and a pidfd of the cell's init.
    inner: Option<(Lease, AsyncFd<OwnedFd>)>,
    /// The job's files. Their memory is the slot's: it is free only when they are gone.
    files: Option<JobFiles>,
    slots: Arc<Slots>,
    /// Kept until all is dead: the process that forked a job is the one that can tell of its end.
    forkers: Forkers,
}

impl Cell {
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
                inner: Some((lease, init)),
                files: Some(files),
                slots: Arc::clone(slots),
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

    fn parts(&self) -> &(Lease, AsyncFd<OwnedFd>) {
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

    /// From now on what is used is counted from nothing. The CPU time that was used until now.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn restart_count(&mut self) -> cloister_sandbox::Result<Duration> {
        self.inner.as_mut().expect("taken only by drop").0.cgroup.restart_count()
    }

    /// The first of its processes, which all others end with.
    #[must_use]
    pub fn init(&self) -> &OwnedFd {
        self.parts().1.get_ref()
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
        let (lease, init) = self.parts();
        kill(lease, init);
    }

    /// Waits until nothing in it runs any more.
    pub async fn gone(&self) {
        all_dead(&self.parts().1, &self.forkers).await;
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
        let Some((lease, init)) = self.inner.take() else { return };
        kill(&lease, &init);
        let (slots, forkers) = (Arc::clone(&self.slots), self.forkers.clone());
        let files = self.files.take();
        tokio::spawn(async move {
            all_dead(&init, &forkers).await;
            sweep();
            // Freed beside the event loop, which much of it would keep.
            if let Some(files) = files {
                let _ = tokio::task::spawn_blocking(|| drop(files)).await;
            }
            give_back(&slots, lease);
        });
    }
}

fn kill(lease: &Lease, init: &AsyncFd<OwnedFd>) {
    let _ = pidfd_send_signal(init.get_ref().as_fd(), Signal::KILL);
    lease.cgroup.kill();
}

/// A slot is used again only when its control group is seen to be empty.
fn give_back(slots: &Arc<Slots>, lease: Lease) {
    if lease.cgroup.is_empty() {
        slots.release(lease);
    } else {
        slots.lose(lease);
    }
}

/// Waits for the end of the process that a pidfd refers to, `pidfd_open(2)`. If that is the cell's
/// init, nothing in the cell runs any more: the kernel ends the whole PID namespace before it,
/// `pid_namespaces(7)`.
pub async fn dead(process: &AsyncFd<OwnedFd>) {
    let _ = process.readable().await;
}

/// Whether the process that a pidfd refers to has ended by now.
pub fn has_ended(process: &AsyncFd<OwnedFd>) -> bool {
    let mut polled = [PollFd::new(process.get_ref().as_fd(), PollFlags::POLLIN)];
    !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(0))
}

/// Waits until nothing in the cell runs any more, past those who forked it, should they hang.
async fn all_dead(init: &AsyncFd<OwnedFd>, forkers: &Forkers) {
    tokio::select! {
        () = dead(init) => {}
        () = forkers.end_if_hung() => unreachable!("there is always someone to wait for"),
    }
}

/// Makes the kernel look for sockets that hold one another and so, and with them whatever else was sent,
/// outlive their job. Closing any Unix socket does: `net/unix/garbage.c`.
pub fn sweep() {
    let _ = std::os::unix::net::UnixStream::pair();
}
