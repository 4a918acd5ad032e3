//! What no sandbox may allow, tried by this program as `python/canary.py` tries it in Python: under the same names, for
//! the supervisor asks for each of them, and takes one that is not told of for one that did not hold.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::sys::{hard_limit, is_open, syscall};

const HOST: [&str; 13] = [
    "/etc",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/hostname",
    "/home",
    "/root",
    "/sys",
    "/var",
    "/run",
    "/boot",
    "/media",
    "/mnt",
    "/srv",
];

const HELD: &str = "held";

/// Each attempt by its name with what it came to. `given`: see `main` in `canary.py`.
pub fn attempts(given: &Value) -> Value {
    let status = status();
    let said = |key: &str| status.get(key).map(String::as_str).unwrap_or_default();
    let buffer = [0_u8; 256];
    let address = buffer.as_ptr() as usize;
    let (none, place) = (c"none".as_ptr() as usize, c"/tmp/nowhere".as_ptr() as usize);
    let capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(said);
    let filters: u64 = said("Seccomp_filters").parse().unwrap_or_default();
    let id_map: Vec<_> = words("/proc/self/uid_map");
    json!({
        "user namespace: one unprivileged id": equal((id_map.first().map(String::as_str), id_map.get(2).map(String::as_str), said("Uid")), (Some("1000"), Some("1"), "1000\t1000\t1000\t1000")),
        "user namespace: no second one (unshare)": filtered(libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0, 0]),
        "user namespace: setgroups denied": equal(words("/proc/self/setgroups"), vec!["deny".to_owned()]),
        "PID namespace: alone, its parent outside": equal((processes(), said("PPid")), (vec![std::process::id().to_string()], "0")),
        "namespaces: none is the host's": equal(shared(&given["namespaces"]), vec![]),
        "UTS namespace: the host's name is not seen": equal(host_name().as_str(), given["hostname"].as_str().unwrap_or_default()),
        "cgroup namespace: the group is the root": equal(words("/proc/self/cgroup").iter().all(|line| line.ends_with(":/")), true),
        "mount namespace: nothing of the host": equal(HOST.iter().filter(|path| Path::new(path).exists() && !is_shown(given, path)).collect::<Vec<_>>(), vec![]),
        "mount namespace: mount refused": filtered(libc::SYS_mount, [none, place, none, 0, 0, 0]),
        "root: read-only": fails(create("/x"), libc::EROFS),
        "root: the runtime is read-only": fails(create("/usr/bin/x"), libc::EROFS),
        "/proc: the job's processes only": equal(["/proc/sys", "/proc/kcore", "/proc/meminfo"].iter().any(|path| Path::new(path).exists()), false),
        "credentials: no capability": equal(capabilities, ["0000000000000000"; 5]),
        "credentials: no_new_privs": equal(said("NoNewPrivs"), "1"),
        "credentials: not dumpable": equal(prctl(libc::PR_GET_DUMPABLE), Ok(0)),
        "credentials: securebits locked": equal(prctl(libc::PR_GET_SECUREBITS).map(|bits| bits & 0xEF), Ok(0xEF)),
        "credentials: root stays away": filtered(libc::SYS_setuid, [0; 6]),
        "rlimits: no core, no locked memory": equal([libc::RLIMIT_CORE, libc::RLIMIT_MEMLOCK].map(hard_limit), [0, 0]),
        "Landlock: what is not granted is refused": fails(fs::read_dir("/").map(drop), libc::EACCES),
        "seccomp: a filter beside the supervisor's": equal((said("Seccomp"), Some(filters) > given["filters"].as_u64()), ("2", true)),
        "seccomp: ptrace refused": filtered(libc::SYS_ptrace, [1, 0x7FFF_FFFF, 0, 0, 0, 0]),
        "seccomp: io_uring refused": refused(libc::SYS_io_uring_setup, [8, address, 0, 0, 0, 0], libc::ENOSYS),
        "seccomp: bpf refused": filtered(libc::SYS_bpf, [1, address, 1 << 20, 0, 0, 0]),
        "seccomp: perf refused": filtered(libc::SYS_perf_event_open, [address, 0, usize::MAX, usize::MAX, 1 << 20, 0]),
        "seccomp: userfaultfd refused": filtered(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        "seccomp: keyctl refused": filtered(libc::SYS_keyctl, [9999, 0, 0, 0, 0, 0]),
        "seccomp: clone3 is not there": refused(libc::SYS_clone3, [0; 6], libc::ENOSYS),
        "descriptors: 0 to 3": equal((0..64).filter(|fd| is_open(*fd)).collect::<Vec<_>>(), vec![0, 1, 2, 3]),
        "environment: the profile's alone": equal(json!(std::env::vars().collect::<BTreeMap<_, _>>()), given["environment"].clone()),
        "network namespace: no family but Unix": no_family(&[[2, 1, 0], [10, 1, 0], [16, 3, 0]]),
    })
}

/// Whether it is there for what the profile shows, or lies in that, or for the directory that was made for the job.
fn is_shown(given: &Value, path: &str) -> bool {
    let shown = given["shown"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Path::new);
    shown.into_iter().any(|mount| mount.starts_with(path) || Path::new(path).starts_with(mount)) || is_made(given, path)
}

/// Whether it is that directory, or what that lies in: of the sandbox's own file systems, none of the host's.
fn is_made(given: &Value, path: &str) -> bool {
    let Some(directory) = given["directory"].as_str().filter(|own| Path::new(own).starts_with(path)) else {
        return false;
    };
    let device = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.dev());
    device(path) == device(if path == directory { "/tmp" } else { "/" })
}

fn equal<T: PartialEq + Debug>(found: T, expected: T) -> String {
    if found == expected { HELD.to_owned() } else { format!("found {found:?}, expected {expected:?}") }
}

fn fails(outcome: io::Result<()>, errno: i32) -> String {
    equal(outcome.map_err(|error| error.raw_os_error()), Err(Some(errno)))
}

fn refused(number: i64, arguments: [usize; 6], errno: i32) -> String {
    equal(syscall(number, arguments), Err(errno))
}

/// A call that the filter refuses, with arguments for which the kernel itself would do it or say something else.
fn filtered(number: i64, arguments: [usize; 6]) -> String {
    refused(number, arguments, libc::EPERM)
}

fn no_family(kinds: &[[usize; 3]]) -> String {
    let tried =
        kinds.iter().map(|&[family, kind, protocol]| filtered(libc::SYS_socket, [family, kind, protocol, 0, 0, 0]));
    tried.filter(|outcome| outcome != HELD).last().unwrap_or_else(|| HELD.to_owned())
}

fn create(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path).map(|_: File| ())
}

fn prctl(option: i32) -> Result<i64, i32> {
    syscall(libc::SYS_prctl, [option as usize, 0, 0, 0, 0, 0])
}

fn words(path: &str) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn status() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

fn processes() -> Vec<String> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.parse::<u32>().is_ok()).collect()
}

/// Those of the supervisor's namespaces that this process is in.
fn shared(namespaces: &Value) -> Vec<String> {
    let own = |kind: &str| fs::metadata(format!("/proc/self/ns/{kind}")).map(|own| own.ino()).ok();
    let all = namespaces.as_object().into_iter().flatten();
    all.filter(|(kind, inode)| own(kind) == inode.as_u64()).map(|(kind, _)| kind.clone()).collect()
}

fn host_name() -> String {
    let mut name = [0_u8; 6 * 65];
    let _ = syscall(libc::SYS_uname, [name.as_mut_ptr() as usize, 0, 0, 0, 0, 0]);
    name[65..130].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}
