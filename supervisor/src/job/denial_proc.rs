//! What a sandbox's `/proc` lacks that every host has there, and what a script can ask instead.

use std::path::Path;

use cloister_policy::Profile;

/// What is said of a path below `/proc` that is in no sandbox, for a person: the part after the profile's name.
pub fn rule(path: &Path, profile: &Profile) -> Option<String> {
    let first = path.strip_prefix("/proc").ok()?.iter().next()?.to_str()?;
    // Those of processes are there, or not for another reason.
    if ["self", "thread-self"].contains(&first) || first.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (memory, cpus) = (profile.memory, profile.cpus.cpus());
    let instead = match first {
        "meminfo" | "vmstat" | "zoneinfo" | "buddyinfo" | "slabinfo" | "swaps" => {
            format!(
                "a job may use memory = \"{memory}\", and resource.getrusage() and /proc/self/status tell what it uses"
            )
        }
        "cpuinfo" | "stat" | "loadavg" | "interrupts" | "softirqs" | "schedstat" => {
            format!("a job may use cpus = {cpus:?}, and os.cpu_count() and platform.machine() tell what there is")
        }
        "uptime" => "time.monotonic() tells how long the host has been up".to_owned(),
        "version" | "cmdline" | "config.gz" | "modules" => "os.uname() and platform tell what system it is".to_owned(),
        "mounts" | "net" => format!("/proc/self/{first} is there"),
        "sys" => "socket.gethostname(), os.uname() and resource.getrlimit() tell what is a job's to know".to_owned(),
        _ => "/proc/self has what is a process's own".to_owned(),
    };
    Some(format!("shows of /proc the job's own processes only; {instead}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cloister_policy::Policy;

    use super::rule;

    #[test]
    fn what_is_not_there_is_told_with_what_to_ask_instead() {
        let text = "version = 1\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\nmounts = [\"/opt:/usr\"]\n[profile.default]\n";
        let policy = Policy::parse(text, Path::new("policy.toml")).expect("valid");
        let profile = &policy.profiles["default"];
        let told = |path| rule(Path::new(path), profile);
        assert!(told("/proc/meminfo").expect("told").contains("memory = \"512MiB\""));
        assert!(told("/proc/cpuinfo").expect("told").contains("cpus = 1.0"));
        assert!(told("/proc/mounts").expect("told").contains("/proc/self/mounts"));
        for path in ["/proc", "/proc/self/nothing", "/proc/12/status", "/procession", "/sys/kernel"] {
            assert_eq!(told(path), None, "{path}");
        }
    }
}
