//! Giving up every power that this process does not need, which is all of them once it listens.
//!
//! Done while there is one thread and nobody has been spoken to. Nothing here is optional: a layer
//! that cannot be put in force stops the start. What remains: descriptors that are open already,
//! connecting to the supervisor's socket, and reading the directories of files that are read again.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

use crate::error::Error;
use crate::keys::parent;

/// The account that is used when none is named.
const DEFAULT_USER: &str = "cloister-gateway";

/// The newest Landlock ABI that is asked for; an older kernel enforces what it knows.
const NEWEST_ABI: ABI = ABI::V10;

/// From this ABI on, connecting to a Unix socket by its path needs a right.
/// It is given for the socket's directory, which must therefore outlive the supervisor's restarts
/// (systemd: `RuntimeDirectoryPreserve=yes`): a rule belongs to an inode, not to a name.
const ABI_WITH_UNIX_SOCKETS: ABI = ABI::V9;

/// Where the service manager and its journal listen. Absent where there is neither.
const MANAGER_SOCKETS: [&str; 2] = ["/run/systemd/notify", "/run/systemd/journal/socket"];

/// Becomes `user` if this process is root, then gives up capabilities, new privileges, the file
/// system and the network, but for the directory of the supervisor's `socket`, those of the `files` that are read again, and
/// those in which files are `written`.
///
/// # Errors
/// The layer that could not be put in force, and what to do.
pub fn give_up(user: Option<&str>, socket: &Path, files: &[&Path], written: &[PathBuf]) -> Result<(), Error> {
    // Needs CAP_SETPCAP, which the change of id takes away. One who never had it could not.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(failed("read the capabilities"))? {
        clear(CapSet::Bounding)?;
    }
    if geteuid().is_root() {
        let (uid, gid) = identity(user)?;
        setgroups(&[]).map_err(failed("drop the supplementary groups"))?;
        setresgid(gid, gid, gid).map_err(failed("change the group"))?;
        setresuid(uid, uid, uid).map_err(failed("change the user"))?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        clear(set)?;
    }
    prctl::set_no_new_privs().map_err(failed("set no_new_privs"))?;
    // No core file, no ptrace by processes of the same id, and /proc/PID is root's.
    prctl::set_dumpable(false).map_err(failed("become undumpable"))?;
    restrict(socket, files, written)
}

/// The ids to become: a number stands for itself, whether it has an account or not.
fn identity(user: Option<&str>) -> Result<(Uid, Gid), Error> {
    if let Some(Ok(number)) = user.map(str::parse::<u32>) {
        if number == 0 {
            return Err(Error::UserIsRoot);
        }
        return Ok((Uid::from_raw(number), Gid::from_raw(number)));
    }
    let name = user.unwrap_or(DEFAULT_USER);
    match User::from_name(name) {
        Ok(Some(account)) if account.uid.is_root() || account.gid.as_raw() == 0 => {
            Err(Error::AccountIsRoot(name.to_owned()))
        }
        Ok(Some(account)) => Ok((account.uid, account.gid)),
        _ => Err(Error::NoAccount(name.to_owned())),
    }
}

fn clear(set: CapSet) -> Result<(), Error> {
    caps::clear(None, set).map_err(|error| Error::Capabilities(set, error))
}

/// Landlock on this process: no other file is opened any more, no port bound, no connection made, no
/// signal sent out. Connections are accepted from the socket that is open already.
fn restrict(socket: &Path, files: &[&Path], written: &[PathBuf]) -> Result<(), Error> {
    let directory = match socket.parent() {
        Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
        Some(directory) => directory,
        None => return Err(Error::NoSocketPath(socket.to_owned())),
    };
    let supervisors = PathFd::new(directory).ok();
    let is_missing = supervisors.is_none();
    let manager = MANAGER_SOCKETS.into_iter().filter_map(|socket| PathFd::new(socket).ok());
    let directories = files.iter().flat_map(|file| directories(file)).collect::<Result<Vec<_>, _>>()?;
    let open = |path: &PathBuf| PathFd::new(path).map_err(|error| Error::Written(path.clone(), error));
    let written = written.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let status = enforce(supervisors.into_iter().chain(manager), directories, written)
        .map_err(failed("restrict with Landlock"))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(Error::NoLandlock);
    }
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI_WITH_UNIX_SOCKETS && is_missing => {
            Err(Error::NoSocketDirectory(directory.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The directory that a file is in, and the one that it is really in if it is a symbolic link. A rule
/// for the file alone would go with its inode when the file is replaced.
fn directories(file: &Path) -> Vec<Result<PathFd, Error>> {
    let open =
        |directory: &Path| PathFd::new(directory).map_err(|error| Error::Directory { file: file.to_owned(), error });
    let apparent = parent(file);
    let real = file.canonicalize().ok().map(|file| parent(&file)).filter(|real| *real != apparent);
    std::iter::once(apparent).chain(real).map(|directory| open(&directory)).collect()
}

/// Denies all that Landlock knows, but for connecting to sockets at or beneath `sockets`, reading files beneath `directories`,
/// and reading, writing, making and renaming files beneath `written`.
fn enforce(
    sockets: impl IntoIterator<Item = PathFd>,
    directories: Vec<PathFd>,
    written: Vec<PathFd>,
) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(AccessNet::from_all(NEWEST_ABI))?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?;
    for socket in sockets {
        ruleset = ruleset.add_rule(PathBeneath::new(socket, AccessFs::ResolveUnix))?;
    }
    for directory in directories {
        ruleset = ruleset.add_rule(PathBeneath::new(directory, AccessFs::ReadFile))?;
    }
    let write = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    for directory in written {
        ruleset = ruleset.add_rule(PathBeneath::new(directory, write))?;
    }
    ruleset.restrict_self()
}

fn failed<E: StdError + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::GiveUp(what, Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use landlock::{ABI, LandlockStatus, PathFd, RulesetStatus};

    use super::{enforce, identity};

    /// Landlock binds the thread that asks for it, so a thread of its own is enough of a process.
    #[test]
    fn the_supervisors_socket_and_files_to_read_again_are_all_that_can_be_reached() {
        let directory = std::env::temp_dir().join(format!("cloister-landlock-{}", std::process::id()));
        fs::create_dir(&directory).expect("make a directory");
        let [socket, shelf, desk] = ["socket", "shelf", "desk"].map(|name| directory.join(name));
        fs::create_dir(&shelf).expect("make a directory");
        fs::create_dir(&desk).expect("make a directory");
        fs::write(shelf.join("file"), "").expect("write a file");
        let _listening = UnixListener::bind(&socket).expect("listen");
        let port = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("its address");
        let tried = std::thread::spawn({
            let directory = directory.clone();
            move || {
                let directories = super::directories(&shelf.join("file")).into_iter().collect::<Result<_, _>>().expect("open");
                let written = PathFd::new(&desk).expect("open");
                let status = enforce(PathFd::new(&directory).ok(), directories, vec![written]).expect("restrict");
                UnixStream::connect(&socket).expect("the socket can be reached");
                fs::read(shelf.join("file")).expect("the file can be read again");
                fs::write(desk.join("new"), "").expect("files can be written in their directory");
                fs::rename(desk.join("new"), desk.join("file")).expect("and renamed");
                let denied = |result: std::io::Result<()>, what| {
                    assert_eq!(result.expect_err(what).kind(), ErrorKind::PermissionDenied, "{what}");
                };
                denied(fs::read("/etc/hostname").map(drop), "read a file");
                denied(fs::read_dir(&directory).map(drop), "list a directory");
                denied(fs::write(directory.join("file"), ""), "write a file");
                denied(fs::write(shelf.join("file"), ""), "write a file that may be read");
                denied(fs::rename(desk.join("file"), shelf.join("other")), "carry a file elsewhere");
                denied(fs::create_dir(desk.join("directory")), "make a directory");
                denied(fs::read_dir(&shelf).map(drop), "list a directory of files that may be read");
                denied(fs::remove_file(&socket), "remove a file");
                denied(UnixListener::bind(directory.join("another")).map(drop), "make a socket");
                if matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4) {
                    denied(TcpStream::connect(port).map(drop), "connect");
                    denied(TcpListener::bind("127.0.0.1:0").map(drop), "listen");
                }
                status.ruleset
            }
        })
        .join();
        fs::remove_dir_all(&directory).expect("remove the directory");
        assert_ne!(tried.expect("nothing more can be reached"), RulesetStatus::NotEnforced);
    }

    #[test]
    fn root_is_never_an_identity() {
        for root in ["0", "root"] {
            let refusal = identity(Some(root)).expect_err("root should be refused");
            assert!(refusal.to_string().contains("root"), "{refusal}");
        }
    }

    #[test]
    fn a_number_needs_no_account_but_a_name_does() {
        let (uid, gid) = identity(Some("64510")).expect("a plain number");
        assert_eq!((uid.as_raw(), gid.as_raw()), (64510, 64510));
        let refusal = identity(Some("no-such-account")).expect_err("no such account").to_string();
        assert!(refusal.contains("no-such-account") && refusal.contains("--user"), "{refusal}");
    }
}
