//! Reads what becomes of a single system call.

use cloister_terms::{Action, CallRule, Condition};

use super::calls::{never, unknown_call};
use super::condition::{self, is_evaded_by_upper_bits};
use super::errno::{self, Errno};
use super::section::Entry;
use crate::seccomp::{NEVER, Syscall};
use crate::suggest::{did_you_mean, quoted};

/// The words for what a rule does.
pub(crate) const ACTIONS: [&str; 4] = ["allow", "log", "errno", "kill"];

const KEYS: [&str; 4] = ["call", "when", "action", "errno"];

/// Reads a rule: `{ call = "name", when = ["int0 == 2"], action = "errno", errno = "ENOSYS" }`.
pub(super) fn call_rule(entry: Entry<'_>) -> Option<CallRule> {
    let section = entry.as_section("seccomp.rules".to_owned());
    section.finish(&KEYS, |_| None);
    for key in ["call", "action"] {
        if section.get(key).is_none() {
            section.missing(key, "call = \"name\" and action = \"allow\", \"log\", \"errno\" or \"kill\"");
        }
    }
    let when = section.get("when").map_or(Some(Vec::new()), conditions);
    let errno = section.get("errno").map(|entry| (entry, error(entry)));
    let action = section.get("action").and_then(|entry| {
        let word = entry.text()?;
        Some(match (word, errno) {
            ("errno", None) => Action::Errno(Errno::EPERM.number()),
            ("errno", Some((_, errno))) => Action::Errno(errno?.number()),
            (_, Some((entry, _))) => return entry.refuse("there is an errno but another action", "leave it out"),
            ("allow", None) => Action::Allow,
            ("log", None) => Action::Log,
            ("kill", None) => Action::Kill,
            _ => return unknown_action(entry, word),
        })
    });
    let call = section.get("call").and_then(|entry| {
        let name = entry.text()?;
        match Syscall::by_name(name) {
            Some(_) if NEVER.contains(&name) && action.is_some_and(Action::permits) => never(entry, name),
            Some(call) => Some(call),
            None if name.starts_with('@') => entry.refuse("a rule is for a single call, not for a group", "a group"),
            None => unknown_call(entry, name),
        }
    });
    let rule = CallRule { number: call?.number(), when: when?, action: action? };
    if !rule.action.permits() && rule.when.iter().any(is_evaded_by_upper_bits) {
        entry.warn(
            "this refusal compares all 64 bits of an argument",
            "evaded by setting upper bits where the call takes an int",
            "write int0 instead of arg0 (and so on) for arguments that are an int in the call's manual page",
        );
    }
    Some(rule)
}

fn conditions(entry: Entry<'_>) -> Option<Vec<Condition>> {
    let (mut all, mut complete) = (Vec::new(), true);
    for (text, entry) in entry.texts()? {
        match condition::parse(text) {
            Ok(condition) => all.push(condition),
            Err(why) => {
                complete = false;
                let help = "conditions look like \"int1 == 0x5401\" or \"arg2 & 0x10 == 0\"";
                let _: Option<()> =
                    entry.refuse_with(format!("{text:?} is no condition: {why}"), "not understood", help);
            }
        }
    }
    complete.then_some(all)
}

fn error(entry: Entry<'_>) -> Option<Errno> {
    let name = entry.text()?;
    Errno::by_name(name).or_else(|| {
        let known = errno::NAMES.map(|(name, _)| name);
        let help = did_you_mean(name, known, quoted, || format!("errors are: {}", known.join(", ")));
        entry.refuse_with(format!("{name:?} is no error that a call may get"), "unknown", help)
    })
}

fn unknown_action<T>(entry: Entry<'_>, word: &str) -> Option<T> {
    let help = did_you_mean(word, ACTIONS, quoted, || format!("actions are: {}", ACTIONS.join(", ")));
    entry.refuse_with(format!("{word:?} is no action"), "unknown", help)
}
