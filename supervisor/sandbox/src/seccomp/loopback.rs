//! What a job with a loopback network may do with sockets beyond Unix ones: TCP and UDP, and the
//! options that servers and clients set. Everything else of the internet families is kernel code
//! that no script needs, some of it loaded on demand.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};

use super::{Ways, equal, socket_options};

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
pub(super) fn sockets() -> Result<Ways, BackendError> {
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
pub(super) fn options() -> Result<Ways, BackendError> {
    let mut ways = socket_options()?;
    ways.push(vec![equal(1, libc::IPPROTO_IPV6 as u64)?, equal(2, libc::IPV6_V6ONLY as u64)?]);
    ways.push(vec![equal(1, libc::IPPROTO_IP as u64)?, equal(2, libc::IP_TOS as u64)?]);
    for option in TCP {
        ways.push(vec![equal(1, libc::IPPROTO_TCP as u64)?, equal(2, option as u64)?]);
    }
    Ok(ways)
}
