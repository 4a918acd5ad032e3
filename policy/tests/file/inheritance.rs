//! What profiles inherit, and how lists add and take away.

use std::time::Duration;

use cloister_policy::{Bytes, Checked, Network, Policy};

const BASE: &str = r#"
version = 1
[runtime.python]
interpreter = "/usr/bin/python3"
mounts = ["/var/lib/cloister/python/usr:/usr"]
[profile.default]
memory = "256MiB"
wall_time = "20s"
warm = { imports = ["numpy"], parked = 2 }
filesystem = { tmp = "8MiB", read_only = ["/srv/a", "/srv/b:/b"] }
seccomp = { rules = [{ call = "getcpu", action = "kill" }] }
landlock = { rules = [{ path = "/usr", access = ["read", "execute"] }, { path = "/tmp", access = ["read"] }] }
"#;

fn policy(more: &str) -> Policy {
    let text = format!("{BASE}{more}");
    Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}")).policy
}

#[test]
fn what_a_profile_leaves_out_is_its_parents_and_what_that_leaves_out_is_the_default() {
    let policy = policy(
        "[profile.big]\nextends = \"middle\"\nmemory = \"1GiB\"\n[profile.middle]\nextends = \"default\"\nnetwork = \"loopback\"\n",
    );
    let big = &policy.profiles["big"];
    assert_eq!((big.memory, big.wall_time), (Bytes(1 << 30), Duration::from_secs(20)));
    assert_eq!((big.network, big.filesystem.tmp), (Network::Loopback, Bytes(8 << 20)));
    assert_eq!((big.processes, policy.profiles["default"].network), (64, Network::None));
}

#[test]
fn a_profile_without_a_parent_starts_from_the_defaults_not_from_the_profile_of_that_name() {
    let policy = policy("[profile.other]\n");
    assert_eq!(policy.profiles["other"].memory, Bytes(512 << 20));
    assert!(policy.profiles["other"].warm.is_none());
}

#[test]
fn lists_of_permissions_add_and_take_away() {
    let policy = policy(
        "[profile.b]\nextends = \"default\"\nfilesystem.read_only = [\"-/b\", \"/srv/c\"]\n\
         seccomp.allow = [\"-fork\", \"-@sockets\", \"socketpair\", \"mq_open\"]\n\
         seccomp.rules = [{ call = \"times\", action = \"log\" }]\n\
         landlock.rules = [{ path = \"/tmp\", access = [] }]\n\
         [profile.c]\nextends = \"b\"\nseccomp.rules = [\"-getcpu\"]\nlandlock.rules = [\"-/usr\", \"-/tmp\"]\n",
    );
    let (one, two) = (&policy.profiles["default"], &policy.profiles["b"]);
    let inside = |profile: &cloister_policy::Profile| {
        profile.filesystem.read_only.iter().map(|mount| mount.inside.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (inside(one), inside(two)),
        (vec!["/srv/a".into(), "/b".into()], vec!["/srv/a".into(), "/srv/c".into()])
    );
    let allows = |call: &str| [one, two].map(|profile| profile.syscalls.iter().any(|allowed| allowed.name() == call));
    assert_eq!(
        ["fork", "socket", "socketpair", "mq_open", "read"].map(allows),
        [[true, false], [true, false], [true, true], [false, true], [true, true]]
    );
    assert_eq!((one.call_rules.len(), two.call_rules.len()), (1, 2));
    assert_eq!(two.path_rules.len(), 2);
    let three = &policy.profiles["c"];
    assert_eq!(
        (
            cloister_policy::seccomp::Syscall::by_number(three.call_rules[0].number).map(|call| call.name()),
            three.call_rules.len(),
            three.path_rules.len()
        ),
        (Some("times"), 1, 0)
    );
    assert!(two.path_rules.iter().any(|rule| rule.path.ends_with("tmp") && rule.access.is_empty()));
}

#[test]
fn a_whole_list_can_be_replaced_by_taking_its_group_away() {
    let policy = policy("[profile.b]\nextends = \"default\"\nseccomp.allow = [\"-@python\", \"@basic\"]\n");
    let names: Vec<_> = policy.profiles["b"].syscalls.iter().map(|call| call.name()).collect();
    assert!(names.contains(&"read") && !names.contains(&"execve"));
}

#[test]
fn other_lists_and_values_replace() {
    let policy = policy("[profile.b]\nextends = \"default\"\nwarm = { imports = [\"pandas\"] }\nmay_lower = []\n");
    let warm = policy.profiles["b"].warm.as_ref().expect("on");
    assert_eq!((warm.imports.as_slice(), warm.parked), (["pandas".to_owned()].as_slice(), 2));
    assert!(policy.profiles["default"].may_lower_timeout && !policy.profiles["b"].may_lower_timeout);
}

#[test]
fn what_is_kept_warm_can_be_switched_off_and_on_again() {
    let policy = policy(
        "[profile.cold]\nextends = \"default\"\nwarm = false\n[profile.again]\nextends = \"cold\"\nwarm = true\n",
    );
    assert!(policy.profiles["cold"].warm.is_none());
    assert_eq!(policy.profiles["again"].warm.as_ref().map(|warm| warm.parked), Some(2));
}
