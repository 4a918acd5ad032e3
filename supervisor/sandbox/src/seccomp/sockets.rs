//! Sockets: their options, and what a job with a loopback network may do with others than Unix ones: TCP and UDP, and
//! the options that servers and clients set. Everything else of the internet families is kernel code that no script
//! needs, some of it loaded on demand.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};

use super::ways::{Ways, equal};

/// Options of any socket. Left out are above all the programs that a socket runs on what it receives
/// (`SO_ATTACH_FILTER` and its kin): compiled into the kernel, and into room that all of the host shares.
const SOCKET_OPTIONS: [libc::c_int; 15] = [
    libc::SO_REUSEADDR,
    libc::SO_REUSEPORT,
    libc::SO_BROADCAST,
    libc::SO_DONTROUTE,
    libc::SO_KEEPALIVE,
    libc::SO_OOBINLINE,
    libc::SO_LINGER,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_SNDTIMEO,
    libc::SO_RCVTIMEO,
    libc::SO_RCVLOWAT,
    libc::SO_PASSCRED,
    libc::SO_PEEK_OFF,
    libc::SO_TIMESTAMP,
];

/// `SOCK_TYPE_MASK`: the rest of the argument is flags.
const KIND: u64 = 0xf;

/// Options of TCP sockets that only concern the caller's own connection. `TCP_ULP`, `TCP_REPAIR` and
/// the like are not among them.
const TCP: [i32; 9] = [
    libc::TCP_NODELAY,
    libc::TCP_MAXSEG,
    libc::TCP_CORK,
    libc::TCP_KEEPIDLE,
    libc::TCP_KEEPINTVL,
    libc::TCP_KEEPCNT,
    libc::TCP_DEFER_ACCEPT,
    libc::TCP_QUICKACK,
    libc::TCP_USER_TIMEOUT,
];

/// `socket(2)`: Unix, or TCP and UDP over either version.
pub(super) fn loopback() -> Result<Ways, BackendError> {
    let mut ways = vec![vec![equal(0, libc::AF_UNIX as u64)?]];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (kind, protocol) in [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)] {
            for protocol in [0, protocol] {
                let of_kind =
                    SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(KIND), kind as u64)?;
                ways.push(vec![equal(0, family as u64)?, of_kind, equal(2, protocol as u64)?]);
            }
        }
    }
    Ok(ways)
}

/// `setsockopt(2)`: what any socket has, and a few of TCP and of IP version 6.
pub(super) fn loopback_options() -> Result<Ways, BackendError> {
    let mut ways = options()?;
    ways.push(vec![equal(1, libc::IPPROTO_IPV6 as u64)?, equal(2, libc::IPV6_V6ONLY as u64)?]);
    ways.push(vec![equal(1, libc::IPPROTO_IP as u64)?, equal(2, libc::IP_TOS as u64)?]);
    for option in TCP {
        ways.push(vec![equal(1, libc::IPPROTO_TCP as u64)?, equal(2, option as u64)?]);
    }
    Ok(ways)
}

/// `setsockopt(2)`: what any socket has.
pub(super) fn options() -> Result<Ways, BackendError> {
    let way = |&option| Ok(vec![equal(1, libc::SOL_SOCKET as u64)?, equal(2, option as u64)?]);
    SOCKET_OPTIONS.iter().map(way).collect()
}
