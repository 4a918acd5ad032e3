//! Makes the sandboxes of one profile, past what dies and past slots that are bad.

use std::sync::Arc;
use std::time::Duration;

use cloister_sandbox::cgroup::Limits;
use cloister_sandbox::spec::Spec;
use cloister_sandbox::wire::Span;
use cloister_terms::{Children, Policy, Profile};
use tokio::sync::Semaphore;

use crate::job::interpreter;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::{Prepared, START_TIME};
use crate::job::slots::{Lease, Slots};
use crate::link::forkers::Forkers;
use crate::link::launcher::IMPORT_TIME;
use crate::link::launcher_error::LauncherError;
use crate::pool::ground::Ground;
use crate::pool::health::Health;
use crate::pool::keeper::Keeper;
use crate::pool::profile;
use crate::pool::stall::Stall;

/// How many launchers and zygotes are tried for one sandbox, where they die.
const TRIES: u32 = 3;

/// How many slots are tried for one sandbox, where they are bad. Each is replaced once it was met, so that only slots
/// that were bad at the same time follow one another.
const SLOT_TRIES: u32 = 64;

/// How many children are asked of a zygote at once, at most and of those that it keeps parked at most half: it makes one after
/// the other, and while it stalls each holds a slot that an interpreter beside it could have.
const FORKED_AT_ONCE: u32 = 4;

/// Makes sandboxes that wait for a request.
#[derive(Debug)]
pub struct Maker {
    /// The profile's name.
    pub profile: String,
    /// What they are made from.
    pub spec: Arc<Spec>,
    limits: Limits,
    /// Whether interpreters are started ahead of requests, each by itself.
    ahead: bool,
    /// What they are forked from, unless it is the zygote below.
    pub keeper: Arc<Keeper>,
    /// A zygote that imports more than the profile's own. When it is dead, this makes nothing any more.
    grown: Option<Forkers>,
    /// Turns at the zygote, where there is one.
    turns: Option<Semaphore>,
    slots: Arc<Slots>,
    beside: Arc<Semaphore>,
    /// Whether those that are asked for come.
    pub stall: Stall,
    /// Whether any could be made of late.
    pub health: Health,
}

impl Maker {
    /// Nothing is started yet.
    #[must_use]
    pub fn new(policy: &Policy, of: &Profile, ground: &Ground) -> Self {
        let spec = Arc::new(profile::spec(policy, of, ground.devices.as_deref()));
        let zygote = profile::kept(of.warm.as_ref(), Children::Forked);
        let turns = zygote.map(|warm| (warm.parked / 2).clamp(1, FORKED_AT_ONCE));
        Self {
            profile: of.name.clone(),
            limits: profile::limits(of),
            ahead: profile::kept(of.warm.as_ref(), Children::Started).is_some(),
            keeper: Arc::new(Keeper::new(
                &of.name,
                &spec,
                ground,
                zygote,
                interpreter::loads_library(&policy.runtimes[&of.runtime]),
            )),
            grown: None,
            spec,
            turns: turns.map(|turns| Semaphore::new(usize::try_from(turns).expect("a few"))),
            slots: Arc::clone(&ground.slots),
            beside: Arc::clone(&ground.beside),
            stall: Stall::default(),
            health: Health::default(),
        }
    }

    /// One that makes the same, forked from another zygote of the profile's launcher.
    #[must_use]
    pub fn forking(&self, grown: Forkers) -> Self {
        Self {
            profile: self.profile.clone(),
            spec: Arc::clone(&self.spec),
            limits: self.limits,
            ahead: false,
            keeper: Arc::clone(&self.keeper),
            grown: Some(grown),
            turns: Some(Semaphore::new(1)),
            slots: Arc::clone(&self.slots),
            beside: Arc::clone(&self.beside),
            stall: Stall::default(),
            health: Health::default(),
        }
    }

    /// What its sandboxes run in.
    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// How long until the zygote that it forks from is to be renewed, where that is for it to see to.
    #[must_use]
    pub fn until_renewal(&self) -> Option<Duration> {
        self.keeper.until_renewal().filter(|_| self.grown.is_none())
    }

    /// Whether it can make none any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.grown.as_ref().and_then(|grown| grown.zygote.as_ref()).is_some_and(|zygote| !zygote.is_alive())
    }

    /// Whether what it makes is what this profile needs.
    #[must_use]
    pub fn is_for(&self, policy: &Policy, of: &Profile, ground: &Ground) -> bool {
        *self.spec == profile::spec(policy, of, ground.devices.as_deref()) && self.limits == profile::limits(of)
    }

    /// Whether interpreters are started ahead of requests, each by itself.
    #[must_use]
    pub fn starts_ahead(&self) -> bool {
        self.ahead
    }

    /// What all processes of one may have of memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.limits.memory.0
    }

    /// Makes one.
    ///
    /// # Errors
    /// Why none could be made.
    pub async fn make(&self) -> Result<Prepared, PrepareError> {
        let (mut deaths, mut bad) = (0, 0);
        loop {
            let prepared = self.make_once().await;
            // What it was to be forked from died meanwhile, or its slot was a bad one: no request need hear of that,
            // for there is another.
            match &prepared {
                Err(PrepareError::Launcher(LauncherError::Dead)) if deaths + 1 < TRIES => deaths += 1,
                Err(PrepareError::Slot(_)) if bad + 1 < SLOT_TRIES => bad += 1,
                _ => return prepared,
            }
        }
    }

    async fn make_once(&self) -> Result<Prepared, PrepareError> {
        let _asked = self.stall.ask();
        let _turn = match &self.turns {
            Some(turns) => Some(turns.acquire().await.expect("the semaphore is never closed")),
            None => None,
        };
        let forkers = match &self.grown {
            Some(grown) => grown.clone(),
            None => self.keeper.forkers().await.inspect_err(|_| self.health.note(false))?,
        };
        let lease = self.slots.lease().await;
        let within = if self.ahead { IMPORT_TIME } else { START_TIME };
        self.make_in(&forkers, lease, within).await
    }

    async fn make_in(&self, forkers: &Forkers, lease: Lease, within: Duration) -> Result<Prepared, PrepareError> {
        let prepared = Prepared::new(forkers, &self.spec, (self.limits, Span::Job), lease, &self.slots, within).await;
        self.health.note(prepared.is_ok());
        prepared
    }

    /// Makes one for a session, of a slot that it takes from nobody.
    ///
    /// # Errors
    /// Why none could be made.
    pub async fn make_for_session(&self) -> Result<Prepared, PrepareError> {
        let forkers = self.keeper.forkers().await?;
        let lease = self.slots.lease_beside(START_TIME).await?;
        let limits = Limits { ends_together: false, ..self.limits };
        let within = if self.ahead { IMPORT_TIME } else { START_TIME };
        Prepared::new(&forkers, &self.spec, (limits, Span::Session), lease, &self.slots, within).await
    }

    /// Starts an interpreter that shares nothing with the zygote, if there is a slot for it, and a processor.
    pub async fn make_beside(self: &Arc<Self>) -> Option<Prepared> {
        let permit = Arc::clone(&self.beside).try_acquire_owned().ok()?;
        let (launcher, lease) = (self.keeper.launcher()?, self.slots.lease_now()?);
        let maker = Arc::clone(self);
        // In a task of its own, which a client that hangs up does not cut short halfway.
        let begun = tokio::spawn(async move {
            let prepared = maker.make_in(&Forkers::cold(launcher), lease, START_TIME).await;
            drop(permit);
            prepared.inspect_err(|error| {
                tracing::warn!(profile = maker.profile, %error, "an interpreter could not be started");
            })
        });
        begun.await.expect("preparing does not panic").ok()
    }
}
