//! What the service manager gives and is told: the listening socket that it holds across restarts
//! (`sd_listen_fds(3)`), and readiness, watchdog and stop (`sd_notify(3)`).

use std::convert::Infallible;
use std::future::pending;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The socket that was handed over at the start, if one was. It listens already; whether strangers can
/// reach it is checked like an address of our own.
///
/// # Errors
/// When what was handed over is no listening TCP socket, for a person.
pub fn listener() -> Result<Option<TcpListener>, String> {
    ListenFd::from_env().take_tcp_listener(0).map_err(|error| {
        format!("take the socket that was passed: {error}: pass a TCP stream socket (systemd: ListenStream=PORT)")
    })
}

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
