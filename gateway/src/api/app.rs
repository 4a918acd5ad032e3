//! What every request is handled with: the application's state, made once at the start and never changed.
//!
//! The handlers and the steps that they share are in files of their own, each of which stands on this one.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::body_budget::BodyBudget;
use crate::admission::caller::Admission;
use crate::api::held::HeldAnswers;
use crate::api::jupyter::restarts::Restarts;
use crate::api::known::KnownJobs;
use crate::api::sessions::known::KnownSessions;
use crate::args::Serve;
use crate::going::Going;
use crate::metrics::Metrics;
use crate::upstream::profiles::KnownProfiles;
use crate::upstream::supervisor::Supervisor;
use crate::usage::accounts::Accounts;

/// The application's state.
#[derive(Debug)]
pub struct App {
    /// Who may ask.
    pub admission: Admission,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What keys use.
    pub accounts: Accounts,
    /// Whether this node is on its way out.
    pub going: Going,
    /// Where jobs run.
    pub supervisor: Supervisor,
    /// What scripts find there.
    pub profiles: KnownProfiles,
    /// What the bodies of requests may take of memory.
    pub bodies: Arc<BodyBudget>,
    /// The jobs that may call tools.
    pub known: Arc<KnownJobs>,
    /// The profiles of sessions.
    pub sessions: KnownSessions,
    /// The kernels that were restarted.
    pub restarts: Restarts,
    /// Answers that wait for what calls of tools return.
    pub held: Arc<HeldAnswers>,
    /// The number of this node among others, if it has one.
    pub node: Option<u8>,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

impl App {
    /// What the command line asks for.
    pub fn new(
        arguments: &Serve,
        admission: Admission,
        metrics: Arc<Metrics>,
        (accounts, going): (Accounts, Going),
    ) -> Self {
        let known = Arc::<KnownJobs>::default();
        let supervisor = Supervisor::new(&arguments.socket, arguments.hold, &metrics);
        Self {
            admission,
            metrics,
            accounts,
            going,
            profiles: KnownProfiles::new(supervisor.clone()),
            supervisor,
            bodies: BodyBudget::new(arguments.max_body_memory.get()),
            held: HeldAnswers::new(Arc::clone(&known)),
            known,
            sessions: KnownSessions::default(),
            restarts: Restarts::default(),
            node: arguments.node,
            max_body: arguments.max_body.get(),
            body_timeout: arguments.body_timeout,
        }
    }
}
