//! What is counted and measured, in the form that Prometheus reads.
//!
//! Nothing of a request's is a label but its outcome and, where that is asked for, the name of its key, which is the operator's. The names of profiles are the policy's, as the supervisor tells
//! them, so there are as many series as an operator asks for and no client can add one.

mod outcome;
mod requests;
mod warmth;

use std::time::Duration;

use cloister_protocol::{Calls, ProfileStats, Stats};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use self::outcome::Outcome;
use self::requests::Requests;
use self::warmth::Warmth;

/// Upper ends of the latency histograms' buckets, in seconds: a warm job takes about a millisecond.
const BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Where a job's time goes.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Waiting for a place at the supervisor.
    Queue,
    /// Waiting for a sandbox at the supervisor.
    Setup,
    /// Running.
    Run,
    /// Waiting for what calls of tools return.
    Wait,
}

/// All that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    jobs: Histogram,
    calls: [IntCounter; 3],
    stages: [Histogram; 4],
    connections: IntGauge,
    held: IntGauge,
    supervisor: SupervisorMetrics,
}

/// What the supervisor says of itself. While it does not answer there is nothing but that.
#[derive(Debug)]
struct SupervisorMetrics {
    up: IntGauge,
    slots: IntGaugeVec,
    busy: IntGaugeVec,
    waiting: IntGaugeVec,
    unread: IntGaugeVec,
    unread_bytes: IntGaugeVec,
    parked: IntGaugeVec,
    launchers: IntCounterVec,
    zygotes: IntCounterVec,
    warmth: Warmth,
}

/// Something that is counted for as long as it is there.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Metrics {
    /// Everything at nothing.
    ///
    /// # Errors
    /// Two metrics of one name.
    pub fn new(by_key: bool) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let histogram = |name, help| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let jobs = Histogram::with_opts(histogram(
            "cloister_request_duration_seconds",
            "Requests to run a job, from the header to the last byte of the answer.",
        ))?;
        let stages = HistogramVec::new(
            histogram(
                "cloister_stage_duration_seconds",
                "Jobs, by where their time went: queue, setup, run, and wait for calls of tools.",
            ),
            &["stage"],
        )?;
        let connections = IntGauge::new("cloister_connections", "Open connections.")?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(stages.clone()))?;
        let held = IntGauge::new("cloister_requests_held", "Requests that wait for a supervisor that is away.")?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(held.clone()))?;
        let calls = Opts::new(
            "cloister_tool_calls_total",
            "Calls of tools of clients' that jobs have made, by what they came to.",
        );
        let calls = IntCounterVec::new(calls, &["verdict"])?;
        registry.register(Box::new(calls.clone()))?;
        let calls = Calls::default().by_verdict().map(|(verdict, _)| calls.with_label_values(&[verdict]));
        let requests = Requests::new(&registry, by_key)?;
        let stages = ["queue", "setup", "run", "wait"].map(|stage| stages.with_label_values(&[stage]));
        let supervisor = SupervisorMetrics::new(&registry)?;
        Ok(Self { registry, requests, jobs, calls, stages, connections, held, supervisor })
    }

    /// Counts a request, of this key if it came with one that is known; `job` is how long it took if it was to run one.
    pub fn count(&self, outcome: Outcome, key: Option<&str>, job: Option<Duration>) {
        self.requests.count(outcome, key);
        if let Some(time) = job {
            self.jobs.observe(time.as_secs_f64());
        }
    }

    /// Measures a stage of a job.
    pub fn measure(&self, stage: Stage, time: Duration) {
        let [queue, setup, run, wait] = &self.stages;
        let histogram = match stage {
            Stage::Queue => queue,
            Stage::Setup => setup,
            Stage::Run => run,
            Stage::Wait => wait,
        };
        histogram.observe(time.as_secs_f64());
    }

    /// Measures what a `Server-Timing` header says of the stages at the supervisor.
    pub fn measure_timing(&self, header: &str) {
        for metric in header.split(',') {
            let Some((name, milliseconds)) = metric.trim().split_once(";dur=") else { continue };
            let time = milliseconds.parse().ok().and_then(|ms: f64| Duration::try_from_secs_f64(ms / 1000.0).ok());
            match (name, time) {
                ("queue", Some(time)) => self.measure(Stage::Queue, time),
                ("setup", Some(time)) => self.measure(Stage::Setup, time),
                ("run", Some(time)) => self.measure(Stage::Run, time),
                ("wait", Some(time)) => self.measure(Stage::Wait, time),
                _ => {}
            }
        }
    }

    /// Counts what a job's calls of tools came to.
    pub fn count_calls(&self, calls: &Calls) {
        for (counter, (_, count)) in self.calls.iter().zip(calls.by_verdict()) {
            counter.inc_by(count.into());
        }
    }

    /// Counts a connection while it is open.
    pub fn open(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request while it is held.
    pub fn hold(&self) -> Counted {
        Counted::new(&self.held)
    }

    /// All of it, with what the supervisor says of itself now, in Prometheus' text format.
    ///
    /// # Errors
    /// A metric that cannot be written so.
    pub fn text(&self, supervisor: Option<&Stats>) -> Result<String, prometheus::Error> {
        self.supervisor.show(supervisor);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl SupervisorMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let up = IntGauge::new("cloister_supervisor_up", "Whether the supervisor answers.")?;
        registry.register(Box::new(up.clone()))?;
        let gauge = |name, help, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter = |name, help| {
            let counter = IntCounterVec::new(Opts::new(name, help), &["profile", "reason"])?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let warmth = Warmth::new(registry)?;
        Ok(Self {
            up,
            warmth,
            slots: gauge("cloister_slots", "Jobs that may run at once.", &[])?,
            busy: gauge("cloister_slots_busy", "Slots that are taken.", &[])?,
            waiting: gauge("cloister_queue_length", "Requests that wait for a slot.", &[])?,
            unread: gauge("cloister_answers_unread", "Answers that their readers have not taken whole.", &[])?,
            unread_bytes: gauge("cloister_answers_unread_bytes", "What these hold.", &[])?,
            parked: gauge("cloister_parked", "Parked children that wait for a request.", &["profile"])?,
            launchers: counter(
                "cloister_launcher_restarts_total",
                "Launchers that were to be started again: died, hung, or their profile changed in a reload.",
            )?,
            zygotes: counter(
                "cloister_zygote_restarts_total",
                "Zygotes that were to be started again: died, hung, renewed, or their profile changed in a reload.",
            )?,
        })
    }

    /// Shows what it said last, and no profile that is gone.
    fn show(&self, stats: Option<&Stats>) {
        self.up.set(stats.is_some().into());
        for gauge in [&self.slots, &self.busy, &self.waiting, &self.unread, &self.unread_bytes, &self.parked] {
            gauge.reset();
        }
        self.launchers.reset();
        self.zygotes.reset();
        self.warmth.reset();
        let Some(stats) = stats else { return };
        let Stats { slots, busy, waiting, unread, unread_bytes, .. } = *stats;
        for (gauge, value) in
            [(&self.slots, slots), (&self.busy, busy), (&self.waiting, waiting), (&self.unread, unread)]
        {
            gauge.with_label_values(&[] as &[&str]).set(value.into());
        }
        let bytes = i64::try_from(unread_bytes).unwrap_or(i64::MAX);
        self.unread_bytes.with_label_values(&[] as &[&str]).set(bytes);
        for (profile, stats) in &stats.profiles {
            self.warmth.show(profile, stats);
            let ProfileStats { parked, launcher, zygote, .. } = stats;
            self.parked.with_label_values(&[profile]).set((*parked).into());
            for (counter, restarts) in [(&self.launchers, launcher), (&self.zygotes, zygote)] {
                for (reason, count) in restarts.by_reason() {
                    counter.with_label_values(&[profile.as_str(), reason]).inc_by(count);
                }
            }
        }
    }
}

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
