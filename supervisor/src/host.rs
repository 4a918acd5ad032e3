//! A profile that is being served: what its jobs are forked from, its parked children, and those who wait for one.
//!
//! Whatever of these dies is started again when next needed; what was asked of it gets a truthful answer.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_policy::{Children, Policy, Profile, Warm};
use cloister_protocol::{ExecuteRequest, ProfileStats, Tenant};
use cloister_sandbox::cgroup::{self, Tree};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::{IdRange, Layer, Spec};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::connection::{LauncherError, refused};
use crate::denial::Rules;
use crate::forkers::{Forkers, Keeper};
use crate::job::{Outcome, Prepared, START_TIME};
use crate::launcher::IMPORT_TIME;
use crate::line::{InService, Line};
use crate::output::Printed;
use crate::prepare_error::PrepareError;
use crate::profile::{self, Bounds};
use crate::slots::{Lease, Slots};
use crate::stall::Stall;
use crate::tally::Counts;
use crate::trial::Trial;

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

/// How long a request waits for a sandbox at most: the imports of a zygote that has to be started again, and its own.
const PATIENCE: Duration = Duration::from_secs(2 * IMPORT_TIME.as_secs());

/// How many launchers and zygotes are tried for one sandbox, where they die.
const TRIES: u32 = 3;

/// How many slots are tried for one sandbox, where they are bad. Each is replaced once it was met, so that only slots
/// that were bad at the same time follow one another.
const SLOT_TRIES: u32 = 64;

/// What all profiles of a supervisor have in common.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The ids of launchers and jobs.
    pub ids: IdRange,
    /// What jobs run in.
    pub slots: Arc<Slots>,
    /// The control groups.
    pub tree: Arc<Tree>,
    /// The layers that are left out; none in a service.
    pub without: Vec<Layer>,
    /// The slots' own device nodes, if they have any.
    pub devices: Option<Arc<Devices>>,
    /// How many interpreters start beside zygotes that stall: one a processor.
    pub beside: Arc<Semaphore>,
}

/// A profile that is being served.
#[derive(Debug)]
pub struct Host {
    /// The profile's name.
    pub name: String,
    /// What its sandboxes are made from.
    pub spec: Arc<Spec>,
    /// What is enforced on its jobs from outside.
    pub bounds: Bounds,
    rules: Arc<Rules>,
    limits: cgroup::Limits,
    warm: Option<Warm>,
    ground: Ground,
    keeper: Keeper,
    line: Arc<Line<Child, PrepareError>>,
    stall: Stall,
    arrived: Notify,
    trial: Trial,
}

/// A sandbox that waits for a request.
#[derive(Debug)]
struct Child {
    prepared: Prepared,
    /// Whether another is parked in its place.
    parked: bool,
}

/// A sandbox that waits for its request, and what its job is judged by.
#[derive(Debug)]
pub struct Ready {
    child: Prepared,
    bounds: Bounds,
    rules: Arc<Rules>,
    _serving: Option<Serving>,
    _in_service: InService<Child, PrepareError>,
}

/// Dropped when a child has served.
type Serving = oneshot::Sender<Infallible>;

impl Host {
    /// Starts the profile's launcher and zygote, and begins to park children.
    ///
    /// # Errors
    /// What could not be started; a module that cannot be imported, for one.
    pub async fn start(policy: &Policy, of: &Profile, ground: Ground) -> Result<Arc<Self>, LauncherError> {
        let spec = Arc::new(profile::spec(policy, of, &ground.without, ground.devices.as_deref()));
        let zygote = profile::kept(of.warm.as_ref(), Children::Forked);
        let host = Arc::new(Self {
            name: of.name.clone(),
            rules: Arc::new(Rules::new(of, &spec).map_err(refused)?),
            bounds: profile::bounds(policy, of),
            limits: profile::limits(of),
            warm: of.warm.clone(),
            keeper: Keeper::new(&of.name, &spec, ground.ids, &ground.tree, zygote),
            spec,
            ground,
            line: Line::new(),
            stall: Stall::default(),
            arrived: Notify::new(),
            trial: Trial::default(),
        });
        host.keeper.forkers().await?;
        let mut missing = host.parks();
        if host.starts_ahead() {
            // An import that fails does so here, as it does in a zygote.
            let first = host.prepare().await.map_err(|error| LauncherError::Refused(error.to_string()))?;
            host.put(first);
            missing -= 1;
        }
        for _ in 0..missing {
            tokio::spawn(park_one(Arc::downgrade(&host)));
        }
        if let Some(first) = host.keeper.until_renewal() {
            tokio::spawn(renew(Arc::downgrade(&host), first));
        }
        Ok(host)
    }

    /// Whether it is what this profile needs, so that it can go on serving it.
    #[must_use]
    pub fn is_for(&self, policy: &Policy, of: &Profile) -> bool {
        *self.spec == profile::spec(policy, of, &self.ground.without, self.ground.devices.as_deref())
            && self.bounds == profile::bounds(policy, of)
            && self.limits == profile::limits(of)
            && self.warm == of.warm
    }

    /// How many children are kept parked.
    #[must_use]
    pub fn parks(&self) -> u32 {
        self.warm.as_ref().map_or(0, |warm| warm.parked)
    }

    /// Waits until as many children are parked as the profile keeps.
    pub async fn filled(&self) {
        while self.line.len() < self.most() {
            self.arrived.notified().await;
        }
    }

    fn most(&self) -> usize {
        usize::try_from(self.parks()).expect("32 bits fit")
    }

    /// Runs a request of nobody's within these bounds to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// When no job ran.
    pub async fn execute(self: Arc<Self>, request: &ExecuteRequest, bounds: &Bounds) -> Result<Outcome, PrepareError> {
        let ready = self.ready(Tenant::default()).await?;
        Ready { bounds: *bounds, ..ready }.run(request, &Printed::default()).await
    }

    /// A sandbox for one request of a tenant's.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ready(self: Arc<Self>, tenant: Tenant) -> Result<Ready, PrepareError> {
        let got = tokio::time::timeout(PATIENCE, self.child(tenant)).await;
        let (child, serving, in_service) = got.map_err(|_| PrepareError::TooSlow(PATIENCE))??;
        // A job needs what forked it, but not what would park more.
        let (bounds, rules) = (self.bounds, Arc::clone(&self.rules));
        Ok(Ready { child, bounds, rules, _serving: serving, _in_service: in_service })
    }

    /// A child that waits for its request: a parked one, or one that is started now.
    ///
    /// # Errors
    /// Why none could be prepared.
    async fn child(
        self: &Arc<Self>,
        tenant: Tenant,
    ) -> Result<(Prepared, Option<Serving>, InService<Child, PrepareError>), PrepareError> {
        while let Some((child, in_service)) = self.line.take(tenant) {
            let (prepared, serving) = self.unpark(child);
            if let Some(prepared) = prepared {
                return Ok((prepared, serving, in_service));
            }
        }
        if self.zygote().is_none() {
            // It does not wait for the next that is parked, which takes as long as its own. In a task of its own, which
            // a client that hangs up does not cut short halfway.
            let host = Arc::clone(self);
            let child = tokio::spawn(async move { host.prepare().await }).await.expect("preparing does not panic");
            return Ok((child?, None, self.line.serve(tenant)));
        }
        loop {
            let mut turn = self.line.enter(tenant);
            let (child, in_service) = loop {
                let left = STALL.saturating_sub(self.stall.lasts());
                if left.is_zero() {
                    self.start_beside();
                }
                tokio::select! {
                    biased;
                    came = turn.come() => break came?,
                    () = tokio::time::sleep(left.max(AGAIN)) => {}
                }
            };
            let (prepared, serving) = self.unpark(child);
            if let Some(prepared) = prepared {
                return Ok((prepared, serving, in_service));
            }
        }
    }

    /// Has another parked in a child's place, and hands over the child, unless it died while it waited, which is
    /// nobody's loss.
    fn unpark(self: &Arc<Self>, child: Child) -> (Option<Prepared>, Option<Serving>) {
        let Child { mut prepared, parked } = child;
        let serving = if parked { self.refill(self.line.len()) } else { None };
        (prepared.is_alive().then_some(prepared), serving)
    }

    /// Starts an interpreter for those who wait while the zygote hands out nothing, if there is a slot for it, and a
    /// processor. One that nobody waits for any more is ended: it lacks what the zygote has imported.
    fn start_beside(self: &Arc<Self>) {
        let host = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(prepared) = host.begin_beside().await {
                drop(host.line.give(Child { prepared, parked: false }));
            }
        });
    }

    /// Starts an interpreter that shares nothing with the zygote, if there is a slot for it, and a processor.
    async fn begin_beside(self: &Arc<Self>) -> Option<Prepared> {
        let permit = Arc::clone(&self.ground.beside).try_acquire_owned().ok()?;
        let (launcher, lease) = (self.keeper.launcher()?, self.ground.slots.lease_now()?);
        let host = Arc::clone(self);
        // In a task of its own, which a client that hangs up does not cut short halfway.
        let begun = tokio::spawn(async move {
            let prepared = host.prepare_in(&Forkers::cold(launcher), lease, START_TIME).await;
            drop(permit);
            prepared.inspect_err(|error| {
                tracing::warn!(profile = host.name, %error, "an interpreter could not be started");
            })
        });
        begun.await.expect("preparing does not panic").ok()
    }

    /// Fills the place that a child leaves, off the request's path: at once where fewer than half are left, and
    /// otherwise when the child has served, so that its request need not share the processors with what fills it.
    fn refill(self: &Arc<Self>, left: usize) -> Option<Serving> {
        let host = Arc::downgrade(self);
        if 2 * left < self.most() {
            tokio::spawn(park_one(host));
            return None;
        }
        let (serving, served) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(GRACE, served).await;
            park_one(host).await;
        });
        Some(serving)
    }

    /// The number of instructions in the profile's filter.
    #[must_use]
    pub fn filter_size(&self) -> usize {
        self.rules.filter_size()
    }

    /// What the zygote imports and how long it is kept, where there is one.
    fn zygote(&self) -> Option<&Warm> {
        profile::kept(self.warm.as_ref(), Children::Forked)
    }

    /// Whether interpreters are started ahead of requests, each by itself.
    fn starts_ahead(&self) -> bool {
        profile::kept(self.warm.as_ref(), Children::Started).is_some()
    }

    /// Whether children are kept parked.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.is_some()
    }

    /// How the profile fares.
    #[must_use]
    pub fn stats(&self) -> ProfileStats {
        let Counts { launcher, zygote } = self.keeper.counts();
        ProfileStats { parked: u32::try_from(self.line.len()).unwrap_or(u32::MAX), launcher, zygote }
    }

    /// Goes on counting where the profile's host before a reload stopped.
    pub fn succeed(&self, before: &Self) {
        self.keeper.succeed(&before.keeper);
    }

    /// Ends the profile's launcher or zygote if it does not carry out orders; it is replaced when next needed.
    pub async fn end_what_hangs(&self, within: Duration) {
        self.keeper.end_what_hangs(within).await;
    }

    /// Whether no sandbox could be made of late.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.trial.fails()
    }

    /// Finds out whether sandboxes can be made, if that is not known of late. What is made for it is parked, or ended.
    pub fn try_out(self: &Arc<Self>) {
        if !self.trial.begin() {
            return;
        }
        let host = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(prepared) = host.prepare().await {
                host.put(prepared);
            }
            host.trial.end();
        });
    }

    /// Parks a child, or gives it to whoever waits. Of more than are kept the oldest is ended.
    fn put(&self, prepared: Prepared) {
        drop(self.line.keep(Child { prepared, parked: true }, self.most()));
        self.arrived.notify_one();
    }

    async fn prepare(&self) -> Result<Prepared, PrepareError> {
        let (mut deaths, mut bad) = (0, 0);
        loop {
            let prepared = self.prepare_once().await;
            // What it was to be forked from died meanwhile, or its slot was a bad one: no request need hear of that,
            // for there is another.
            match &prepared {
                Err(PrepareError::Launcher(LauncherError::Dead)) if deaths + 1 < TRIES => deaths += 1,
                Err(PrepareError::Slot(_)) if bad + 1 < SLOT_TRIES => bad += 1,
                _ => return prepared,
            }
        }
    }

    async fn prepare_once(&self) -> Result<Prepared, PrepareError> {
        let _asked = self.stall.ask();
        let forkers = self.keeper.forkers().await.inspect_err(|_| self.trial.note(false))?;
        let lease = self.ground.slots.lease().await;
        let within = if self.starts_ahead() { IMPORT_TIME } else { START_TIME };
        self.prepare_in(&forkers, lease, within).await
    }

    async fn prepare_in(&self, forkers: &Forkers, lease: Lease, within: Duration) -> Result<Prepared, PrepareError> {
        let slots = &self.ground.slots;
        let prepared = Prepared::new(forkers, &self.spec, self.limits, lease, slots, within).await;
        self.trial.note(prepared.is_ok());
        prepared
    }
}

impl Ready {
    /// Runs the request to its outcome; meanwhile `printed` shows what comes. Dropping the future kills the job and frees
    /// its slot.
    ///
    /// # Errors
    /// When its sandbox was lost.
    pub async fn run(self, request: &ExecuteRequest, printed: &Printed) -> Result<Outcome, PrepareError> {
        let mut outcome = self.child.run(request, &self.bounds, printed).await?;
        if let Err(failure) = &mut outcome.verdict {
            self.rules.explain(failure, &outcome.used);
        }
        Ok(outcome)
    }
}

/// Parks one child for a profile that is still served. A failure is told to a request that waits for
/// a child, if one does, and what failed is tried again until a child is parked.
async fn park_one(host: Weak<Host>) {
    loop {
        let Some(host) = host.upgrade() else { return };
        match host.prepare().await {
            Ok(child) => return host.put(child),
            Err(error) => {
                tracing::warn!(profile = host.name, %error, "a child could not be parked");
                if host.line.is_wanted() {
                    tokio::time::sleep(PAUSE / 10).await;
                    host.line.fail(error);
                    continue;
                }
            }
        }
        drop(host);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Renews the zygote of a profile that is still served, each time that its time is up, whether or not anybody asks for
/// children. Those that were parked before are replaced one by one.
async fn renew(host: Weak<Host>, mut left: Duration) {
    loop {
        tokio::time::sleep(left).await;
        let Some(of) = host.upgrade() else { return };
        left = of.keeper.until_renewal().unwrap_or_default();
        if !left.is_zero() {
            continue;
        }
        let old = if of.keeper.renew().await { of.parks() } else { 0 };
        left = of.keeper.until_renewal().unwrap_or_default().max(PAUSE);
        drop(of);
        for _ in 0..old {
            park_one(host.clone()).await;
        }
    }
}
