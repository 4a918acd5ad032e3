//! `doctor`: what the policy needs, what this host has, and whether each layer holds when tried.

use std::fmt::Write;
use std::process::ExitCode;

use cloister_sandbox::cgroup::Layout;
use cloister_sandbox::landlock;

use crate::args::Common;
use crate::canary;
use crate::serve::{require_root, runtime};
use crate::service::{Service, load_policy, stand_beside};

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
/// What kept it from looking, for a person.
pub fn doctor(arguments: &Common) -> Result<ExitCode, String> {
    require_root()?;
    let mut policy = load_policy(&arguments.policy)?;
    let mut rows = host(policy.supervisor.landlock_min_abi);
    rows.extend(policy.missing_on_host().into_iter().map(|missing| row("runtime", "its paths", missing, false)));
    if rows.iter().all(|row| row.holds) {
        // Beside the ids that a running supervisor uses.
        stand_beside(&mut policy, 2, 0);
        let group = format!("cloister-doctor-{}", std::process::id());
        rows.extend(runtime()?.block_on(async {
            match Service::start(&policy, &group, &[]).await {
                Ok(mut service) => {
                    let attempts = canary::all(&service.hosts()).await;
                    service.drain().await;
                    attempts
                        .into_iter()
                        .map(|attempt| {
                            let found = attempt.broken.clone().unwrap_or_else(|| "tried, held".to_owned());
                            row(&attempt.what, &format!("profile {}", attempt.profile), found, attempt.broken.is_none())
                        })
                        .collect()
                }
                Err(error) => vec![row("sandbox", "can be built", error.to_string(), false)],
            }
        }));
    }
    print!("{}", table(&rows));
    Ok(ExitCode::from(u8::from(rows.iter().any(|row| !row.holds))))
}

/// What can be seen without building a sandbox.
fn host(landlock_min_abi: u32) -> Vec<Row> {
    let kernel =
        nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let abi = landlock::abi();
    let groups = match Layout::detect() {
        Ok(layout) => row("cgroup", "memory, pids, cpu", layout.version().to_string(), true),
        Err(error) => row("cgroup", "memory, pids, cpu", error.to_string(), false),
    };
    let users = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let users = users.trim().parse::<u64>().unwrap_or(0);
    vec![
        row("kernel", "x86-64, 5.14 or newer", format!("{} {kernel}", std::env::consts::ARCH), is_new_enough(&kernel)),
        row("Landlock", &format!("ABI {landlock_min_abi}"), landlock_found(abi), abi >= landlock_min_abi),
        groups,
        row("user namespaces", "at least 2 levels", format!("{users} allowed"), users > 1),
    ]
}

fn landlock_found(abi: u32) -> String {
    match abi {
        0 => "none: boot with lsm=landlock,... or use a kernel built with it".to_owned(),
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
