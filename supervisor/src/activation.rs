//! The listening socket that a service manager holds for the supervisor across its restarts:
//! `sd_listen_fds(3)`. Who may connect to it is that manager's to say (the unit's `SocketGroup`); who
//! has connected is checked here as ever.

use std::io;

use listenfd::ListenFd;
use tokio::net::UnixListener;

/// The socket that was handed over at the start, if one was.
///
/// # Errors
/// When what was handed over is no listening Unix stream socket.
pub fn listener() -> io::Result<Option<UnixListener>> {
    let Some(listener) = ListenFd::from_env().take_unix_listener(0)? else { return Ok(None) };
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener).map(Some)
}
