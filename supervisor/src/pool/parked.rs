//! A profile's parked children, and those who wait for one.
//!
//! A place that is left is filled again off the way of a request; what could not be made is told to whoever waits.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_protocol::Tenant;
use tokio::sync::{Notify, oneshot};

use crate::job::prepare_error::PrepareError;
use crate::job::prepared::Prepared;
use crate::pool::line::{InService, Line};
use crate::pool::maker::Maker;
use crate::pool::ready::{Child, Serving};

/// How long to wait before trying again to park a child, after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the place that a child leaves may stay empty in favour of the child's own request.
const GRACE: Duration = Duration::from_millis(20);

/// How long a zygote may hand out nothing, although it is asked for children and there are slots for them, before
/// requests are served by interpreters that start beside it. Jobs that fork hold locks of the kernel's that they share
/// with it: their memory is of one tree, `anon_vma_clone()` in the kernel's `mm/rmap.c`.
const STALL: Duration = Duration::from_millis(100);

/// How often a request looks again whether it may start an interpreter, while the zygote stalls.
const AGAIN: Duration = Duration::from_millis(20);

/// Children that wait for a request, and requests that wait for a child.
#[derive(Debug)]
pub struct Parked {
    maker: Arc<Maker>,
    line: Arc<Line<Child, PrepareError>>,
    arrived: Notify,
    /// How many are kept.
    most: usize,
    /// Whether they are forked from a zygote.
    forked: bool,
}

/// A sandbox for a request, what tells that it has served, and that it counts as its tenant's.
pub type Handed = (Prepared, Option<Serving>, InService<Child, PrepareError>);

impl Parked {
    /// None yet, of `most`.
    #[must_use]
    pub fn new(maker: Arc<Maker>, most: u32, forked: bool) -> Arc<Self> {
        let most = usize::try_from(most).expect("32 bits fit");
        Arc::new(Self { maker, line: Line::new(), arrived: Notify::new(), most, forked })
    }

    /// Begins to park as many as are kept, and to renew them. An import that fails where interpreters are started ahead
    /// of requests does so here, as it does in a zygote.
    ///
    /// # Errors
    /// Why the first could not be made.
    pub async fn begin(self: &Arc<Self>) -> Result<(), PrepareError> {
        let mut missing = self.most;
        if self.maker.starts_ahead() {
            self.put(self.maker.make().await?);
            missing -= 1;
        }
        for _ in 0..missing {
            tokio::spawn(park_one(Arc::downgrade(self)));
        }
        if let Some(first) = self.maker.until_renewal() {
            tokio::spawn(renew(Arc::downgrade(self), first));
        }
        Ok(())
    }

    /// How many wait for a request.
    #[must_use]
    pub fn count(&self) -> usize {
        self.line.count()
    }

    /// Waits until as many children are parked as the profile keeps.
    pub async fn filled(&self) {
        while self.line.count() < self.most {
            self.arrived.notified().await;
        }
    }

    /// A child that waits for its request: a parked one, or one that is started now.
    ///
    /// # Errors
    /// Why none could be prepared.
    pub async fn take(self: &Arc<Self>, tenant: Tenant) -> Result<Handed, PrepareError> {
        while let Some((child, in_service)) = self.line.take(tenant) {
            if let Some(handed) = self.unpark(child, in_service) {
                return Ok(handed);
            }
        }
        if !self.forked {
            // It does not wait for the next that is parked, which takes as long as its own. In a task of its own, which
            // a client that hangs up does not cut short halfway.
            let maker = Arc::clone(&self.maker);
            let child = tokio::spawn(async move { maker.make().await }).await.expect("preparing does not panic");
            return Ok((child?, None, self.line.serve(tenant)));
        }
        loop {
            let mut wait = self.line.enter(tenant);
            let (child, in_service) = loop {
                let left = STALL.saturating_sub(self.maker.stall.lasts());
                if left.is_zero() {
                    self.start_beside();
                }
                tokio::select! {
                    biased;
                    came = wait.come() => break came?,
                    () = tokio::time::sleep(left.max(AGAIN)) => {}
                }
            };
            if let Some(handed) = self.unpark(child, in_service) {
                return Ok(handed);
            }
        }
    }

    /// A child that has imported more than the profile's own; none where it would take longer than it is worth.
    pub async fn take_soon(self: &Arc<Self>, tenant: Tenant) -> Option<Handed> {
        let taken = async {
            loop {
                let (child, in_service) = match self.line.take(tenant) {
                    Some(taken) => taken,
                    None => self.line.enter(tenant).come().await.ok()?,
                };
                if let Some(handed) = self.unpark(child, in_service) {
                    return Some(handed);
                }
            }
        };
        tokio::time::timeout(STALL, taken).await.ok()?
    }

    /// Has another parked in a child's place, and hands over the child, unless it died while it waited, which is
    /// nobody's loss.
    fn unpark(self: &Arc<Self>, child: Child, in_service: InService<Child, PrepareError>) -> Option<Handed> {
        let Child { mut prepared, parked } = child;
        let serving = if parked { self.refill(self.line.count()) } else { None };
        prepared.is_alive().then_some((prepared, serving, in_service))
    }

    /// Starts an interpreter for those who wait while the zygote hands out nothing, if there is a slot for it, and a
    /// processor. One that nobody waits for any more is ended: it lacks what the zygote has imported.
    fn start_beside(self: &Arc<Self>) {
        let parked = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(prepared) = parked.maker.make_beside().await {
                drop(parked.line.give(Child { prepared, parked: false }));
            }
        });
    }

    /// Fills the place that a child leaves, off the request's path: at once where fewer than half are left, and
    /// otherwise when the child has served, so that its request need not share the processors with what fills it.
    fn refill(self: &Arc<Self>, left: usize) -> Option<Serving> {
        let parked = Arc::downgrade(self);
        if 2 * left < self.most {
            tokio::spawn(park_one(parked));
            return None;
        }
        let (serving, served) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(GRACE, served).await;
            park_one(parked).await;
        });
        Some(serving)
    }

    /// Finds out whether sandboxes can be made, if that is not known of late. What is made for it is parked, or ended.
    pub fn try_out(self: &Arc<Self>) {
        if !self.maker.health.begin() {
            return;
        }
        let parked = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(prepared) = parked.maker.make().await {
                parked.put(prepared);
            }
            parked.maker.health.end();
        });
    }

    /// Parks a child, or gives it to whoever waits. Of more than are kept the oldest is ended.
    fn put(&self, prepared: Prepared) {
        drop(self.line.keep(Child { prepared, parked: true }, self.most));
        self.arrived.notify_one();
    }
}

impl Drop for Parked {
    /// Nobody will ask for those that wait, and jobs that have begun hold the line.
    fn drop(&mut self) {
        drop(self.line.drain());
    }
}

/// Parks one child for a profile that is still served. A failure is told to a request that waits for
/// a child, if one does, and what failed is tried again until a child is parked.
async fn park_one(parked: Weak<Parked>) {
    loop {
        let Some(parked) = parked.upgrade() else { return };
        match parked.maker.make().await {
            Ok(child) => return parked.put(child),
            Err(_) if parked.maker.is_done() => return,
            Err(error) => {
                tracing::warn!(profile = parked.maker.profile, %error, "a child could not be parked");
                if parked.line.is_wanted() {
                    tokio::time::sleep(PAUSE / 10).await;
                    parked.line.fail(error);
                    continue;
                }
            }
        }
        drop(parked);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Renews the zygote of a profile that is still served, each time that its time is up, whether or not anybody asks for
/// children. Those that were parked before are replaced one by one.
async fn renew(parked: Weak<Parked>, mut left: Duration) {
    loop {
        tokio::time::sleep(left).await;
        let Some(of) = parked.upgrade() else { return };
        left = of.maker.keeper.until_renewal().unwrap_or_default();
        if !left.is_zero() {
            continue;
        }
        let old = if of.maker.keeper.renew().await { of.most } else { 0 };
        left = of.maker.keeper.until_renewal().unwrap_or_default().max(PAUSE);
        drop(of);
        for _ in 0..old {
            park_one(parked.clone()).await;
        }
    }
}
