//! Accounts and groups of the host that have ids of jobs, or could give them out.

use std::fs;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::supervisor;
use crate::read::Values;

/// No account may have an id that jobs run as: it could send signals to them, and they to it.
pub(super) fn check(values: &Values<supervisor::Supervisor>, problems: &mut Diagnostics) {
    let base = u64::from(values.of(supervisor::UID_BASE));
    let ids = base..base + u64::from(values.of(supervisor::UID_COUNT));
    let (span, label) = (values.place(supervisor::UID_BASE), format!("{} ids from here", ids.end - base));
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    for (file, what) in [("/etc/passwd", "account"), ("/etc/group", "group")] {
        for (name, id) in in_use(&read(file), &ids) {
            let message = format!("the {what} {name:?} has the id {id}, which is in the range that jobs run as");
            let problem = Diagnostic::error(span.clone(), message, label.clone());
            problems.push(problem.help("choose another uid_base"));
        }
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        for (name, first) in given_out(&read(file), &ids) {
            let message = format!("{file} gives ids from {first} on to {name:?}, which overlap with those of jobs");
            problems.push(Diagnostic::warning(span.clone(), message, label.clone()).help("choose another uid_base"));
        }
    }
}

/// Accounts or groups with one of these ids: passwd(5), group(5).
fn in_use(file: &str, ids: &Range<u64>) -> Vec<(String, u64)> {
    let read = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    file.lines().filter_map(read).filter(|(_, id)| ids.contains(id)).collect()
}

/// Who was given ids that overlap with these, and from where on: subuid(5).
fn given_out(file: &str, ids: &Range<u64>) -> Vec<(String, u64)> {
    let read = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let (first, count): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (first < ids.end && ids.start < first.saturating_add(count)).then_some((name, first))
    };
    file.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::{given_out, in_use};

    #[test]
    fn accounts_and_what_was_given_out_are_found_by_their_ids() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbroken\nx:y:z\n";
        assert_eq!(in_use(passwd, &(1000..1001)), [("ada".to_owned(), 1000)]);
        assert_eq!(in_use(passwd, &(1..1000)), []);
        let subuid = "ada:100000:65536\nbob:300000:10\nbroken:1\n";
        assert_eq!(given_out(subuid, &(165_535..200_000)), [("ada".to_owned(), 100_000)]);
        assert_eq!(given_out(subuid, &(165_536..300_000)), []);
        assert_eq!(given_out(subuid, &(0..u64::MAX)).len(), 2);
    }
}
