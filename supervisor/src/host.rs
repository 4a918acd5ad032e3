//! A profile that is being served: its launcher, its zygote if it keeps one, and its parked children.
//!
//! Whatever of these dies is started again when next needed; what was asked of it gets a truthful answer.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cloister_policy::{Children, Policy, Profile, Warm};
use cloister_protocol::{ExecuteRequest, ProfileStats, Tenant};
use cloister_sandbox::cgroup::{self, Tree};
use cloister_sandbox::spec::{IdRange, Layer, Spec};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::connection::{Connection, LauncherError, refused};
use crate::denial::Rules;
use crate::job::{Outcome, PrepareError, Prepared, START_TIME};
use crate::launcher::{IMPORT_TIME, Launcher};
use crate::learn::Recorder;
use crate::output::Printed;
use crate::profile::{self, Bounds};
use crate::slots::Slots;
use crate::tally::{Counts, Gone, Tally};

/// How long to wait before trying again to park a child, after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the place that a child leaves may stay empty in favour of the child's own request.
const GRACE: Duration = Duration::from_millis(20);

/// A profile that is being served.
#[derive(Debug)]
pub struct Host {
    /// The profile's name.
    pub name: String,
    /// What its sandboxes are made from.
    pub spec: Spec,
    /// What is enforced on its jobs from outside.
    pub bounds: Bounds,
    rules: Arc<Rules>,
    limits: cgroup::Limits,
    ids: IdRange,
    warm: Option<Warm>,
    slots: Arc<Slots>,
    tree: Arc<Tree>,
    forkers: Mutex<Option<Forkers>>,
    parked: Mutex<Parked>,
    park: mpsc::UnboundedSender<Prepared>,
    fail: mpsc::UnboundedSender<Failure>,
    arrived: Notify,
    waiting: AtomicUsize,
    tally: Tally,
}

/// What comes to those who wait for a parked child.
#[derive(Debug)]
struct Parked {
    children: mpsc::UnboundedReceiver<Prepared>,
    failures: mpsc::UnboundedReceiver<Failure>,
}

/// When a child could not be parked, and why.
type Failure = (Instant, PrepareError);

/// A sandbox that waits for its request, and what its job is judged by.
#[derive(Debug)]
pub struct Ready {
    child: Prepared,
    bounds: Bounds,
    rules: Arc<Rules>,
    _serving: Option<Serving>,
}

/// Dropped when a child has served.
type Serving = oneshot::Sender<Infallible>;

/// What jobs are forked from.
#[derive(Clone, Debug)]
pub struct Forkers {
    /// Builds cells, and starts cold jobs.
    pub launcher: Arc<Launcher>,
    /// Starts warm jobs.
    pub zygote: Option<Arc<Connection>>,
    /// Answers for the filters of jobs that are recorded; none in a service.
    pub recorder: Option<Arc<Recorder>>,
    since: Instant,
}

impl Host {
    /// Starts the profile's launcher and zygote, and begins to park children.
    ///
    /// # Errors
    /// What could not be started; a module that cannot be imported, for one.
    pub async fn start(
        policy: &Policy,
        of: &Profile,
        ids: IdRange,
        slots: &Arc<Slots>,
        tree: &Arc<Tree>,
        without: &[Layer],
    ) -> Result<Arc<Self>, LauncherError> {
        let (park, children) = mpsc::unbounded_channel();
        let (fail, failures) = mpsc::unbounded_channel();
        let spec = profile::spec(policy, of, without);
        let rules = Arc::new(Rules::new(of, &spec).map_err(refused)?);
        let host = Arc::new(Self {
            name: of.name.clone(),
            spec,
            rules,
            bounds: profile::bounds(of),
            limits: profile::limits(of),
            ids,
            warm: of.warm.clone(),
            slots: Arc::clone(slots),
            tree: Arc::clone(tree),
            forkers: Mutex::new(None),
            parked: Mutex::new(Parked { children, failures }),
            park,
            fail,
            arrived: Notify::new(),
            waiting: AtomicUsize::new(0),
            tally: Tally::default(),
        });
        host.forkers().await?;
        let mut missing = host.parks();
        if host.starts_ahead() {
            // An import that fails does so here, as it does in a zygote.
            let first = host.prepare().await.map_err(|error| LauncherError::Refused(error.to_string()))?;
            let _ = host.park.send(first);
            missing -= 1;
        }
        for _ in 0..missing {
            tokio::spawn(park_one(Arc::downgrade(&host)));
        }
        Ok(host)
    }

    /// Whether it is what this profile needs, so that it can go on serving it.
    #[must_use]
    pub fn is_for(&self, policy: &Policy, of: &Profile, ids: IdRange, without: &[Layer]) -> bool {
        self.spec == profile::spec(policy, of, without)
            && self.bounds == profile::bounds(of)
            && self.limits == profile::limits(of)
            && self.ids == ids
            && self.warm == of.warm
    }

    /// How many children are kept parked.
    #[must_use]
    pub fn parks(&self) -> u32 {
        self.warm.as_ref().map_or(0, |warm| warm.parked)
    }

    /// Waits until as many children are parked as the profile keeps.
    pub async fn filled(&self) {
        let wanted = usize::try_from(self.parks()).expect("32 bits fit");
        while self.parked.lock().await.children.len() < wanted {
            self.arrived.notified().await;
        }
    }

    /// Runs a request to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// When no job ran.
    pub async fn execute(self: Arc<Self>, request: &ExecuteRequest) -> Result<Outcome, PrepareError> {
        self.ready(Tenant::default()).await?.run(request, &Printed::default()).await
    }

    /// A sandbox for one request of a tenant's.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ready(self: Arc<Self>, tenant: Tenant) -> Result<Ready, PrepareError> {
        let (child, serving) = self.child(tenant).await?;
        // A job needs what forked it, but not what would park more.
        Ok(Ready { child, bounds: self.bounds, rules: Arc::clone(&self.rules), _serving: serving })
    }

    /// A child that waits for its request: a parked one, or one that is started now.
    ///
    /// # Errors
    /// Why none could be prepared.
    async fn child(self: &Arc<Self>, _tenant: Tenant) -> Result<(Prepared, Option<Serving>), PrepareError> {
        if self.zygote().is_none() {
            // One that waits may be there. Otherwise the request does not wait for the next, which takes as long as its own.
            let mut parked = self.parked.lock().await;
            while let Ok(mut child) = parked.children.try_recv() {
                let serving = self.refill(parked.children.len());
                if child.is_alive() {
                    return Ok((child, serving));
                }
            }
            drop(parked);
            // In a task of its own, which a client that hangs up does not cut short halfway.
            let host = Arc::clone(self);
            let child = tokio::spawn(async move { host.prepare().await }).await.expect("preparing does not panic");
            return Ok((child?, None));
        }
        let (_waiting, came) = (Waiting::new(&self.waiting), Instant::now());
        let mut parked = self.parked.lock().await;
        let Parked { children, failures } = &mut *parked;
        loop {
            tokio::select! {
                biased;
                Some(mut child) = children.recv() => {
                    let serving = self.refill(children.len());
                    // One that died while it waited is nobody's loss.
                    if child.is_alive() {
                        return Ok((child, serving));
                    }
                }
                // What failed earlier is being tried again.
                Some((since, error)) = failures.recv() => {
                    if since >= came {
                        return Err(error);
                    }
                }
                else => unreachable!("this host holds the other ends"),
            }
        }
    }

    /// Fills the place that a child leaves, off the request's path: at once where fewer than half are left, and
    /// otherwise when the child has served, so that its request need not share the processors with what fills it.
    fn refill(self: &Arc<Self>, left: usize) -> Option<Serving> {
        let host = Arc::downgrade(self);
        if 2 * left < usize::try_from(self.parks()).expect("32 bits fit") {
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
        self.warm.as_ref().filter(|warm| warm.children == Children::Forked)
    }

    /// Whether interpreters are started ahead of requests, each by itself.
    fn starts_ahead(&self) -> bool {
        self.warm.as_ref().is_some_and(|warm| warm.children == Children::Started)
    }

    /// Whether children are kept parked.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.is_some()
    }

    /// How the profile fares.
    #[must_use]
    pub fn stats(&self) -> ProfileStats {
        // Whoever holds the lock takes the last of them, or waits because there is none.
        let parked =
            self.parked.try_lock().map_or(0, |parked| u32::try_from(parked.children.len()).unwrap_or(u32::MAX));
        let Counts { launcher, zygote } = self.tally.counts();
        ProfileStats { parked, launcher, zygote }
    }

    /// Goes on counting where the profile's host before a reload stopped.
    pub fn succeed(&self, before: &Self) {
        self.tally.succeed(&before.tally, before.zygote().is_some());
    }

    /// Ends the profile's launcher or zygote if it does not carry out orders; it is replaced when next
    /// needed. One that is dead or being started is no matter: the latter has a time limit of its own.
    pub async fn end_what_hangs(&self, within: Duration) {
        let Some(forkers) = self.forkers.try_lock().ok().and_then(|current| current.clone()) else { return };
        for connection in [Some(forkers.launcher.connection()), forkers.zygote.as_deref()].into_iter().flatten() {
            if let Err(LauncherError::NoPong(_)) = connection.ping(within).await {
                connection.give_up();
            }
        }
    }

    async fn prepare(&self) -> Result<Prepared, PrepareError> {
        match self.prepare_once().await {
            // What it was to be forked from died meanwhile: no request need hear of that, for there is another.
            Err(PrepareError::Launcher(LauncherError::Dead)) => self.prepare_once().await,
            prepared => prepared,
        }
    }

    async fn prepare_once(&self) -> Result<Prepared, PrepareError> {
        let forkers = self.forkers().await?;
        let lease = self.slots.lease().await;
        let within = if self.starts_ahead() { IMPORT_TIME } else { START_TIME };
        Prepared::new(&forkers, &self.spec, self.limits, lease, &self.slots, within).await
    }

    /// What jobs are forked from, started again if it has died or its time is up.
    async fn forkers(&self) -> Result<Forkers, LauncherError> {
        let mut current = self.forkers.lock().await;
        self.part_with_the_dead(&mut current);
        let launcher = match current.as_ref() {
            Some(forkers) => Arc::clone(&forkers.launcher),
            None => {
                let launcher =
                    Launcher::start(self.spec.clone(), self.ids, |pid| self.tree.adopt_launcher(pid)).await?;
                tracing::info!(profile = self.name, pid = launcher.pid(), "launcher ready");
                Arc::new(launcher)
            }
        };
        let Some(warm) = self.zygote() else {
            return Ok(current.insert(Forkers::new(launcher, None)).clone());
        };
        if let Some(forkers) = current.as_ref()
            && forkers.zygote.is_some()
            && forkers.since.elapsed() < warm.renew
        {
            return Ok(forkers.clone());
        }
        // The one before goes when the last job that it forked has.
        let before = current.as_ref().and_then(|forkers| forkers.zygote.clone());
        let zygote = match (self.start_zygote(&launcher, warm).await, before) {
            (Ok(zygote), before) => {
                if before.is_some() {
                    self.tally.zygote_renewed();
                }
                Arc::new(zygote)
            }
            (Err(error), Some(before)) => {
                tracing::error!(profile = self.name, %error, "the zygote could not be renewed; the one before goes on");
                before
            }
            (Err(error), None) => return Err(error),
        };
        Ok(current.insert(Forkers::new(launcher, Some(zygote))).clone())
    }

    /// Lets go of what has died, and counts it once.
    fn part_with_the_dead(&self, current: &mut Option<Forkers>) {
        let why = |connection: &Connection| if connection.hung() { Gone::Hung } else { Gone::Died };
        let Some(forkers) = current else { return };
        let launcher = forkers.launcher.connection();
        if !launcher.is_alive() {
            self.tally.launcher_gone(why(launcher), forkers.zygote.is_some());
            *current = None;
        } else if let Some(zygote) = forkers.zygote.take_if(|zygote| !zygote.is_alive()) {
            self.tally.zygote_gone(why(&zygote));
        }
    }

    async fn start_zygote(&self, launcher: &Launcher, warm: &Warm) -> Result<Connection, LauncherError> {
        let library = open_library()?;
        let command = profile::zygote_command(&self.spec, &warm.imports);
        let began = Instant::now();
        let zygote = launcher.zygote(self.spec.clone(), &command, &self.spec.environment, library.as_fd()).await?;
        tracing::info!(profile = self.name, milliseconds = began.elapsed().as_millis(), "zygote ready");
        Ok(zygote)
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

impl Forkers {
    fn new(launcher: Arc<Launcher>, zygote: Option<Arc<Connection>>) -> Self {
        Self { launcher, zygote, recorder: None, since: Instant::now() }
    }

    /// For jobs that are recorded, which start cold.
    #[must_use]
    pub fn recorded(launcher: Arc<Launcher>, recorder: Arc<Recorder>) -> Self {
        Self { recorder: Some(recorder), ..Self::new(launcher, None) }
    }

    /// Ends the zygote or the launcher, should they hang, for whoever waits until a cell is dead: a
    /// process stays in its namespace until the one that forked it has asked for its end. Never completes.
    pub async fn end_if_hung(&self) {
        let zygote = async {
            if let Some(zygote) = &self.zygote {
                zygote.end_if_hung().await;
            }
        };
        tokio::join!(zygote, self.launcher.connection().end_if_hung());
        std::future::pending().await
    }
}

/// A request that waits for a parked child, counted for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Parks one child for a profile that is still served. A failure is told to a request that waits for
/// a child, if one does, and what failed is tried again until a child is parked.
async fn park_one(host: Weak<Host>) {
    loop {
        let Some(host) = host.upgrade() else { return };
        match host.prepare().await {
            Ok(child) => {
                let _ = host.park.send(child);
                host.arrived.notify_one();
                return;
            }
            Err(error) => {
                tracing::warn!(profile = host.name, %error, "a child could not be parked");
                if host.waiting.load(Ordering::Relaxed) > 0 {
                    tokio::time::sleep(PAUSE / 10).await;
                    let _ = host.fail.send((Instant::now(), error));
                    continue;
                }
            }
        }
        drop(host);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The native library of a zygote lies beside this program, or where a package puts it.
fn open_library() -> std::io::Result<OwnedFd> {
    const NAME: &str = "libcloister_zygote.so";
    let beside = std::env::current_exe()?.with_file_name(NAME);
    let packaged = PathBuf::from("/usr/lib/cloister").join(NAME);
    let found = std::fs::File::open(&beside).or_else(|_| std::fs::File::open(&packaged));
    found.map(OwnedFd::from).map_err(|error| {
        let places = format!("neither {} nor {} can be opened: {error}", beside.display(), packaged.display());
        std::io::Error::new(error.kind(), places)
    })
}
