//! The listening socket, taken while this process may still have the privilege to.
//!
//! Without keys, whoever can connect can run scripts: an address that strangers can reach is then
//! refused unless the operator says so in words.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{self, Backlog};

/// Takes the address; `open` says whether strangers may reach it.
///
/// # Errors
/// A sentence that says what to do.
pub fn bind(address: SocketAddr, open: bool) -> Result<TcpListener, String> {
    refuse_strangers(address, open)?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "listen on {address}: the port is taken: stop what has it, or choose another with --listen or CLOISTER_LISTEN"
            )
        }
        ErrorKind::PermissionDenied => {
            format!(
                "listen on {address}: {error}: start as root, which is given up at once, or choose a port above 1023"
            )
        }
        _ => format!("listen on {address}: {error}"),
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    // A second listen(2) only changes the queue's length; the standard library's 128 is short for a burst.
    socket::listen(&listener, Backlog::MAXALLOWABLE).map_err(|error| failed(error.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Takes a socket that listens already.
///
/// # Errors
/// A sentence that says what to do.
pub fn adopt(listener: TcpListener, open: bool) -> Result<TcpListener, String> {
    let failed = |error: std::io::Error| format!("use the socket that was passed: {error}");
    refuse_strangers(listener.local_addr().map_err(failed)?, open)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Strangers are served only when the operator has said so.
fn refuse_strangers(address: SocketAddr, open: bool) -> Result<(), String> {
    if address.ip().is_loopback() || open {
        return Ok(());
    }
    Err(format!(
        "{address} can be reached from outside and no keys are configured: make one with `cloister keys new` \
         and pass --keys, listen on a loopback address such as 127.0.0.1:8080, or pass --no-auth to serve strangers \
         without authentication"
    ))
}

/// Raises the soft limit on open files to the hard one: a connection takes up to two descriptors.
pub fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "raise the limit on open files");
    }
}
