//! Denials: what the policy refused a job that failed, in words that lead to the rule.
//!
//! The kernel's counts speak for themselves. Of what a job tells, only that is repeated which the policy
//! says too: a call that the profile's own filter refuses, a path that its sandboxes cannot write to. A
//! forged claim can thus be a true statement about the policy, or it is dropped. See `docs/denials.md`.

use std::path::{Component, Path, PathBuf};

use cloister_protocol::{Claim, Denial, ErrorCode, Failure, Layer};
use cloister_sandbox::cgroup::Usage;
use cloister_sandbox::seccomp::{self, Filter};
use cloister_sandbox::spec::Spec;
use cloister_sandbox::{bpf, root};
use cloister_terms::{NEVER, Network, Profile, Syscall};

/// How many denials an answer carries.
const MOST: usize = 16;

/// The longest part of a job's own text that is repeated, in characters.
const LONGEST: usize = 256;

/// By how much the kernel's count of memory may lag behind what a file system holds.
const SLACK: u64 = 1 << 20;

/// What a profile refuses.
#[derive(Debug)]
pub struct Rules {
    profile: Profile,
    read_only: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    filter: Filter,
}

impl Rules {
    /// The rules of a profile.
    ///
    /// # Errors
    /// When its filter cannot be compiled.
    pub fn new(profile: &Profile, spec: &Spec) -> cloister_sandbox::Result<Self> {
        let read_only = root::read_only_paths(spec).into_iter().map(Path::to_owned).collect();
        let writable = spec.writable().map(|(path, _)| path.to_owned()).collect();
        Ok(Self { profile: profile.clone(), read_only, writable, filter: seccomp::compile(spec)? })
    }

    /// The number of instructions in the filter.
    #[must_use]
    pub fn filter_size(&self) -> usize {
        self.filter.len()
    }

    /// Adds to a job's failure what was refused, each once.
    pub fn explain(&self, failure: &mut Failure, used: &Usage) {
        let claims = std::mem::take(&mut failure.claims);
        let counted = [self.processes(used), self.memory(failure.code, used), self.signal(failure)];
        let claimed = claims.iter().map(|claim| self.claimed(claim, used));
        for denial in counted.into_iter().chain(claimed).flatten() {
            if failure.denials.len() < MOST && !failure.denials.contains(&denial) {
                failure.denials.push(denial);
            }
        }
        if failure.code == ErrorCode::MemoryLimit && failure.denials.is_empty() && failure.details.hint.is_none() {
            let hint = format!("profile '{}' has memory = \"{}\"", self.profile.name, self.profile.memory);
            failure.details.hint = Some(hint);
        }
    }

    fn processes(&self, used: &Usage) -> Option<Denial> {
        let most = self.profile.processes;
        (used.forks_refused > 0).then(|| {
            let what = format!("more than {most} processes and threads at once");
            self.denial(Layer::Cgroup, what, &format!("has processes = {most}"))
        })
    }

    fn memory(&self, code: ErrorCode, used: &Usage) -> Option<Denial> {
        let most = self.profile.memory;
        let reached = used.own_ooms > 0 || !used.made_way() && used.memory_peak.0.saturating_add(SLACK) >= most.0;
        (code == ErrorCode::MemoryLimit && reached).then(|| {
            let what = format!("more than {most} of memory");
            self.denial(Layer::Cgroup, what, &format!("has memory = \"{most}\""))
        })
    }

    /// Signals that the kernel sends for a refusal. Only the supervisor gives the code that has one.
    fn signal(&self, failure: &Failure) -> Option<Denial> {
        match failure.details.signal.as_deref() {
            Some("SIGSYS") => {
                let what = "a system call that is answered with death".to_owned();
                Some(self.denial(Layer::Seccomp, what, "ends who makes calls of another architecture than x86-64"))
            }
            Some("SIGXFSZ") => Some(self.file_size()),
            _ => None,
        }
    }

    fn claimed(&self, claim: &Claim, used: &Usage) -> Option<Denial> {
        match claim.errno.as_str() {
            "EPERM" | "EACCES" | "ENOSYS" => self.call(claim).or_else(|| self.path(claim)),
            "EROFS" => self.path(claim),
            "ENOENT" => self.kernel_file(claim),
            "ENOTSUP" => self.call(claim),
            "ENOSPC" => self.full(claim, used),
            "EMFILE" => {
                let most = self.profile.rlimits.open_files;
                let what = format!("more than {most} open files in a process");
                Some(self.denial(Layer::Rlimit, what, &format!("has rlimits.open_files = {most}")))
            }
            "EFBIG" => Some(self.file_size()),
            _ => None,
        }
    }

    /// A call that the filter in force refuses; what the kernel said is what it says here again.
    fn call(&self, claim: &Claim) -> Option<Denial> {
        let call = Syscall::by_name(claim.call.as_deref()?)?;
        let argument = |at: usize| claim.arguments.get(at).copied().flatten();
        let what = match (call.name(), argument(0), argument(1)) {
            (name @ ("socket" | "socketpair"), Some(family), _) => format!("{name}({})", family_name(family)),
            (name @ "ioctl", _, Some(request)) => format!("{name}({request:#x})"),
            (name, ..) => name.to_owned(),
        };
        let arguments = std::array::from_fn(argument);
        if !bpf::refuses(&self.filter, call.number(), arguments) {
            return None;
        }
        Some(self.denial(Layer::Seccomp, what, &self.call_rule(call, argument(0))))
    }

    fn call_rule(&self, call: Syscall, family: Option<u64>) -> String {
        let internet = [libc::AF_INET, libc::AF_INET6].map(|family| u64::try_from(family).ok());
        match call.name() {
            "socket" | "socketpair" if self.profile.network == Network::None && internet.contains(&family) => {
                "has network = \"none\"".to_owned()
            }
            name if seccomp::is_unsupported(call.number()) => {
                format!("answers {name} as a file system without attributes, as does every other")
            }
            name if NEVER.contains(&name) => format!("cannot allow {name}, nor can any other"),
            name if self.profile.syscalls.contains(&call) => format!("allows {name} with harmless arguments only"),
            name => format!("does not have {name} in seccomp.allow"),
        }
    }

    /// A path that no job of the profile can write to, or not see.
    fn path(&self, claim: &Claim) -> Option<Denial> {
        let path = plain(Path::new(claim.path.as_deref()?));
        if self.writable.iter().any(|writable| path.starts_with(writable)) {
            return None;
        }
        let access = if claim.errno == "EROFS" { "write to" } else { "access to" };
        let what = format!("{access} {}", clip(&path.to_string_lossy()));
        let rule = match self.read_only.iter().find(|shown| path.starts_with(shown)) {
            Some(shown) => format!("shows {} read-only; {} can be written", shown.display(), self.writable()),
            None => {
                format!("lets its jobs read the runtime and filesystem.read_only, and write below {}", self.writable())
            }
        };
        Some(self.denial(Layer::Filesystem, what, &rule))
    }

    /// Where jobs can write, in words.
    fn writable(&self) -> String {
        let paths: Vec<_> = self.writable.iter().map(|path| path.to_string_lossy()).collect();
        paths.join(" and ")
    }

    /// A file of `/proc` or `/sys` that tells of the host: none is shown, and what tells a job of itself.
    fn kernel_file(&self, claim: &Claim) -> Option<Denial> {
        let path = plain(Path::new(claim.path.as_deref()?));
        let text = path.to_str()?;
        let name = text.strip_prefix("/proc/").map(|inside| inside.split('/').next().unwrap_or_default());
        let of_a_process = |name: &str| name.ends_with("self") || name.bytes().all(|byte| byte.is_ascii_digit());
        if name.map_or(!path.starts_with("/sys"), of_a_process)
            || self.read_only.iter().any(|shown| path.starts_with(shown))
        {
            return None;
        }
        let instead = match name.or_else(|| text.rsplit('/').next()).unwrap_or_default() {
            "meminfo" | "vmstat" | "swaps" | "memory.max" | "memory.limit_in_bytes" => {
                format!("; a job has the profile's memory, {}", self.profile.memory)
            }
            "cpuinfo" | "stat" | "loadavg" | "cpu.max" | "online" | "possible" | "present" => {
                let cpus = f64::from(self.profile.cpus.0) / 1000.0;
                format!("; a job has the profile's cpus, {cpus}, and os.cpu_count() and os.times() are there")
            }
            "uptime" => "; time.monotonic() is there".to_owned(),
            "mounts" | "filesystems" | "partitions" | "diskstats" => "; shutil.disk_usage() is there".to_owned(),
            "version" => "; platform.uname() is there".to_owned(),
            _ => String::new(),
        };
        let rule = format!("shows of /proc a job's own processes alone, and nothing of /sys{instead}");
        Some(self.denial(Layer::Filesystem, format!("access to {}", clip(text)), &rule))
    }

    fn full(&self, claim: &Claim, used: &Usage) -> Option<Denial> {
        let files = &self.profile.filesystem;
        // Whatever fills a tmpfs is charged to the job, so the kernel's own count can refute this.
        let could_fill = |bytes: u64| used.memory_peak.0.saturating_add(SLACK) >= bytes;
        let (what, rule) = match claim.full.as_deref() {
            Some("tmp_bytes") if could_fill(files.tmp.0) => {
                ("more bytes in /tmp", format!("has filesystem.tmp = \"{}\"", files.tmp))
            }
            Some("shm_bytes") if could_fill(files.shm.0) => {
                ("more bytes in /dev/shm", format!("has filesystem.shm = \"{}\"", files.shm))
            }
            Some("tmp_inodes") => ("more files in /tmp", format!("has filesystem.tmp_inodes = {}", files.tmp_inodes)),
            Some("shm_inodes") => {
                ("more files in /dev/shm", format!("has filesystem.shm_inodes = {}", files.shm_inodes))
            }
            _ => return None,
        };
        Some(self.denial(Layer::Tmpfs, what.to_owned(), &rule))
    }

    fn file_size(&self) -> Denial {
        let most = self.profile.rlimits.file_size;
        let what = format!("a file larger than {most}");
        self.denial(Layer::Rlimit, what, &format!("has rlimits.file_size = \"{most}\""))
    }

    fn denial(&self, layer: Layer, what: String, rule: &str) -> Denial {
        Denial { layer, what, hint: format!("profile '{}' {rule}", self.profile.name) }
    }
}

/// A path without `.` and `..`, by its text alone.
#[must_use]
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A socket family by its name in `socket(2)`, or its number.
fn family_name(family: u64) -> String {
    const NAMES: [(libc::c_int, &str); 10] = [
        (libc::AF_UNIX, "AF_UNIX"),
        (libc::AF_INET, "AF_INET"),
        (libc::AF_INET6, "AF_INET6"),
        (libc::AF_NETLINK, "AF_NETLINK"),
        (libc::AF_PACKET, "AF_PACKET"),
        (libc::AF_ALG, "AF_ALG"),
        (libc::AF_VSOCK, "AF_VSOCK"),
        (libc::AF_BLUETOOTH, "AF_BLUETOOTH"),
        (libc::AF_CAN, "AF_CAN"),
        (libc::AF_TIPC, "AF_TIPC"),
    ];
    let known = NAMES.iter().find(|(number, _)| u64::try_from(*number) == Ok(family));
    known.map_or_else(|| family.to_string(), |(_, name)| (*name).to_owned())
}
