//! The listening socket: one that a service manager holds across restarts, or one of our own.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use listenfd::ListenFd;

/// The socket that was handed over at the start, if one was: `sd_listen_fds(3)`. Who may connect to it is the service
/// manager's to say (the unit's `SocketGroup`); who has connected is checked as ever.
///
/// # Errors
/// When what was handed over is no listening Unix stream socket.
pub fn passed() -> io::Result<Option<UnixListener>> {
    ListenFd::from_env().take_unix_listener(0)
}

/// Listens on `path`, in place of a socket that an earlier life left. Only root and the group of the
/// first peer may connect.
///
/// # Errors
/// The call that failed, or that another supervisor listens there.
pub fn listen(path: &Path, peers: &[u32]) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another supervisor serves this socket; stop it first"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    chown(path, None, peers.first().copied())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
