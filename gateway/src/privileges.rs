//! Giving up every power that this process does not need, which is all of them once it listens.
//!
//! Done while there is one thread and nobody has been spoken to. Nothing here is optional: a layer
//! that cannot be put in force stops the start.

use caps::CapSet;
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

/// The account that is used when none is named.
const DEFAULT_USER: &str = "cloister-gateway";

/// The newest Landlock ABI that is asked for; an older kernel enforces what it knows.
const NEWEST_ABI: ABI = ABI::V6;

/// Becomes `user` if this process is root, then gives up capabilities, new privileges, the file
/// system and the network, but for what is open already and Unix sockets.
///
/// # Errors
/// The layer that could not be put in force, and what to do.
pub fn give_up(user: Option<&str>) -> Result<(), String> {
    let failed = |what: &'static str| move |error: &dyn std::fmt::Display| format!("{what}: {error}");
    if geteuid().is_root() {
        let (uid, gid) = identity(user)?;
        clear(CapSet::Ambient)?;
        // Needs CAP_SETPCAP, which the change of id takes away.
        clear(CapSet::Bounding)?;
        setgroups(&[]).map_err(|error| failed("drop the supplementary groups")(&error))?;
        setresgid(gid, gid, gid).map_err(|error| failed("change the group")(&error))?;
        setresuid(uid, uid, uid).map_err(|error| failed("change the user")(&error))?;
    }
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        clear(set)?;
    }
    prctl::set_no_new_privs().map_err(|error| failed("set no_new_privs")(&error))?;
    prctl::set_dumpable(false).map_err(|error| failed("become undumpable")(&error))?;
    restrict()
}

/// The ids to become: a number stands for itself, whether it has an account or not.
fn identity(user: Option<&str>) -> Result<(Uid, Gid), String> {
    if let Some(Ok(number)) = user.map(str::parse::<u32>) {
        if number == 0 {
            return Err(
                "--user 0 is root: name an account without privileges, or an unused number such as 64510".to_owned()
            );
        }
        return Ok((Uid::from_raw(number), Gid::from_raw(number)));
    }
    let name = user.unwrap_or(DEFAULT_USER);
    match User::from_name(name) {
        Ok(Some(account)) if !account.uid.is_root() => Ok((account.uid, account.gid)),
        Ok(Some(_)) => Err(format!("the account {name} is root's: name another with --user")),
        _ => Err(format!(
            "started as root, but there is no account {name} to become: pass --user with an account or an unused number such as 64510"
        )),
    }
}

fn clear(set: CapSet) -> Result<(), String> {
    caps::clear(None, set).map_err(|error| format!("clear the {set:?} capabilities: {error}"))
}

/// Landlock on this process: no file is opened any more, no TCP port bound, no TCP connection made.
/// Connections already accepted and the supervisor's Unix socket, reached by its path, remain.
fn restrict() -> Result<(), String> {
    let enforced = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST_ABI))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST_ABI)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST_ABI)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| format!("restrict with Landlock: {error}"))?;
    if enforced.ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel has no Landlock, which the gateway needs on itself: boot with lsm=landlock,... or use a kernel built with it".to_owned());
    }
    Ok(())
}
