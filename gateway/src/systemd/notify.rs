//! What the service manager is told, `sd_notify(3)`: readiness, stop, and that the event loop still turns.

use std::convert::Infallible;
use std::future::pending;

use sd_notify::NotifyState;

/// Connections are accepted.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// No more connections are accepted.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog from the event loop that serves the connections; never ends.
pub async fn feed_watchdog() -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else { return pending().await };
    loop {
        tell(NotifyState::Watchdog);
        tokio::time::sleep(limit / 3).await;
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "tell the service manager");
    }
}
