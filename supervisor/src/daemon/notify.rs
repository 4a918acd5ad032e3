//! What a service manager is told: `sd_notify(3)`. Where there is none (no `NOTIFY_SOCKET`), nothing is said.
//!
//! The watchdog is fed from the event loop, so it starves when the loop does. A launcher or zygote that does
//! not carry out orders is no reason to end all of them: it is ended by itself, and replaced.

use std::os::unix::net::UnixDatagram;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::door::engine::Engine;
use crate::door::shares::Load;

/// How often the status line follows what it shows.
const STATUS_PERIOD: Duration = Duration::from_secs(2);

/// How often a service manager is asked for more time to start in, and for how much.
const START_STEP: Duration = Duration::from_secs(10);

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Manager(Option<UnixDatagram>);

impl Manager {
    /// The one at the other end of a connection.
    #[must_use]
    pub fn new(connection: Option<UnixDatagram>) -> Self {
        Self(connection)
    }

    /// Waits for a start that takes its time, such as by imports that have limits of their own, and asks for that time.
    pub async fn while_starting<T>(&self, start: impl Future<Output = T>) -> T {
        let mut start = pin!(start);
        loop {
            let step = u32::try_from(3 * START_STEP.as_micros()).expect("half a minute fits");
            self.tell(&[NotifyState::ExtendTimeoutUsec(step)]);
            if let Ok(done) = tokio::time::timeout(START_STEP, &mut start).await {
                return done;
            }
        }
    }

    /// Jobs are served.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The end has begun; jobs that run may finish.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping: running jobs may finish")]);
    }

    /// Keeps the status line and the watchdog up to date for as long as there is anything to tell of.
    pub async fn report(self: Arc<Self>, engine: Weak<Engine>) {
        let watchdog = sd_notify::watchdog_enabled();
        // A third of the time to feed in, and all launchers and zygotes together get another third to answer.
        let third = watchdog.map_or(STATUS_PERIOD, |limit| limit / 3);
        let mut shown = None;
        loop {
            {
                let Some(engine) = engine.upgrade() else { return };
                let load = engine.load();
                if shown.replace(load) != Some(load) {
                    self.tell(&[NotifyState::Status(&status(load))]);
                }
                if watchdog.is_some() {
                    engine.end_what_hangs(third).await;
                    self.tell(&[NotifyState::Watchdog]);
                }
            }
            tokio::time::sleep(third.min(STATUS_PERIOD)).await;
        }
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        let Some(connection) = &self.0 else { return };
        let lines: String = state.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = connection.send(lines.as_bytes()) {
            tracing::warn!(%error, "tell the service manager");
        }
    }
}

fn status(load: Load) -> String {
    let Load { busy, slots, waiting, .. } = load;
    format!("{busy} of {slots} slots busy, {waiting} requests waiting")
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
