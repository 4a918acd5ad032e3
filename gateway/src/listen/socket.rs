//! The listening socket, taken while this process may still have the privilege to.
//!
//! Without keys, whoever can connect can run scripts: an address that strangers can reach is then
//! refused unless the operator says so in words.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{Backlog, listen};

use crate::error::Error;

/// Takes the address; `open` says whether strangers may reach it.
///
/// # Errors
/// A sentence that says what to do.
pub fn bind(address: SocketAddr, open: bool) -> Result<TcpListener, Error> {
    refuse_strangers(address, open)?;
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AddrInUse => Error::PortTaken(address),
        ErrorKind::PermissionDenied => Error::PortForbidden(address, error),
        _ => Error::Bind(address, error),
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    // A second listen(2) only changes the queue's length; the standard library's 128 is short for a burst.
    listen(&listener, Backlog::MAXALLOWABLE).map_err(|error| failed(error.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Takes a socket that listens already.
///
/// # Errors
/// A sentence that says what to do.
pub fn adopt(listener: TcpListener, open: bool) -> Result<TcpListener, Error> {
    refuse_strangers(listener.local_addr().map_err(Error::UsePassed)?, open)?;
    listener.set_nonblocking(true).map_err(Error::UsePassed)?;
    Ok(listener)
}

/// Strangers are served only when the operator has said so.
fn refuse_strangers(address: SocketAddr, open: bool) -> Result<(), Error> {
    if address.ip().is_loopback() || open {
        return Ok(());
    }
    Err(Error::OpenToStrangers(address))
}

/// Raises the soft limit on open files to the hard one: a connection takes up to two descriptors.
pub fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "raise the limit on open files");
    }
}
