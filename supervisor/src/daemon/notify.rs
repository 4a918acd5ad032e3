//! What a service manager is told: `sd_notify(3)`. Where there is none (no `NOTIFY_SOCKET`), nothing is said.
//!
//! The watchdog is fed from the event loop, so it starves when the loop does. A launcher or zygote that does
//! not carry out orders is no reason to end all of them: it is ended by itself, and replaced.

use std::pin::pin;
use std::sync::Weak;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::door::engine::Engine;
use crate::door::shares::Load;

/// How often the status line follows what it shows.
const STATUS_PERIOD: Duration = Duration::from_secs(2);

/// How often a service manager is asked for more time to start in, and for how much.
const START_STEP: Duration = Duration::from_secs(10);

/// Waits for a start that takes its time, such as by imports that have limits of their own, and asks for that time.
pub async fn while_starting<T>(start: impl Future<Output = T>) -> T {
    let mut start = pin!(start);
    loop {
        let step = u32::try_from(3 * START_STEP.as_micros()).expect("half a minute fits");
        tell(&[NotifyState::ExtendTimeoutUsec(step)]);
        if let Ok(done) = tokio::time::timeout(START_STEP, &mut start).await {
            return done;
        }
    }
}

/// Jobs are served.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The end has begun; jobs that run may finish.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: running jobs may finish")]);
}

/// Keeps the status line and the watchdog up to date for as long as there is anything to tell of.
pub async fn report(engine: Weak<Engine>) {
    let watchdog = sd_notify::watchdog_enabled();
    // A third of the time to feed in, and all launchers and zygotes together get another third to answer.
    let third = watchdog.map_or(STATUS_PERIOD, |limit| limit / 3);
    let mut shown = None;
    loop {
        {
            let Some(engine) = engine.upgrade() else { return };
            let load = engine.load();
            if shown.replace(load) != Some(load) {
                tell(&[NotifyState::Status(&status(load))]);
            }
            if watchdog.is_some() {
                feed(&engine, third).await;
            }
        }
        tokio::time::sleep(third.min(STATUS_PERIOD)).await;
    }
}

async fn feed(engine: &Engine, within: Duration) {
    engine.end_what_hangs(within).await;
    tell(&[NotifyState::Watchdog]);
}

fn status(load: Load) -> String {
    let Load { busy, slots, waiting, .. } = load;
    format!("{busy} of {slots} slots busy, {waiting} requests waiting")
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "tell the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::status;
    use crate::door::shares::Load;

    #[test]
    fn the_status_shows_slots_and_queue() {
        let load = Load { busy: 3, slots: 32, waiting: 1, queue: 128, unread: 0, unread_bytes: 0 };
        assert_eq!(status(load), "3 of 32 slots busy, 1 requests waiting");
    }
}
