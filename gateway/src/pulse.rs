//! What the supervisor says of itself, asked for every second: for the metrics, and for how many requests go to it at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloister_protocol::Stats;

use crate::queue::Queue;
use crate::upstream::Upstream;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(1);

/// From this many slots on, the share that is kept for newcomers is a part of the slots; below, it is beside them.
const MANY: usize = 8;

/// What it said last; nothing while it does not answer.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Option<Stats>>);

impl Pulse {
    /// Asks until the process ends. Unless `places` of the queue were chosen by hand, they follow the slots.
    pub fn follow(upstream: Upstream, queue: Arc<Queue>, chosen: bool) -> Arc<Self> {
        let pulse = Arc::new(Self::default());
        let kept = Arc::clone(&pulse);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let stats = upstream.stats().await;
                if let (Some(stats), false) = (&stats, chosen) {
                    adapt(&queue, stats);
                }
                *kept.0.lock().unwrap_or_else(PoisonError::into_inner) = stats;
            }
        });
        pulse
    }

    /// What the supervisor said last, if it answers.
    pub fn stats(&self) -> Option<Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn adapt(queue: &Queue, stats: &Stats) {
    let slots = usize::try_from(stats.slots).unwrap_or(usize::MAX);
    let places = places_for(slots);
    if places > 0 && places != queue.places() {
        queue.resize(places);
        tracing::info!(slots, places, "requests at the supervisor at once follow its slots");
    }
}

/// As many requests go to the supervisor as it has slots. Of a few slots none is kept free for newcomers:
/// there the place that is kept for them is one more, and who gets it is next at the supervisor.
fn places_for(slots: usize) -> usize {
    if (1..MANY).contains(&slots) { slots + 1 } else { slots }
}
