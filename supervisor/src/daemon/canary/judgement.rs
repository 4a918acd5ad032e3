//! What has to be tried in every profile, and what is to be said of it.

use std::collections::BTreeMap;

use cloister_protocol::Interpreter;
use serde::Deserialize;

/// What has to be tried in every profile, in the order in which it is told.
const ALWAYS: &[&str] = &[
    "user namespace: one unprivileged id",
    "user namespace: no second one (unshare)",
    "user namespace: setgroups denied",
    "PID namespace: alone, its parent outside",
    "namespaces: none is the host's",
    "UTS namespace: the host's name is not seen",
    "cgroup namespace: the group is the root",
    "mount namespace: nothing of the host",
    "mount namespace: mount refused",
    "root: read-only",
    "root: the runtime is read-only",
    "/proc: the job's processes only",
    "credentials: no capability",
    "credentials: no_new_privs",
    "credentials: not dumpable",
    "credentials: securebits locked",
    "credentials: root stays away",
    "rlimits: no core, no locked memory",
    "Landlock: what is not granted is refused",
    "seccomp: a filter beside the supervisor's",
    "seccomp: ptrace refused",
    "seccomp: io_uring refused",
    "seccomp: bpf refused",
    "seccomp: perf refused",
    "seccomp: userfaultfd refused",
    "seccomp: keyctl refused",
    "seccomp: clone3 is not there",
    "descriptors: 0 to 3",
    "environment: the profile's alone",
];

/// What has to be tried where there is no network.
const NO_NETWORK: &[&str] = &["network namespace: no family but Unix"];

/// What has to be tried where there is a loopback network.
const LOOPBACK: &[&str] = &[
    "network namespace: loopback works",
    "network namespace: no way out",
    "network namespace: no family but Unix, TCP and UDP",
];

/// What a canary's script returns.
#[derive(Deserialize)]
struct Report {
    /// What the interpreter is, if it says so.
    interpreter: Option<Interpreter>,
    /// Each attempt with what came of it.
    #[serde(flatten)]
    attempts: BTreeMap<String, String>,
}

/// An attempt, and what is wrong with it.
pub type Judged = (String, Option<String>);

/// Each attempt that has to be made, in order, with what is wrong with it, and what is told beside them.
pub fn judge(report: &str, loopback: bool) -> (Vec<Judged>, Option<Interpreter>) {
    let Report { interpreter, attempts: mut told } = match serde_json::from_str(report) {
        Ok(report) => report,
        Err(error) => return (vec![("interpreter: tells what it tried".to_owned(), Some(error.to_string()))], None),
    };
    let network = if loopback { LOOPBACK } else { NO_NETWORK };
    let mut judged: Vec<_> = ALWAYS
        .iter()
        .chain(network)
        .map(|&what| {
            let broken = match told.remove(what) {
                Some(said) if said == "held" => None,
                Some(said) => Some(said),
                None => Some("it was not tried".to_owned()),
            };
            (what.to_owned(), broken)
        })
        .collect();
    let unknown = |(what, said)| (what, Some(format!("nobody asked for this attempt: {said}")));
    judged.extend(told.into_iter().map(unknown));
    (judged, interpreter.and_then(Interpreter::bounded))
}

#[cfg(test)]
mod tests {
    use super::{ALWAYS, NO_NETWORK, judge};

    fn report(said: impl Fn(&str) -> Option<&'static str>) -> String {
        let told = ALWAYS.iter().chain(NO_NETWORK).filter_map(|what| Some(format!("{what:?}: {:?}", said(what)?)));
        format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
    }

    fn broken(report: &str, loopback: bool) -> usize {
        judge(report, loopback).0.iter().filter(|(_, broken)| broken.is_some()).count()
    }

    #[test]
    fn a_report_holds_only_if_it_tells_of_every_attempt_and_of_no_other() {
        let all = ALWAYS.len() + NO_NETWORK.len();
        assert_eq!(broken(&report(|_| Some("held")), false), 0);
        assert_eq!(broken(&report(|what| (what != ALWAYS[3]).then_some("held")), false), 1);
        assert_eq!(broken(&report(|what| Some(if what == ALWAYS[3] { "it was allowed" } else { "held" })), false), 1);
        assert_eq!(broken(&report(|_| Some("")), false), all);
        assert!(broken(&report(|_| Some("held")), true) > 0, "what a loopback network is tried with was not told");
        assert_eq!(broken("{}", false), all);
        for unreadable in ["", "null", "[]", "7", "{\"root: read-only\": 1}", "{\"root: read-only\"", "\"held\""] {
            assert!(broken(unreadable, false) > 0, "{unreadable}");
        }
    }

    #[test]
    fn what_the_interpreter_is_may_be_told_beside_the_attempts() {
        let with = |told: &str| report(|_| Some("held")).replacen('{', &format!("{{\"interpreter\": {told}, "), 1);
        let told = with(r#"{"version": "3.11.2", "packages": ["numpy 2.4.6", "a\n"], "more": 1}"#);
        let interpreter = judge(&told, false).1.expect("told");
        assert_eq!(
            (interpreter.version.as_str(), interpreter.packages.as_slice()),
            ("3.11.2", &["numpy 2.4.6".to_owned()][..])
        );
        assert_eq!((broken(&told, false), judge(&report(|_| Some("held")), false).1), (0, None));
        assert!(broken(&with(r#""3.11""#), false) > 0);
    }

    #[test]
    fn the_script_has_every_attempt() {
        for what in ALWAYS.iter().chain(NO_NETWORK).chain(super::LOOPBACK) {
            assert!(cloister_python::canary::ATTEMPTS.contains(&format!("\"{what}\"")), "{what}");
        }
    }
}
