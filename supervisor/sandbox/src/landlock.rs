//! The Landlock ruleset of a job: `landlock(7)`, the kernel's `userspace-api/landlock`.
//!
//! Everything that the kernel's ABI can restrict is handled, so that a right which is not granted
//! below is refused: from ABI 9 on, connecting to a Unix socket by its path among them. The mount namespace already shows nothing else; this layer holds without it.

use std::path::Path;

use cloister_terms::{Access as Granted, Network, PathRule};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{FileType, fstat};

use crate::error::{Error, Result};
use crate::spec::Spec;
use crate::sys;

/// The newest ABI this code has been written for; a newer kernel is asked for this one.
const NEWEST: u32 = 10;

/// The ABI that will be enforced on this kernel; 0 when it has no Landlock.
#[must_use]
pub fn abi() -> u32 {
    sys::landlock_abi().unwrap_or(0).min(NEWEST)
}

/// Confines this process: read and execute below `read_only`, write below `writable`, use of the
/// harmless devices, reading of `/proc`; no TCP where the profile has no network, no signal and no
/// abstract socket out of the sandbox. The profile's own rules stand in place of these at their paths.
///
/// # Errors
/// When the kernel offers less than the profile's least ABI, or enforces less than was asked.
pub fn restrict(spec: &Spec, read_only: &[&Path], writable: &[&Path]) -> Result<()> {
    let kernel = abi();
    if kernel < spec.landlock_min_abi {
        let reason = format!("the kernel offers ABI {kernel}, the policy requires {}", spec.landlock_min_abi);
        return Err(Error::layer("landlock", reason));
    }
    let abi = known(kernel);
    let enforce = || -> Result<RulesetStatus, Box<dyn std::error::Error>> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi))?;
        if kernel >= 4 && spec.network == Network::None {
            ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
        }
        if kernel >= 6 {
            ruleset = ruleset.scope(Scope::from_all(abi))?;
        }
        let mut created = ruleset.create()?;
        for (path, access) in rules(abi, read_only, writable, &spec.path_rules) {
            // A file has no entries, and the kernel refuses a rule that grants what cannot be done to it.
            let of_a_file = access & AccessFs::from_file(abi);
            if access.is_empty() || of_a_file.is_empty() && !path.is_dir() {
                continue;
            }
            let object = PathFd::new(path)?;
            let is_directory = FileType::from_raw_mode(fstat(&object)?.st_mode).is_dir();
            created = created.add_rule(PathBeneath::new(object, if is_directory { access } else { of_a_file }))?;
        }
        Ok(created.restrict_self()?.ruleset)
    };
    match enforce() {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Ok(status) => Err(Error::layer("landlock_restrict_self", format_args!("only {status:?}"))),
        Err(error) => Err(Error::library("landlock", &*error)),
    }
}

/// Each path with what may be done below it.
fn rules<'a>(
    abi: ABI,
    read_only: &[&'a Path],
    writable: &[&'a Path],
    own: &'a [PathRule],
) -> Vec<(&'a Path, BitFlags<AccessFs>)> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let write = write_access(abi);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules: Vec<_> = read_only.iter().map(|path| (*path, run)).collect();
    rules.extend(writable.iter().map(|path| (*path, write)));
    rules.extend(["/dev/null", "/dev/zero", "/dev/full"].map(|path| (Path::new(path), device)));
    rules.extend(["/dev/random", "/dev/urandom"].map(|path| (Path::new(path), AccessFs::ReadFile.into())));
    rules.push((Path::new("/proc"), read));
    rules.retain(|(path, _)| !own.iter().any(|rule| rule.path == *path));
    rules.extend(own.iter().map(|rule| (rule.path.as_path(), granted(rule, abi))));
    rules
}

/// What may be done on a job's own file system.
fn write_access(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | ioctl_dev(abi))
}

/// What a rule of the profile grants.
fn granted(rule: &PathRule, abi: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let bits = |access: &Granted| match access {
        Granted::Read => AccessFs::ReadFile.into(),
        Granted::List => AccessFs::ReadDir.into(),
        Granted::Execute => AccessFs::Execute.into(),
        Granted::Write => write_access(abi) & !read,
    };
    rule.access.iter().fold(BitFlags::EMPTY, |all, access| all | bits(access))
}

fn ioctl_dev(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & AccessFs::IoctlDev
}

fn known(kernel: u32) -> ABI {
    match kernel {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        9 => ABI::V9,
        _ => ABI::V10,
    }
}
