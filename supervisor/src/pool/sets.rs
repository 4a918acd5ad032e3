//! The zygotes that are kept for what a profile's scripts import beside what the policy has imported for them: which there
//! are, which are wanted, and which a request is served from.
//!
//! What a script imports is guessed, and a wrong guess costs time alone. Only what the runtime's packages bring is ever
//! imported for it, which the operator chose.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use cloister_protocol::{ImportSet, ImportedStats, Tenant, WarmStats};
use cloister_terms::{Children, Policy, Profile};
use tokio::sync::Notify;

use crate::link::connection::Connection;
use crate::pool::grown::{Grown, Wanted, first, is};
use crate::pool::leaving::Leaving;
use crate::pool::parked::{Handed, Parked};
use crate::pool::profile::kept;
use crate::pool::refused::{Refusal, Refused};
use crate::pool::uses::Uses;
use crate::pool::warmth::{Kept, a_quarter};

/// So many uses make it worth while: ten, less what has been forgotten since the first.
const ENOUGH: f64 = 9.5;

/// What is kept for a profile's scripts.
#[derive(Debug)]
pub struct Sets {
    /// The profile's name.
    pub profile: String,
    /// The top-level modules of the runtime's packages, in order.
    modules: Vec<String>,
    /// What is imported for all.
    there: Vec<String>,
    idle: Duration,
    /// What all of it may hold, in bytes.
    memory: u64,
    /// Told when something may have to be done.
    pub wake: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    uses: Uses,
    grown: Vec<Grown>,
    leaving: Leaving,
    refused: Refused,
    /// What one is being forked from, which does not go meanwhile.
    parent: Weak<Connection>,
    told: WarmStats,
}

impl Sets {
    /// None yet. There are any for a profile whose children are forked, and whose runtime says what its packages bring.
    /// Where memory is `bounded`, as a container's is, jobs are held to all of it, and there are some only where the policy says
    /// how much they may take.
    #[must_use]
    pub fn new(policy: &Policy, of: &Profile, bounded: bool) -> Option<Self> {
        let warm = kept(of.warm.as_ref(), Children::Forked)?;
        let memory = warm.memory.map_or_else(|| if bounded { 0 } else { a_quarter() }, |memory| memory.0);
        let mut modules = policy.runtimes[&of.runtime].modules.clone();
        modules.sort_unstable();
        if modules.is_empty() || memory == 0 {
            return None;
        }
        let state = State {
            uses: Uses::new(warm.idle),
            grown: Vec::new(),
            leaving: Leaving::default(),
            refused: Refused::default(),
            parent: Weak::new(),
            told: WarmStats::default(),
        };
        Some(Self {
            profile: of.name.clone(),
            modules,
            there: warm.imports.clone(),
            idle: warm.idle,
            memory,
            wake: Arc::default(),
            state: Mutex::new(state),
        })
    }

    /// What a script seems to import beside what is there for all.
    #[must_use]
    pub fn of_script(&self, script: &str) -> ImportSet {
        ImportSet::of_script(script, &self.modules, &self.there)
    }

    /// A child that has imported some of this and nothing else, for a request that is counted by it.
    pub async fn take(&self, tenant: Tenant, set: &ImportSet) -> Option<Handed> {
        let handed = match self.ask(tenant, set) {
            Some(parked) => parked.take_soon(tenant).await,
            None => None,
        };
        self.served(handed.is_some());
        handed
    }

    /// Counts a request, and finds the children that have most of what it imports, and nothing else.
    fn ask(&self, tenant: Tenant, set: &ImportSet) -> Option<Arc<Parked>> {
        let now = Instant::now();
        let mut state = self.lock();
        state.uses.count(tenant, set, now);
        let best = state.best(set, |_| true).map(|at| {
            let grown = &mut state.grown[at];
            grown.used = now;
            (Arc::clone(&grown.parked), grown.asked == *set || grown.set == *set)
        });
        drop(state);
        if !best.as_ref().is_some_and(|(_, exact)| *exact) {
            self.wake.notify_one();
        }
        best.map(|(parked, _)| parked)
    }

    /// Counts whether a request that imports something was served by who had imported some of it.
    fn served(&self, warm: bool) {
        let mut state = self.lock();
        let WarmStats { hits, misses, .. } = &mut state.told;
        *(if warm { hits } else { misses }) += 1;
    }

    /// The sets of which one should have a zygote next, where the profile's own is this one; the most wanted first.
    #[must_use]
    pub fn wanted(&self, root: &Arc<Connection>) -> Vec<Wanted> {
        let (state, now) = (self.lock(), Instant::now());
        let uses = state.uses.all(now);
        let weight = |set: &ImportSet| uses.get(set).map_or(0.0, |of| of.weight);
        let wanted = |set: &ImportSet, again| {
            let bytes = state.refused.size(set, now);
            Wanted { set: set.clone(), weight: weight(set), again, bytes }
        };
        let old = state.grown.iter().filter(|grown| !is(&grown.root, root)).map(|grown| wanted(&grown.asked, true));
        let new = uses.iter().filter(|(set, of)| of.times >= ENOUGH && !state.is_settled(set, now));
        first(old.chain(new.map(|(set, _)| wanted(set, false))).collect())
    }

    /// The zygote that has most of a set and nothing else, and was forked from this one in the end; what it has, and what it
    /// holds. It stays until [`let_parent_go`](Self::let_parent_go).
    #[must_use]
    pub fn nearest(&self, set: &ImportSet, root: &Arc<Connection>) -> Option<(Arc<Connection>, ImportSet, u64)> {
        let mut state = self.lock();
        let at = state.best(set, |grown| is(&grown.root, root))?;
        let Grown { zygote, set, with_parents, .. } = &state.grown[at];
        let nearest = (Arc::clone(zygote), set.clone(), *with_parents);
        state.parent = Arc::downgrade(&nearest.0);
        Some(nearest)
    }

    /// Nothing is forked from [`nearest`](Self::nearest) any more.
    pub fn let_parent_go(&self) {
        self.lock().parent = Weak::new();
    }

    /// Takes one in, in the place of what was there for the same set.
    pub fn keep(&self, grown: Grown) {
        let mut state = self.lock();
        state.take_out(|before| before.asked == grown.asked);
        state.grown.push(grown);
    }

    /// Remembers that no zygote can be kept for a set.
    pub fn refuse(&self, set: ImportSet, why: Refusal) {
        let mut state = self.lock();
        if let Some(word) = why.word() {
            *state.told.refused.entry(word.to_owned()).or_default() += 1;
        }
        state.take_out(|before| before.asked == set);
        state.refused.add(set, why, Instant::now());
    }

    /// Lets go of those that are dead, or that nothing was asked of for long.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.let_go("died", |grown| !grown.zygote.is_alive());
        self.let_go("idle", |grown| now.saturating_duration_since(grown.used) > self.idle);
    }

    fn let_go(&self, why: &str, goes: impl Fn(&Grown) -> bool) {
        let mut state = self.lock();
        let gone = state.take_out(goes);
        if gone.is_empty() {
            return;
        }
        *state.told.evictions.entry(why.to_owned()).or_default() += gone.len() as u64;
        // What was there by way of one of them is so no longer.
        state.refused.forget_needless();
        drop(state);
        for grown in gone {
            tracing::info!(profile = self.profile, imports = %grown.set, why, "a zygote is let go of");
        }
    }

    /// How much CPU time they have used, in microseconds.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        self.lock().grown.iter().map(|grown| grown.zygote.cpu()).sum()
    }

    /// How all of it fares; the profile's own zygote, if it lives, first.
    #[must_use]
    pub fn stats(&self, own: Option<&Connection>) -> WarmStats {
        let state = self.lock();
        let told = |bytes: u64, imports: String, parked: usize| ImportedStats {
            imports,
            bytes,
            parked: u32::try_from(parked).unwrap_or(u32::MAX),
        };
        let own = own.map(|zygote| told(zygote.holds.bytes, String::new(), 0));
        let grown = state.grown.iter().map(|of| told(of.bytes, of.set.to_string(), of.parked.count()));
        WarmStats { zygotes: own.into_iter().chain(grown).collect(), ..state.told.clone() }
    }

    /// Ends those that do not carry out orders.
    pub async fn end_what_hangs(&self, within: Duration) {
        let all: Vec<_> = self.lock().grown.iter().map(|grown| Arc::clone(&grown.zygote)).collect();
        let asked = all.into_iter().map(|zygote| async move { zygote.end_if_silent(within).await });
        asked.collect::<tokio::task::JoinSet<_>>().join_all().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl Kept for Sets {
    fn held(&self) -> (usize, u64) {
        let state = self.lock();
        (state.grown.len(), state.grown.iter().map(|grown| grown.bytes).fold(0, u64::saturating_add))
    }

    fn leaving(&self) -> u64 {
        self.lock().leaving.bytes()
    }

    fn may_hold(&self) -> u64 {
        self.memory
    }

    fn least(&self) -> Option<(ImportSet, f64, u64)> {
        let state = self.lock();
        let uses = state.uses.all(Instant::now());
        let is_parent = |grown: &Grown| {
            is(&state.parent, &grown.zygote) || state.grown.iter().any(|of| is(&of.parent, &grown.zygote))
        };
        let leaves = state.grown.iter().filter(|grown| !is_parent(grown));
        let weight = |set: &ImportSet| uses.get(set).map_or(0.0, |of| of.weight);
        let weighed = leaves.map(|grown| (grown.asked.clone(), weight(&grown.asked), grown.bytes));
        weighed.min_by(|(_, one, _), (_, other, _)| one.total_cmp(other))
    }

    fn let_go_of(&self, set: &ImportSet) {
        self.let_go("memory", |grown| grown.asked == *set);
    }
}

impl Drop for Sets {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl State {
    /// Of those that live, the one that has most of a set and nothing else.
    fn best(&self, set: &ImportSet, of: impl Fn(&Grown) -> bool) -> Option<usize> {
        let fit = |grown: &Grown| grown.set.is_within(set) && grown.zygote.is_alive() && of(grown);
        let fit = self.grown.iter().enumerate().filter(|(_, grown)| fit(grown));
        fit.max_by_key(|(_, grown)| grown.with_parents).map(|(at, _)| at)
    }

    /// Takes those out for which this is so. What they shared with others is from now on those others' own.
    fn take_out(&mut self, goes: impl Fn(&Grown) -> bool) -> Vec<Grown> {
        let (gone, mut kept): (Vec<_>, Vec<_>) = self.grown.drain(..).partition(goes);
        // Each comes after the one that it was forked from.
        for parent in gone.iter().rev() {
            let heirs: Vec<_> = kept.iter_mut().filter(|grown| is(&grown.parent, &parent.zygote)).collect();
            if heirs.is_empty() {
                self.leaving.add(&parent.zygote, parent.bytes);
            }
            for grown in heirs {
                grown.bytes = grown.bytes.saturating_add(parent.bytes);
                grown.parent = parent.parent.clone();
            }
        }
        self.grown = kept;
        gone
    }

    /// Whether there is one of a set, or can be none for now.
    fn is_settled(&self, set: &ImportSet, now: Instant) -> bool {
        self.grown.iter().any(|grown| grown.asked == *set || grown.set == *set) || self.refused.holds(set, now)
    }
}
