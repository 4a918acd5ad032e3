//! How what scripts import is kept warm. The names of modules are those of the operator's packages, as the supervisor tells
//! them of what is there now: so many series as there may be zygotes at once.

use std::time::Duration;

use cloister_protocol::{ProfileStats, WarmStats};
use prometheus::{CounterVec, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What is shown of it.
#[derive(Debug)]
pub struct Warmth {
    jobs: IntCounterVec,
    cpu: CounterVec,
    forkers: GaugeVec,
    requests: IntCounterVec,
    evictions: IntCounterVec,
    refused: IntCounterVec,
    bytes: IntGaugeVec,
    parked: IntGaugeVec,
}

impl Warmth {
    /// Everything at nothing.
    ///
    /// # Errors
    /// Two metrics of one name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauge = |name, help| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["profile", "imports"])?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let cpu = CounterVec::new(
            Opts::new("cloister_job_cpu_seconds_total", "CPU time in sandboxes: ahead of requests, and running jobs."),
            &["profile", "stage"],
        )?;
        registry.register(Box::new(cpu.clone()))?;
        let forkers = GaugeVec::new(
            Opts::new(
                "cloister_forkers_cpu_seconds",
                "CPU time that the launcher and the zygotes have used that there are now.",
            ),
            &["profile"],
        )?;
        registry.register(Box::new(forkers.clone()))?;
        Ok(Self {
            jobs: counter("cloister_jobs_total", "Jobs that have ended.", &["profile"])?,
            cpu,
            forkers,
            requests: counter(
                "cloister_warm_requests_total",
                "Requests that import packages beside the profile's warm.imports: hit, some of it was imported ahead, or miss.",
                &["profile", "warm"],
            )?,
            evictions: counter(
                "cloister_warm_evictions_total",
                "Zygotes of what scripts import that were let go of: memory, idle, died.",
                &["profile", "reason"],
            )?,
            refused: counter(
                "cloister_warm_refused_total",
                "Sets of imports for which there can be no zygote: failed, memory. The supervisor's log says why.",
                &["profile", "reason"],
            )?,
            bytes: gauge(
                "cloister_warm_zygote_bytes",
                "Memory that a zygote shares with no other, by what it has imported beside the profile's own.",
            )?,
            parked: gauge("cloister_warm_parked", "Children of such a zygote that wait for a request.")?,
        })
    }

    /// Forgets what was shown last.
    pub fn reset(&self) {
        [&self.jobs, &self.requests, &self.evictions, &self.refused].into_iter().for_each(IntCounterVec::reset);
        self.cpu.reset();
        self.forkers.reset();
        [&self.bytes, &self.parked].into_iter().for_each(IntGaugeVec::reset);
    }

    /// Shows a profile's.
    pub fn show(&self, profile: &str, stats: &ProfileStats) {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        self.jobs.with_label_values(&[profile]).inc_by(stats.cost.jobs);
        self.cpu.with_label_values(&[profile, "ahead"]).inc_by(seconds(stats.cost.ahead));
        self.cpu.with_label_values(&[profile, "run"]).inc_by(seconds(stats.cost.run));
        self.forkers.with_label_values(&[profile]).set(seconds(stats.cost.forkers));
        if let Some(warm) = &stats.warm {
            self.show_imports(profile, warm);
        }
    }

    fn show_imports(&self, profile: &str, warm: &WarmStats) {
        for (what, number) in [("hit", warm.hits), ("miss", warm.misses)] {
            self.requests.with_label_values(&[profile, what]).inc_by(number);
        }
        for (counter, counts) in [(&self.evictions, &warm.evictions), (&self.refused, &warm.refused)] {
            for (reason, number) in counts {
                counter.with_label_values(&[profile, reason]).inc_by(*number);
            }
        }
        for zygote in &warm.zygotes {
            let bytes = i64::try_from(zygote.bytes).unwrap_or(i64::MAX);
            self.bytes.with_label_values(&[profile, &zygote.imports]).set(bytes);
            // The profile's own are told of as ever.
            if !zygote.imports.is_empty() {
                self.parked.with_label_values(&[profile, &zygote.imports]).set(zygote.parked.into());
            }
        }
    }
}
