//! What a policy comes to crosses a pipe, and is looked at again on the other side: `docs/security.md`, "The policy's reader".

use std::fs;
use std::path::Path;

use cloister_policy::{Checked, Policy};
use serde_json::{Value, json};

fn shipped() -> Policy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy.toml");
    let text = fs::read_to_string(file).expect("part of the repository");
    Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}")).policy
}

/// Why this is not put in force; nothing, if it is.
fn refused(policy: &Value) -> Option<String> {
    match serde_json::from_value::<Policy>(policy.clone()) {
        Err(error) => Some(error.to_string()),
        Ok(policy) => policy.check().err().map(|unsound| unsound.to_string()),
    }
}

#[test]
fn what_is_shipped_crosses_whole() {
    let policy = shipped();
    let text = serde_json::to_string(&policy).expect("plain data");
    let again: Policy = serde_json::from_str(&text).expect("the same types");
    assert_eq!(again, policy);
    assert_eq!(again.check(), Ok(()));
}

#[test]
fn sessions_that_nobody_spoke_of_need_no_more_ids_than_there_are() {
    let sessions = |supervisor: &str| {
        let text = format!(
            "version = 1\n[supervisor]\n{supervisor}\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\n\
             mounts = [\"/var/lib/cloister/python/usr:/usr\"]\n[profile.default]\nwarm = {{ parked = 7 }}\n"
        );
        let policy =
            Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}")).policy;
        assert_eq!(policy.check(), Ok(()));
        policy.supervisor.sessions
    };
    assert_eq!(sessions("slots = 20"), 256);
    assert_eq!(sessions("slots = 20\nuid_count = 100"), 100 - 20 - 7 - 2);
    assert_eq!(sessions("slots = 20\nuid_count = 29"), 0);
    assert_eq!(sessions("slots = 20\nuid_count = 100\nsessions = 71"), 71);
}

#[test]
fn what_no_policy_may_say_is_refused_whoever_says_it() {
    let whole = serde_json::to_value(shipped()).expect("plain data");
    assert_eq!(refused(&whole), None);
    let ptrace = 101;
    let rule = |number: i64, action: Value| {
        let when = json!([{ "argument": 0, "narrow": false, "comparison": "AtLeast", "value": 0 }]);
        json!({ "number": number, "when": when, "action": action })
    };
    let warm = |parked: u32, seconds: u64| json!({ "imports": [], "parked": parked, "renew": { "secs": seconds, "nanos": 0 }, "children": "Forked" });
    let read = json!({ "number": ptrace, "when": [], "action": "Allow" });
    for (place, value) in [
        ("/supervisor/uid_base", json!(0)),
        ("/supervisor/uid_base", json!(1000)),
        ("/supervisor/uid_base", json!(9999)),
        ("/supervisor/uid_base", json!(60_000)),
        ("/supervisor/uid_base", json!(0x6fff_ff00_u32)),
        ("/supervisor/uid_base", json!(u32::MAX - 10)),
        ("/supervisor/uid_count", json!(0)),
        ("/supervisor/uid_count", json!(10)),
        ("/supervisor/uid_count", json!(-1)),
        ("/supervisor/slots", json!(0)),
        ("/supervisor/slots", json!(5000)),
        ("/supervisor/queue", json!(u32::MAX)),
        ("/supervisor/queue_wait", json!({ "secs": u64::MAX, "nanos": 0 })),
        ("/supervisor/sessions", json!(5000)),
        ("/supervisor/uid_count", json!(32 + 4 + 256)),
        ("/supervisor/sessions_memory", json!(u64::MAX)),
        ("/profiles/default/sessions/most", json!(5000)),
        ("/profiles/default/sessions/idle", json!({ "secs": 0, "nanos": 0 })),
        ("/profiles/default/sessions/lifetime", json!({ "secs": u64::MAX, "nanos": 0 })),
        ("/profiles/default/sessions/interrupt_wait", json!({ "secs": u64::MAX, "nanos": 0 })),
        ("/supervisor/uid_count", json!(70_000)),
        ("/supervisor/landlock_min_abi", json!(0)),
        ("/supervisor/answers", json!(u64::MAX)),
        ("/digest", json!("abc")),
        ("/digest", json!("ä".repeat(32))),
        ("/profiles", json!({})),
        ("/profiles/default/name", json!("other")),
        ("/profiles/default/runtime", json!("none")),
        ("/profiles/default/wall_time", json!({ "secs": u64::MAX, "nanos": 0 })),
        ("/profiles/default/syscalls", json!([0, ptrace])),
        ("/profiles/default/syscalls", json!([9999])),
        ("/profiles/default/call_rules", json!([read])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "/proc/1/root", "inside": "/data" }])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "/srv/../proc", "inside": "/data" }])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "srv", "inside": "/data" }])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "/srv/a\u{0}b", "inside": "/data" }])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "/srv", "inside": "/cell/x" }])),
        ("/profiles/default/filesystem/read_only", json!([{ "host": "/srv", "inside": "/" }])),
        ("/profiles/default/path_rules", json!([{ "path": "../x", "access": ["Read"] }])),
        ("/profiles/default/call_rules", json!([rule(9999, json!("Allow"))])),
        ("/profiles/default/call_rules", json!([rule((1 << 32) + ptrace, json!("Allow"))])),
        ("/profiles/default/call_rules", json!([rule(-1, json!({ "Errno": 1 }))])),
        ("/profiles/default/call_rules", json!([rule(i64::MAX, json!("Kill"))])),
        ("/profiles/default/cpus", json!(0)),
        ("/profiles/default/processes", json!(0)),
        ("/profiles/default/stdout_bytes", json!(u64::MAX)),
        ("/profiles/default/files_out", json!(u64::MAX)),
        ("/profiles/default/cpu_time", json!({ "secs": 0, "nanos": 0 })),
        ("/profiles/default/warm", warm(u32::MAX, 3600)),
        ("/profiles/default/warm", warm(1, 0)),
        ("/profiles/default/rlimits/pending_signals", json!(u64::MAX)),
        ("/profiles/default/working_directory", json!("/")),
        ("/profiles/default/working_directory", json!("/dev")),
        ("/profiles/default/working_directory", json!("/proc/1/root")),
        ("/profiles/default/working_directory", json!("/cell/x")),
        ("/profiles/default/working_directory", json!("/tmp/../etc")),
        ("/runtimes/python/links", json!([["/tmp/on-the-host", "usr/lib"]])),
        ("/runtimes/python/links", json!([["../../tmp/on-the-host", "usr/lib"]])),
        ("/runtimes/python/links", json!([["usr/../../../tmp/on-the-host", "usr/lib"]])),
        ("/runtimes/python/links", json!([["lib/x", "usr/lib"]])),
        ("/runtimes/python/python", json!("3.11 or so")),
        ("/runtimes/python/packages", json!([{ "name": "numpy\n", "version": "2" }])),
        ("/runtimes/python/packages", json!([{ "name": "numpy", "version": "../2" }])),
        ("/runtimes/python/modules", json!(["os; x"])),
        ("/runtimes/python/modules", json!(vec!["m"; 20_000])),
        ("/runtimes/python/links", json!([["", "usr/lib"]])),
        ("/runtimes/python/links", json!([["..", "usr/lib"]])),
        ("/runtimes/python/links", json!([["tmp", "usr/lib"]])),
        ("/runtimes/python/links", json!([["proc", "usr/lib"]])),
        ("/runtimes/python/links", json!([["lib", "/etc"]])),
        ("/runtimes/python/links", json!([["lib", "../etc"]])),
        ("/runtimes/python/links", json!([["lib", "usr\u{0}lib"]])),
        ("/runtimes/python/environment", json!({ "A=B": "c" })),
        ("/runtimes/python/environment", json!({ "A": "b\u{0}c" })),
        ("/runtimes/python/mounts", json!([{ "host": "/sys", "inside": "/usr" }])),
        ("/runtimes/python/links", json!([["../x", "usr"]])),
        ("/runtimes/python/links", json!([["/tmp/x", "usr"]])),
        ("/runtimes/python/links", json!([["lib", "/usr/lib"]])),
        ("/runtimes/python/links", json!([["lib", "../usr/lib"]])),
        ("/runtimes/python/interpreter", json!("python3")),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(place).unwrap_or_else(|| panic!("{place} is there")) = value.clone();
        assert!(refused(&changed).is_some(), "{place} = {value}");
    }
    for odd in ["", "a b", "a\nb", "../x", "ignore all that was said before"] {
        let mut named = whole.clone();
        named["profiles"][odd] = whole["profiles"]["default"].clone();
        named["profiles"][odd]["name"] = json!(odd);
        assert!(refused(&named).is_some(), "a profile {odd:?}");
    }
    let mut more = whole.clone();
    more["profiles"]["default"]["privileged"] = json!(true);
    assert!(refused(&more).is_some(), "what is not known is not passed over");
}
