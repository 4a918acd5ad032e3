//! Looks at this host for what a policy names.

use std::fs;
use std::path::Path;

use cloister_terms::Bytes;

use super::shown::{Shown, is_own};
use super::{accounts, mounts};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::{profile, runtime, supervisor};
use crate::read::Tables;

/// Reports everything.
pub(crate) fn check(tables: &Tables, problems: &mut Diagnostics) {
    for values in tables.runtimes.values() {
        // What a base shows is looked at once.
        if values.of(runtime::BASE).is_none() {
            mounts::lead(&Shown::by_runtime(values), problems);
        }
        let interpreter = Path::new(values.of(runtime::INTERPRETER).unwrap_or_default());
        mounts::is_mounted(values, runtime::INTERPRETER, interpreter, problems);
        let directory = Path::new(values.of(runtime::WORKING_DIRECTORY));
        if !is_own(directory) {
            mounts::is_mounted(values, runtime::WORKING_DIRECTORY, directory, problems);
        }
    }
    for values in tables.profiles.values() {
        mounts::lead(&Shown::by_profile(values), problems);
        if let Some(runtime) = tables.runtimes.get(values.of(profile::RUNTIME)) {
            mounts::nested(runtime, values, problems);
            mounts::ruled(runtime, values, problems);
        }
    }
    memory(tables, problems);
    cpus(tables, problems);
    accounts::check(&tables.supervisor, problems);
}

/// Slots whose memory could not all be had at once.
fn memory(tables: &Tables, problems: &mut Diagnostics) {
    let Some(total) = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)) else { return };
    let slots = u64::from(tables.supervisor.of(supervisor::SLOTS));
    let largest = tables.profiles.iter().max_by_key(|(_, values)| values.of(profile::MEMORY));
    let Some((name, values)) = largest else { return };
    let each = values.of(profile::MEMORY);
    let all = Bytes(each.0.saturating_mul(slots));
    if all > total {
        let message = format!(
            "{slots} slots of {} each (profile {name:?}) are {}, more than the {} that this host has",
            each,
            all,
            Bytes(total.0 >> 20 << 20)
        );
        let span = tables.supervisor.span(supervisor::SLOTS).unwrap_or_else(|| values.place(profile::MEMORY));
        let help = "fine where jobs seldom use their whole memory; otherwise lower one of them";
        problems.push(Diagnostic::warning(span, message, "together too much").help(help));
    }
}

/// `MemTotal` of proc_meminfo(5), in bytes.
fn total_memory(meminfo: &str) -> Option<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024).map(Bytes)
}

fn cpus(tables: &Tables, problems: &mut Diagnostics) {
    let Ok(here) = std::thread::available_parallelism() else { return };
    for (name, values) in &tables.profiles {
        let wanted = values.of(profile::CPUS).cpus();
        if values.span(profile::CPUS).is_some() && values.of(profile::CPUS).0.div_ceil(1000) as usize > here.get() {
            let message = format!("profile {name:?} may use {wanted:?} CPUs, this host has {here}");
            problems.push(Diagnostic::warning(values.place(profile::CPUS), message, "more than there are"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, total_memory};

    #[test]
    fn the_memory_of_a_host_is_read_in_bytes() {
        assert_eq!(total_memory("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(Bytes(2 << 20)));
        assert_eq!(total_memory("nonsense"), None);
    }
}
