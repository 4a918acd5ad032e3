//! Calls that name paths: which of their arguments do, and what they ask for there.

/// A path among a call's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathArgument {
    /// The call.
    pub number: i64,
    /// The argument that is the directory from which a relative path leads; none is the working directory.
    pub directory: Option<usize>,
    /// The argument that points to the path.
    pub path: usize,
    /// What is asked for there.
    pub asks: Asks,
}

/// What a call asks for at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Whether it is there, and what it is.
    Know,
    /// To run it.
    Run,
    /// To change it.
    Write,
    /// What this argument says, the flags of `open(2)`.
    Flags(usize),
}

const fn at(number: i64, directory: usize, path: usize, asks: Asks) -> PathArgument {
    PathArgument { number, directory: Some(directory), path, asks }
}

const fn plain(number: i64, path: usize, asks: Asks) -> PathArgument {
    PathArgument { number, directory: None, path, asks }
}

/// The calls, those of one number beside one another.
pub const PATHS: [PathArgument; 49] = [
    plain(libc::SYS_open, 0, Asks::Flags(1)),
    at(libc::SYS_openat, 0, 1, Asks::Flags(2)),
    plain(libc::SYS_creat, 0, Asks::Write),
    plain(libc::SYS_stat, 0, Asks::Know),
    plain(libc::SYS_lstat, 0, Asks::Know),
    at(libc::SYS_newfstatat, 0, 1, Asks::Know),
    at(libc::SYS_statx, 0, 1, Asks::Know),
    plain(libc::SYS_statfs, 0, Asks::Know),
    plain(libc::SYS_access, 0, Asks::Know),
    at(libc::SYS_faccessat, 0, 1, Asks::Know),
    at(libc::SYS_faccessat2, 0, 1, Asks::Know),
    plain(libc::SYS_readlink, 0, Asks::Know),
    at(libc::SYS_readlinkat, 0, 1, Asks::Know),
    plain(libc::SYS_chdir, 0, Asks::Know),
    plain(libc::SYS_getxattr, 0, Asks::Know),
    plain(libc::SYS_lgetxattr, 0, Asks::Know),
    plain(libc::SYS_listxattr, 0, Asks::Know),
    plain(libc::SYS_llistxattr, 0, Asks::Know),
    plain(libc::SYS_execve, 0, Asks::Run),
    at(libc::SYS_execveat, 0, 1, Asks::Run),
    plain(libc::SYS_truncate, 0, Asks::Write),
    plain(libc::SYS_mkdir, 0, Asks::Write),
    at(libc::SYS_mkdirat, 0, 1, Asks::Write),
    plain(libc::SYS_rmdir, 0, Asks::Write),
    plain(libc::SYS_unlink, 0, Asks::Write),
    at(libc::SYS_unlinkat, 0, 1, Asks::Write),
    plain(libc::SYS_rename, 0, Asks::Write),
    plain(libc::SYS_rename, 1, Asks::Write),
    at(libc::SYS_renameat, 0, 1, Asks::Write),
    at(libc::SYS_renameat, 2, 3, Asks::Write),
    at(libc::SYS_renameat2, 0, 1, Asks::Write),
    at(libc::SYS_renameat2, 2, 3, Asks::Write),
    plain(libc::SYS_link, 0, Asks::Know),
    plain(libc::SYS_link, 1, Asks::Write),
    at(libc::SYS_linkat, 0, 1, Asks::Know),
    at(libc::SYS_linkat, 2, 3, Asks::Write),
    plain(libc::SYS_symlink, 1, Asks::Write),
    at(libc::SYS_symlinkat, 1, 2, Asks::Write),
    plain(libc::SYS_chmod, 0, Asks::Write),
    at(libc::SYS_fchmodat, 0, 1, Asks::Write),
    plain(libc::SYS_chown, 0, Asks::Write),
    plain(libc::SYS_lchown, 0, Asks::Write),
    at(libc::SYS_fchownat, 0, 1, Asks::Write),
    plain(libc::SYS_utime, 0, Asks::Write),
    plain(libc::SYS_utimes, 0, Asks::Write),
    at(libc::SYS_futimesat, 0, 1, Asks::Write),
    at(libc::SYS_utimensat, 0, 1, Asks::Write),
    plain(libc::SYS_setxattr, 0, Asks::Write),
    plain(libc::SYS_removexattr, 0, Asks::Write),
];
