//! What the service manager is told, `sd_notify(3)`: readiness, stop, and that the event loop still turns.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;

/// Connections are accepted.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// How much longer than announced an end may take before the service manager makes it.
const SPARE: Duration = Duration::from_secs(15);

/// The end has begun, and takes so long at most: whatever the unit's own time to stop in.
pub fn stopping(within: Duration) {
    let time = u32::try_from((within + SPARE).as_micros()).unwrap_or(u32::MAX);
    tell(NotifyState::Stopping);
    tell(NotifyState::ExtendTimeoutUsec(time));
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
