//! Listed calls that are answered and not made. A profile that takes one off its list refuses it like any other.

/// Whatever a job can write to is memory, so nothing has to reach a disk; made, these would have the host's disks
/// write out what they hold, for a file of the runtime that a job can only read.
const DONE: [i64; 3] = [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync_file_range];

/// As on a file system without them, which every program that copies attributes knows. The kernel counts the memory
/// of none: `simple_xattr_alloc` does, `posix_acl_alloc` does not, and the name lies where no filter can read it.
const NOT_SUPPORTED: [i64; 3] = [libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr];

/// Whether a listed call says `EOPNOTSUPP`, whatever its arguments.
#[must_use]
pub fn is_unsupported(number: i64) -> bool {
    NOT_SUPPORTED.contains(&number)
}

const SUCCESS: u32 = libc::SECCOMP_RET_ERRNO;
const UNSUPPORTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP.unsigned_abs();

/// Whether an answer is one of these, which no list can change.
pub(super) fn is_final(action: u32) -> bool {
    action == SUCCESS || action == UNSUPPORTED
}

/// What a filter returns for a call that is listed whatever its arguments.
pub(super) fn action(number: i64) -> u32 {
    match number {
        _ if DONE.contains(&number) => SUCCESS,
        _ if is_unsupported(number) => UNSUPPORTED,
        _ => libc::SECCOMP_RET_ALLOW,
    }
}
