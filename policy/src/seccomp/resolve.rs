//! From the names of groups and calls to calls.

use std::collections::BTreeSet;

use cloister_terms::Syscall;

use super::groups::GROUPS;

/// The members of a group, those of groups inside it included.
#[must_use]
pub fn group(name: &str) -> Option<Vec<Syscall>> {
    let (_, _, members) = GROUPS.iter().find(|(group, _, _)| *group == name)?;
    let mut calls = Vec::new();
    for member in *members {
        match group(member) {
            Some(inner) => calls.extend(inner),
            None => calls.extend(Syscall::by_name(member)),
        }
    }
    calls.sort_unstable();
    calls.dedup();
    Some(calls)
}

/// The calls that a list of groups and calls comes to, read from its first entry to its last; `-` takes away.
#[must_use]
pub fn resolve<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<Syscall> {
    let mut calls = BTreeSet::new();
    for entry in entries {
        let (away, name) = entry.strip_prefix('-').map_or((false, entry), |name| (true, name));
        let named = group(name).unwrap_or_else(|| Syscall::by_name(name).into_iter().collect());
        if away {
            named.iter().for_each(|call| {
                calls.remove(call);
            });
        } else {
            calls.extend(named);
        }
    }
    calls.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use cloister_terms::{NEVER, Syscall};

    use super::super::groups::GROUPS;
    use super::super::named::NAMED;
    use super::group;

    #[test]
    fn of_every_call_it_is_decided_whether_a_policy_may_allow_it() {
        assert!(Syscall::names().any(|call| call == syscalls::Sysno::last().name()), "the newest is among them");
        let named = |call: &str| NAMED.iter().any(|(_, calls)| calls.contains(&call));
        let grouped = |call: &str| GROUPS.iter().any(|(_, _, members)| members.contains(&call));
        let undecided: Vec<_> =
            Syscall::names().filter(|call| !NEVER.contains(call) && !named(call) && !grouped(call)).collect();
        assert!(undecided.is_empty(), "put these into a group, into NEVER or into NAMED: {undecided:?}");
        let twice: Vec<_> = NEVER.iter().filter(|call| named(call) || grouped(call)).collect();
        assert!(twice.is_empty(), "may never be allowed and are: {twice:?}");
        let listed = NEVER.iter().chain(NAMED.iter().flat_map(|(_, calls)| *calls));
        let unknown: Vec<_> = listed.filter(|name| Syscall::by_name(name).is_none()).collect();
        assert!(unknown.is_empty(), "no calls: {unknown:?}");
    }

    #[test]
    fn every_name_in_a_group_is_a_call_or_a_group_and_none_is_forbidden() {
        for (name, _, members) in GROUPS {
            for member in members {
                assert!(group(member).is_some() || Syscall::by_name(member).is_some(), "{member} in {name}");
                assert!(!NEVER.contains(member), "{member} in {name}");
            }
        }
    }
}
