//! The loopback interface of a job's own network namespace: `netdevice(7)`.

use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::{Context, Result};

/// The interface's name.
const NAME: &[u8] = b"lo";

/// The calls, as the macros that make them do not say what for.
mod call {
    #![allow(missing_docs)]

    nix::ioctl_read_bad!(get_flags, libc::SIOCGIFFLAGS, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
}

/// Brings it up in the network namespace that this thread is in. Its addresses come with that.
///
/// Any socket will do to ask; a Unix one is the kind that the supervisor's own filter always lets pass.
///
/// # Errors
/// The call that failed.
pub fn bring_up() -> Result<()> {
    let asking = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).doing(|| "socket")?;
    // SAFETY: ifreq is plain integers and bytes, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // SAFETY: the structure outlives the call, and the name in it ends in a NUL byte.
    unsafe { call::get_flags(asking.as_raw_fd(), &raw mut request) }.doing(|| "ioctl SIOCGIFFLAGS lo")?;
    // SAFETY: the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).expect("the flag is the lowest bit");
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: as for the call before.
    unsafe { call::set_flags(asking.as_raw_fd(), &raw const request) }.map(drop).doing(|| "ioctl SIOCSIFFLAGS lo up")
}
