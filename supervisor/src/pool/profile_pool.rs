//! The pool of a profile that is being served: what its jobs are forked from, its parked children, and what its jobs are
//! judged by.
//!
//! Whatever of these dies is started again when next needed; what was asked of it gets a truthful answer.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use cloister_protocol::{
    ExecuteRequest, Failure, ImportSet, Interpreter as About, JobId, ProfileInfo, ProfileStats, Tenant, is_data,
};
use cloister_sandbox::spec::{Network, Spec};
use cloister_terms::{Children, Policy, Profile, Warm};

use crate::job::bounds::Bounds;
use crate::job::conversation::Conversation;
use crate::job::denial::Rules;
use crate::job::outcome::Outcome;
use crate::job::prepare_error::PrepareError;
use crate::job::session::{Interpreter, Reins};
use crate::link::launcher::IMPORT_TIME;
use crate::link::launcher_error::LauncherError;
use crate::pool::found::Found;
use crate::pool::ground::Ground;
use crate::pool::maker::Maker;
use crate::pool::parked::Parked;
use crate::pool::profile;
use crate::pool::ready::Ready;
use crate::pool::sets::Sets;
use crate::pool::spent::Spent;
use crate::pool::tally::Counts;
use crate::pool::tending::tend;

/// How long a request waits for a sandbox at most: the imports of a zygote that has to be started again, and its own.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * IMPORT_TIME.as_secs());

/// A profile that is being served.
#[derive(Debug)]
pub struct Pool {
    /// The profile's name.
    pub name: String,
    /// What is enforced on its jobs from outside.
    pub bounds: Bounds,
    rules: Arc<Rules>,
    spent: Arc<Spent>,
    warm: Option<Warm>,
    /// What scripts find, before and after the interpreter was tried.
    found: (Found, OnceLock<Found>),
    ground: Ground,
    maker: Arc<Maker>,
    parked: Arc<Parked>,
    /// The modules that may be imported for what scripts import.
    modules: Vec<String>,
    /// What is kept for that, if anything is.
    sets: Option<Arc<Sets>>,
}

impl Pool {
    /// Starts the profile's launcher and zygote, and begins to park children.
    ///
    /// # Errors
    /// What could not be started; a module that cannot be imported, for one.
    pub async fn start(policy: &Policy, of: &Profile, ground: Ground) -> Result<Arc<Self>, LauncherError> {
        let maker = Arc::new(Maker::new(policy, of, &ground));
        let rules = Arc::new(Rules::new(of, &maker.spec)?);
        maker.keeper.forkers().await?;
        let forked = profile::kept(of.warm.as_ref(), Children::Forked).is_some();
        let parked = Parked::new(Arc::clone(&maker), of.warm.as_ref().map_or(0, |warm| warm.parked), forked);
        parked.begin().await.map_err(|error| LauncherError::Refused(error.to_string()))?;
        let modules = policy.runtimes[&of.runtime].modules.clone();
        let sets = Sets::new(policy, of, ground.tree.is_bounded()).map(Arc::new);
        if let Some(sets) = &sets {
            let all: Weak<Sets> = Arc::downgrade(sets);
            ground.warmth.take_in(all.clone());
            tokio::spawn(tend(all, Arc::downgrade(&maker), Arc::clone(&ground.warmth)));
        }
        let (name, bounds, warm) = (of.name.clone(), profile::bounds(policy, of), of.warm.clone());
        let found = (Found::of(&policy.runtimes[&of.runtime]), OnceLock::new());
        let spent = Arc::default();
        Ok(Arc::new(Self { name, bounds, rules, spent, warm, found, ground, maker, parked, modules, sets }))
    }

    /// Whether it is what this profile needs, so that it can go on serving it.
    #[must_use]
    pub fn is_for(&self, policy: &Policy, of: &Profile) -> bool {
        self.maker.is_for(policy, of, &self.ground)
            && self.bounds == profile::bounds(policy, of)
            && self.warm == of.warm
            && self.modules == policy.runtimes[&of.runtime].modules
            && self.found.0 == Found::of(&policy.runtimes[&of.runtime])
    }

    /// How many children are kept parked.
    #[must_use]
    pub fn parks(&self) -> u32 {
        self.warm.as_ref().map_or(0, |warm| warm.parked)
    }

    /// Waits until as many children are parked as the profile keeps.
    pub async fn filled(&self) {
        self.parked.filled().await;
    }

    /// Runs a request of nobody's within these bounds to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// When no job ran.
    pub async fn execute(self: Arc<Self>, request: &ExecuteRequest, bounds: &Bounds) -> Result<Outcome, PrepareError> {
        let ready = self.ready(Tenant::default(), &ImportSet::default()).await?;
        ready.within(*bounds).run(request, &Conversation::alone()).await
    }

    /// What the script of a request seems to import that could be imported ahead: nothing, if it brings files that an import may read.
    #[must_use]
    pub fn imports(&self, request: &ExecuteRequest) -> ImportSet {
        let sets = self.sets.as_ref().filter(|_| request.files.iter().all(|file| is_data(file.path())));
        sets.map(|sets| sets.of_script(&request.script)).unwrap_or_default()
    }

    /// A sandbox for one request of a tenant's, whose script seems to import this.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ready(self: Arc<Self>, tenant: Tenant, imports: &ImportSet) -> Result<Ready, PrepareError> {
        let warm = match &self.sets {
            Some(sets) if !imports.is_empty() => sets.take(tenant, imports).await,
            _ => None,
        };
        let handed = match warm {
            Some(handed) => handed,
            None => {
                let got = tokio::time::timeout(LONGEST_WAIT, self.parked.take(tenant)).await;
                got.map_err(|_| PrepareError::TooSlow(LONGEST_WAIT))??
            }
        };
        // A job needs what forked it, but not what would park more.
        Ok(Ready::new(handed, self.bounds, Arc::clone(&self.rules), Arc::clone(&self.spent)))
    }

    /// An interpreter that begins a session whose cells are held to these, with the files that its request brings.
    ///
    /// # Errors
    /// Why there is none; within, why it would not begin.
    pub async fn session(
        &self,
        (session, request): (JobId, &ExecuteRequest),
        bounds: Bounds,
        reins: Arc<Reins>,
    ) -> Result<Result<Interpreter, Failure>, PrepareError> {
        let prepared = self.maker.make_for_session().await?;
        let rules = Arc::clone(&self.rules);
        Interpreter::open(prepared, (session, request), bounds, rules, reins).await
    }

    /// What its sandboxes are made from.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.maker.spec
    }

    /// The number of instructions in the profile's filter.
    #[must_use]
    pub fn filter_size(&self) -> usize {
        self.rules.filter_size()
    }

    /// Whether children are kept parked.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.is_some()
    }

    /// The version of its interpreter, once that is known and if it tells one.
    #[must_use]
    pub fn python_version(&self) -> Option<&str> {
        self.found().interpreter.as_ref().map(|interpreter| interpreter.version.as_str())
    }

    /// Keeps what its interpreter said of itself when it was tried.
    pub fn set_interpreter(&self, interpreter: About) {
        let _ = self.found.1.set(self.found.0.with(interpreter));
    }

    /// What its scripts find of Python and packages.
    #[must_use]
    pub fn found(&self) -> &Found {
        self.found.1.get().unwrap_or(&self.found.0)
    }

    /// What its scripts find.
    #[must_use]
    pub fn info(&self) -> ProfileInfo {
        let (bounds, spec, found) = (&self.bounds, self.spec(), self.found());
        ProfileInfo {
            interpreter: found.interpreter.clone(),
            python: found.python.clone(),
            packages: found.packages.to_vec(),
            runtime: found.word.clone(),
            wall_ms: bounds.wall.as_millis().try_into().unwrap_or(u64::MAX),
            may_lower_timeout: bounds.may_lower_timeout,
            millicpus: bounds.millicpus,
            memory_bytes: self.maker.memory(),
            tmp_bytes: spec.tmp.bytes.0,
            result_bytes: bounds.result_bytes,
            stdout_bytes: bounds.stdout_bytes,
            files_in: bounds.files_in,
            files_in_bytes: bounds.files_in_bytes,
            files_out: bounds.files_out,
            files_out_bytes: bounds.files_out_bytes,
            loopback: spec.network == Network::Loopback,
            working_directory: spec.out.parent().unwrap_or(&spec.out).to_string_lossy().into_owned(),
        }
    }

    /// How the profile fares.
    #[must_use]
    pub fn stats(&self) -> ProfileStats {
        let Counts { launcher, zygote } = self.maker.keeper.counts();
        let parked = u32::try_from(self.parked.count()).unwrap_or(u32::MAX);
        let warm = self.sets.as_ref().map(|sets| sets.stats(self.maker.keeper.zygote().as_deref()));
        let cost = self.spent.cost(self.maker.keeper.cpu() + self.sets.as_ref().map_or(0, |sets| sets.cpu()));
        ProfileStats { parked, launcher, zygote, cost, warm, python_version: self.python_version().map(str::to_owned) }
    }

    /// Goes on counting where the profile's pool before a reload stopped.
    pub fn succeed(&self, before: &Self) {
        self.maker.keeper.succeed(&before.maker.keeper);
    }

    /// Ends the profile's launcher or zygote if it does not carry out orders; it is replaced when next needed.
    pub async fn end_what_hangs(&self, within: Duration) {
        self.maker.keeper.end_what_hangs(within).await;
        if let Some(sets) = &self.sets {
            sets.end_what_hangs(within).await;
        }
    }

    /// Whether no sandbox could be made of late.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.maker.health.fails()
    }

    /// Finds out whether sandboxes can be made, if that is not known of late.
    pub fn try_out(&self) {
        self.parked.try_out();
    }
}
