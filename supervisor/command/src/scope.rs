//! A control group of a tool's own, where the one that it was started in is a terminal's.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use cloister_sandbox::Error;
use cloister_sandbox::cgroup::Layout;

/// Tells a process that it was started anew already.
const STARTED: &str = "CLOISTER_SCOPE";

/// By which programs see that systemd runs the host: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

/// Starts this program anew in a scope of its own, if it shares its control group with others and systemd can give it one:
/// systemd-run(1). Returns if there is no need, or no way, which whoever makes groups will tell of.
///
/// # Errors
/// The refusal to start `systemd-run`.
pub fn have_own_group() -> io::Result<()> {
    // Who is not root is told so, and of nothing else.
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let shared = matches!(Layout::detect(), Err(Error::SharedGroup(_)));
    if !shared || !Path::new(BOOTED).exists() || std::env::var_os(STARTED).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let scope = ["--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"];
    Err(Command::new("systemd-run").args(scope).arg(program).args(std::env::args_os().skip(1)).env(STARTED, "1").exec())
}
