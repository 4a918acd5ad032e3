//! The listening sockets that the service manager holds across restarts, `sd_listen_fds(3)`.

use std::env;
use std::net::TcpListener;

use listenfd::ListenFd;

use crate::error::Error;

/// What a socket for the operator is called (systemd: `FileDescriptorName=`); any other is for clients.
const METRICS: &str = "metrics";

/// The sockets that were handed over at the start. They listen already; whether strangers can reach
/// them is checked like an address of our own.
#[derive(Debug, Default)]
pub struct Passed {
    /// For clients, if one was.
    pub clients: Option<TcpListener>,
    /// For metrics, if one was.
    pub metrics: Option<TcpListener>,
}

/// Takes the sockets that were handed over; of several of a kind, the first.
///
/// # Errors
/// When what was handed over is no listening TCP socket.
pub fn listeners() -> Result<Passed, Error> {
    let (mut sockets, mut passed) = (ListenFd::from_env(), Passed::default());
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<_> = names.split(':').collect();
    for index in 0..sockets.len() {
        let place = if names.get(index) == Some(&METRICS) { &mut passed.metrics } else { &mut passed.clients };
        if place.is_none() {
            *place = sockets.take_tcp_listener(index).map_err(Error::TakePassed)?;
        }
    }
    Ok(passed)
}
