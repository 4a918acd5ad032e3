//! The service manager, if there is one: its socket may lie where only root goes, and in a network that is left.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// The variable that names its socket: `sd_notify(3)`.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// A connection to it, over which the engine tells what there is to tell.
pub(crate) fn connect() -> io::Result<Option<UnixDatagram>> {
    std::env::var_os(VARIABLE).map(|place| connect_to(&place)).transpose()
}

fn connect_to(place: &OsStr) -> io::Result<UnixDatagram> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(Path::new(place))?,
    };
    let manager = UnixDatagram::unbound()?;
    manager.connect_addr(&address)?;
    Ok(manager)
}
