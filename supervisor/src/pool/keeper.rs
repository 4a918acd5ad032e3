//! Keeps what the jobs of a profile are forked from: its launcher, and its zygote if it has one. Whatever of these dies
//! is started again when next needed; a zygote whose time is up goes on until another is there.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::Tree;
use cloister_sandbox::spec::{IdRange, Spec};
use cloister_supervisor::library::Library;
use cloister_supervisor::powers::Powers;
use cloister_terms::Warm;

use crate::job::interpreter;
use crate::link::connection::Connection;
use crate::link::forkers::Forkers;
use crate::link::launcher::{Brings, Guard, Launcher};
use crate::link::launcher_error::LauncherError;
use crate::pool::ground::Ground;
use crate::pool::tally::{Counts, Gone, Tally};

/// Keeps a profile's launcher and zygote.
#[derive(Debug)]
pub struct Keeper {
    profile: String,
    spec: Arc<Spec>,
    ids: IdRange,
    tree: Arc<Tree>,
    guard: Guard,
    /// What the zygote imports and how long it is kept, where there is one.
    warm: Option<Warm>,
    /// Whether cold jobs load the native library too.
    cold_load: bool,
    library: Arc<Library>,
    powers: Arc<Powers>,
    /// Held for moments only.
    current: Mutex<Current>,
    /// Held by whoever starts what is not there, which may take long.
    starts: tokio::sync::Mutex<()>,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Current {
    launcher: Option<Arc<Launcher>>,
    zygote: Option<Arc<Connection>>,
    /// When the zygote was started, or should have been renewed.
    since: Option<Instant>,
}

impl Keeper {
    /// Nothing is started yet.
    #[must_use]
    pub fn new(profile: &str, spec: &Arc<Spec>, ground: &Ground, warm: Option<&Warm>, cold_load: bool) -> Self {
        Self {
            profile: profile.to_owned(),
            spec: Arc::clone(spec),
            ids: ground.ids,
            tree: Arc::clone(&ground.tree),
            powers: Arc::clone(&ground.powers),
            guard: ground.guard.clone(),
            warm: warm.cloned(),
            cold_load,
            library: Arc::clone(&ground.library),
            current: Mutex::default(),
            starts: tokio::sync::Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// What jobs are forked from, started again if it has died.
    ///
    /// # Errors
    /// What could not be started; a module that cannot be imported, for one.
    pub async fn forkers(&self) -> Result<Forkers, LauncherError> {
        if let Some(forkers) = self.there() {
            return Ok(forkers);
        }
        let _starts = self.starts.lock().await;
        // Somebody else may have started it meanwhile.
        if let Some(forkers) = self.there() {
            return Ok(forkers);
        }
        let launcher = match self.launcher() {
            Some(launcher) => launcher,
            None => {
                let adopt = |pid| self.powers.adopt(&self.tree, pid);
                let interpreter = self.powers.interpreter(&self.spec)?;
                // A cold job can do without.
                let library = if self.cold_load { self.library.open().ok() } else { None };
                let brings = Brings { library, interpreter };
                let launcher = Launcher::start(&self.guard, (*self.spec).clone(), self.ids, brings, adopt).await?;
                let launcher = Arc::new(launcher);
                tracing::info!(profile = self.profile, pid = launcher.pid(), "launcher ready");
                self.current().launcher = Some(Arc::clone(&launcher));
                launcher
            }
        };
        let Some(warm) = &self.warm else { return Ok(Forkers::cold(launcher)) };
        let zygote = Arc::new(self.start_zygote(&launcher, warm).await?);
        let mut current = self.current();
        (current.zygote, current.since) = (Some(Arc::clone(&zygote)), Some(Instant::now()));
        Ok(Forkers::warm(launcher, zygote))
    }

    /// The launcher, if there is one that lives.
    #[must_use]
    pub fn launcher(&self) -> Option<Arc<Launcher>> {
        self.current().launcher.clone()
    }

    /// The zygote, if there is one that lives.
    #[must_use]
    pub fn zygote(&self) -> Option<Arc<Connection>> {
        self.current().zygote.clone()
    }

    /// How much CPU time the launcher and the zygote have used that there are, in microseconds.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        let current = self.current();
        let zygote = current.zygote.as_ref().map_or(0, |zygote| zygote.cpu());
        current.launcher.as_ref().map_or(0, |launcher| launcher.connection().cpu()) + zygote
    }

    /// How long until the zygote's time is up; none where no zygote is kept.
    #[must_use]
    pub fn until_renewal(&self) -> Option<Duration> {
        let renew = self.warm.as_ref()?.renew;
        Some(self.current().since.map_or(renew, |since| renew.saturating_sub(since.elapsed())))
    }

    /// Starts another zygote beside the one that there is, and puts it in its place. Whether it did: if it cannot be
    /// started the one before goes on. That goes when the last job that it forked has.
    pub async fn renew(&self) -> bool {
        let (Some(warm), Some(Forkers { launcher, zygote: Some(before), .. })) = (&self.warm, self.there()) else {
            return false;
        };
        let started = self.start_zygote(&launcher, warm).await;
        let mut current = self.current();
        current.since = Some(Instant::now());
        match started {
            // What it was started beside may have died and been replaced meanwhile.
            Ok(zygote) if current.zygote.as_ref().is_some_and(|now| Arc::ptr_eq(now, &before)) => {
                current.zygote = Some(Arc::new(zygote));
                self.tally.zygote_renewed();
                true
            }
            Ok(_) => false,
            Err(error) => {
                let profile = &self.profile;
                tracing::error!(profile, %error, "the zygote could not be renewed; the one before goes on");
                false
            }
        }
    }

    /// Ends the launcher or zygote if they do not carry out orders; they are replaced when next needed. One that is
    /// being started has a time limit of its own.
    pub async fn end_what_hangs(&self, within: Duration) {
        let (launcher, zygote) = {
            let current = self.current();
            (current.launcher.clone(), current.zygote.clone())
        };
        let launcher = async {
            if let Some(launcher) = launcher {
                launcher.connection().end_if_silent(within).await;
            }
        };
        let zygote = async {
            if let Some(zygote) = zygote {
                zygote.end_if_silent(within).await;
            }
        };
        tokio::join!(launcher, zygote);
    }

    /// How often what is kept here had to be started again.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Goes on counting where the profile's keeper before a reload stopped.
    pub fn succeed(&self, before: &Self) {
        self.tally.succeed(&before.tally, before.warm.is_some());
    }

    /// All that jobs are forked from, if it lives.
    fn there(&self) -> Option<Forkers> {
        let current = self.current();
        let launcher = Arc::clone(current.launcher.as_ref()?);
        let zygote = current.zygote.clone();
        (self.warm.is_none() || zygote.is_some()).then(|| Forkers { zygote, ..Forkers::cold(launcher) })
    }

    async fn start_zygote(&self, launcher: &Launcher, warm: &Warm) -> Result<Connection, LauncherError> {
        let library = self.library.open()?;
        let interpreter = self.spec.command.first().expect("a command is never empty");
        let command = interpreter::zygote_command(interpreter, warm);
        let (spec, began) = ((*self.spec).clone(), Instant::now());
        let zygote = launcher.zygote(spec, &command, &self.spec.environment, library.as_fd()).await?;
        tracing::info!(profile = self.profile, milliseconds = began.elapsed().as_millis(), "zygote ready");
        Ok(zygote)
    }

    /// What there is, past what has died, which is counted once.
    fn current(&self) -> MutexGuard<'_, Current> {
        let mut current = self.current.lock().expect("nothing panics while it holds this lock");
        let why = |connection: &Connection| if connection.hung() { Gone::Hung } else { Gone::Died };
        if let Some(launcher) = current.launcher.take_if(|launcher| !launcher.connection().is_alive()) {
            self.tally.launcher_gone(why(launcher.connection()), current.zygote.take().is_some());
        } else if let Some(zygote) = current.zygote.take_if(|zygote| !zygote.is_alive()) {
            self.tally.zygote_gone(why(&zygote));
        }
        current
    }
}
