//! Giving up every power that this process does not need, which is all of them once it listens.
//!
//! Done while there is one thread and nobody has been spoken to. Nothing here is optional: a layer
//! that cannot be put in force stops the start. What remains: descriptors that are open already,
//! and connecting to the supervisor's socket.

use std::fmt::Display;
use std::path::Path;

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

/// The account that is used when none is named.
const DEFAULT_USER: &str = "cloister-gateway";

/// The newest Landlock ABI that is asked for; an older kernel enforces what it knows.
const NEWEST_ABI: ABI = ABI::V10;

/// From this ABI on, connecting to a Unix socket by its path needs a right.
const ABI_WITH_UNIX_SOCKETS: ABI = ABI::V9;

/// Becomes `user` if this process is root, then gives up capabilities, new privileges, the file
/// system and the network, but for the directory of the supervisor's `socket`.
///
/// # Errors
/// The layer that could not be put in force, and what to do.
pub fn give_up(user: Option<&str>, socket: &Path) -> Result<(), String> {
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
    restrict(socket)
}

/// The ids to become: a number stands for itself, whether it has an account or not.
fn identity(user: Option<&str>) -> Result<(Uid, Gid), String> {
    if let Some(Ok(number)) = user.map(str::parse::<u32>) {
        if number == 0 {
            return Err("--user 0 is root: name an account without privileges, or an unused number such as 64510".to_owned());
        }
        return Ok((Uid::from_raw(number), Gid::from_raw(number)));
    }
    let name = user.unwrap_or(DEFAULT_USER);
    match User::from_name(name) {
        Ok(Some(account)) if account.uid.is_root() || account.gid.as_raw() == 0 => {
            Err(format!("the account {name} or its group is root: name another with --user"))
        }
        Ok(Some(account)) => Ok((account.uid, account.gid)),
        _ => Err(format!(
            "started as root, but there is no account {name} to become: pass --user with an account or an unused number such as 64510"
        )),
    }
}

fn clear(set: CapSet) -> Result<(), String> {
    caps::clear(None, set).map_err(|error| format!("clear the {set:?} capabilities: {error}"))
}

/// Landlock on this process: no file is opened any more, no port bound, no connection made, no
/// signal sent out. Connections are accepted from the socket that is open already.
fn restrict(socket: &Path) -> Result<(), String> {
    let directory = match socket.parent() {
        Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
        Some(directory) => directory,
        None => return Err(format!("--socket {}: expected the path of a socket", socket.display())),
    };
    let door = PathFd::new(directory).ok();
    let door_is_missing = door.is_none();
    let status = enforce(door).map_err(failed("restrict with Landlock"))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel has no Landlock, which the gateway needs on itself: boot with lsm=landlock,... or use a kernel built with it".to_owned());
    }
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI_WITH_UNIX_SOCKETS && door_is_missing => {
            Err(format!(
                "{} is missing, so connecting to a socket in it cannot be allowed: start the supervisor first, or create the directory",
                directory.display()
            ))
        }
        _ => Ok(()),
    }
}

/// Denies all that Landlock knows, but for connecting to sockets beneath `door`.
fn enforce(door: Option<PathFd>) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(AccessNet::from_all(NEWEST_ABI))?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?;
    if let Some(door) = door {
        ruleset = ruleset.add_rule(PathBeneath::new(door, AccessFs::ResolveUnix))?;
    }
    ruleset.restrict_self()
}

fn failed<E: Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn root_is_never_an_identity() {
        for root in ["0", "root"] {
            let refusal = identity(Some(root)).expect_err("root should be refused");
            assert!(refusal.contains("root"), "{refusal}");
        }
    }

    #[test]
    fn a_number_needs_no_account_but_a_name_does() {
        let (uid, gid) = identity(Some("64510")).expect("a plain number");
        assert_eq!((uid.as_raw(), gid.as_raw()), (64510, 64510));
        let refusal = identity(Some("no-such-account")).expect_err("no such account");
        assert!(refusal.contains("no-such-account") && refusal.contains("--user"), "{refusal}");
    }
}
