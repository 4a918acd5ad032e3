//! `doctor`: what the policy needs, what this host has, and whether each layer holds when tried.

use std::fmt::Write;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;

use cloister_policy::missing_on_host;
use cloister_sandbox::cgroup::Layout;
use cloister_sandbox::landlock;

use crate::args::Doctor;
use crate::beside::stand_beside;
use crate::cause::{self, ANOTHER_HOST, Surroundings, is_filtered};
use crate::error::Error;
use crate::layer;
use crate::policy::for_host;
use cloister_engine::daemon::{canary, start};
use cloister_engine::link::event_loop::runtime;
use cloister_supervisor::confine::{self, require_root};
use cloister_supervisor::devices;
use cloister_supervisor::host::Host;
use cloister_supervisor::id_map::IdMap;
use cloister_supervisor::needs::has_loopback;

/// One line of the table.
struct Row {
    layer: String,
    needed: String,
    found: String,
    holds: bool,
}

/// Prints the table. Exit codes: 0 everything holds, 1 something does not.
///
/// # Errors
/// What kept it from looking.
pub fn doctor(arguments: &Doctor) -> Result<ExitCode, Error> {
    require_root()?;
    let mut policy = for_host(&arguments.common.policy)?;
    let surroundings = Surroundings::look();
    let first = policy.supervisor.uid_base.0;
    let mut rows = host(policy.supervisor.landlock_min_abi, first..=first + (policy.supervisor.uid_count - 1));
    rows.extend(missing_on_host(&policy).into_iter().map(|missing| row("runtime", "its paths", missing, false)));
    if rows.iter().all(|row| row.holds) {
        // Beside the ids that a running supervisor uses.
        let claim = stand_beside(&mut policy, 2)?;
        let group = format!("cloister-doctor-{}", std::process::id());
        let devices = devices::make(&policy, &group)?;
        rows.push(device_nodes(devices.is_some()));
        let left_out = arguments.without();
        let guard = layer::without(left_out);
        // As the daemon would: what only full root may do must not pass for what holds.
        if !layer::leaves_out_confinement(left_out) {
            confine::confine(has_loopback(&policy))?;
        }
        rows.extend(runtime()?.block_on(async {
            let started = async { start::start(&policy, Host::own(&claim, &group, devices)?, guard).await };
            match started.await {
                Ok(mut engine) => {
                    let attempts = canary::all(&engine.pools()).await;
                    engine.drain().await;
                    attempts
                        .into_iter()
                        .map(|attempt| {
                            let broken = attempt.broken.as_deref().map(|why| surroundings.explain(why));
                            let found = broken.unwrap_or_else(|| "tried, held".to_owned());
                            row(&attempt.what, &format!("profile {}", attempt.profile), found, attempt.broken.is_none())
                        })
                        .collect()
                }
                Err(error) => vec![row("sandbox", "can be built", surroundings.explain(&error.to_string()), false)],
            }
        }));
    }
    print!("{}", table(&rows));
    Ok(ExitCode::from(u8::from(rows.iter().any(|row| !row.holds))))
}

/// What can be seen without building a sandbox.
fn host(landlock_min_abi: u32, ids: RangeInclusive<u32>) -> Vec<Row> {
    let kernel =
        nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let abi = landlock::abi();
    let groups = match Layout::detect() {
        Ok(layout) => match cause::writable(&layout) {
            Ok(()) => row("cgroup", "memory, pids, cpu", layout.version().to_string(), true),
            Err(read_only) => row("cgroup", "memory, pids, cpu", read_only, false),
        },
        Err(error) => row("cgroup", "memory, pids, cpu", format!("{error}, or {ANOTHER_HOST}"), false),
    };
    let lacking = cause::capabilities().err();
    vec![
        row("kernel", "x86-64, 5.14 or newer", kernel_found(&kernel), is_new_enough(&kernel)),
        row("Landlock", &format!("ABI {landlock_min_abi}"), landlock_found(abi), abi >= landlock_min_abi),
        groups,
        user_namespaces(),
        host_ids(ids),
        row("capabilities", "six of root's", lacking.clone().unwrap_or_else(|| "there".to_owned()), lacking.is_none()),
    ]
}

/// No layer: a host where they cannot be made is one where jobs can meet by locks on them.
fn device_nodes(own: bool) -> Row {
    let shared = "the host's, which all jobs share, and so locks on them: start it with CAP_MKNOD";
    let found = if own { "made" } else { shared };
    row("device nodes", "a slot's own, or the host's", found.to_owned(), true)
}

fn kernel_found(release: &str) -> String {
    let found = format!("{} {release}", std::env::consts::ARCH);
    if is_new_enough(release) { found } else { format!("{found}: {ANOTHER_HOST} with a newer kernel") }
}

/// The settings that forbid user namespaces, each with the command that allows them: `namespaces(7)`, and the sysctls of
/// Debian's and Ubuntu's own.
fn user_namespaces() -> Row {
    let setting = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse::<u64>().ok();
    let allowed = setting("user/max_user_namespaces").unwrap_or(0);
    let refused = if allowed < 2 {
        Some(format!("{allowed} allowed: sysctl user.max_user_namespaces=15000, or a kernel that has them"))
    } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
        Some("only with CAP_SYS_ADMIN: sysctl kernel.unprivileged_userns_clone=1".to_owned())
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) && !has_profile() {
        let mend = "apparmor_parser -r /etc/apparmor.d/cloister-supervisor, as the package does; programs elsewhere than it puts \
                    them are started with aa-exec -p cloister-supervisor";
        Some(format!("powerless without a profile of AppArmor's that has them: {mend}"))
    } else {
        None
    };
    let holds = refused.is_none();
    row("user namespaces", "at least 2 levels", refused.unwrap_or_else(|| format!("{allowed} allowed")), holds)
}

/// Whether the profile that the package brings is on this process.
fn has_profile() -> bool {
    cause::label().starts_with("cloister-supervisor ")
}

/// Whether jobs' ids exist here at all: in a user namespace, such as that of an unprivileged container, few do.
fn host_ids(ids: RangeInclusive<u32>) -> Row {
    let needed = format!("{} to {}", ids.start(), ids.end());
    if IdMap::own().has(&ids) {
        return row("host ids", &needed, "there".to_owned(), true);
    }
    let found = format!(
        "this is inside of a user namespace without them, as in an unprivileged container: hostUsers: true, \
         uid_base and uid_count of the policy within its ids, or {ANOTHER_HOST}"
    );
    row("host ids", &needed, found, false)
}

fn landlock_found(abi: u32) -> String {
    match abi {
        0 if is_filtered() => {
            format!("hidden by a filter on this process, as containers have: run it privileged, or {ANOTHER_HOST}")
        }
        0 => format!("none: boot with lsm=landlock,... on the kernel's command line, or {ANOTHER_HOST}"),
        abi => format!("ABI {abi}"),
    }
}

/// `cgroup.kill` and `mount_setattr` are the newest things that nothing else replaces.
fn is_new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14) && cfg!(target_arch = "x86_64")
}

fn row(layer: &str, needed: &str, found: String, holds: bool) -> Row {
    Row { layer: layer.to_owned(), needed: needed.to_owned(), found, holds }
}

fn table(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (layer, needed) = (width(|row| &row.layer), width(|row| &row.needed));
    let mut text = format!("      {:layer$}  {:needed$}  found\n", "layer", "needed");
    for row in rows {
        let mark = if row.holds { "ok" } else { "FAIL" };
        let _ = writeln!(text, "{mark:<4}  {:layer$}  {:needed$}  {}", row.layer, row.needed, row.found);
    }
    text
}
