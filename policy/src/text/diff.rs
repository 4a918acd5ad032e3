//! What a change of policy means for jobs: what they may do or use more of, what less.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::show;
use crate::keys::profile::EXTENDS;
use crate::keys::runtime::PACKAGES;
use crate::keys::{Key, Kind, More, Table};
use crate::load::Checked;
use crate::packages::changes as changed_packages;
use crate::read::{Placed, Value, Values};
use crate::seccomp;

/// What one change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// Jobs may do or use more.
    Looser,
    /// Jobs may do or use less.
    Stricter,
    /// Something else is different.
    Different,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it means.
    pub meaning: Meaning,
    /// Which table, such as `profile.default`.
    pub table: String,
    /// Which key, unless it is the table itself that came or went.
    pub key: Option<&'static str>,
    /// What changed, in words.
    pub what: String,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Looser => "looser",
            Self::Stricter => "stricter",
            Self::Different => "different",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.map(|key| format!(" {key}")).unwrap_or_default();
        write!(f, "{:<9}  {}{key}: {}", self.meaning.to_string(), self.table, self.what)
    }
}

/// What is different in `new`: what gets looser first, then what gets stricter.
#[must_use]
pub fn diff(old: &Checked, new: &Checked) -> Vec<Change> {
    let mut changes = Vec::new();
    table("supervisor", &old.tables.supervisor, &new.tables.supervisor, &mut changes);
    tables("runtime", &old.tables.runtimes, &new.tables.runtimes, &mut changes);
    tables("profile", &old.tables.profiles, &new.tables.profiles, &mut changes);
    packages(old, new, &mut changes);
    changes.sort_by_key(|change| change.meaning);
    changes
}

fn tables<T: Table>(
    kind: &str,
    old: &BTreeMap<String, Values<T>>,
    new: &BTreeMap<String, Values<T>>,
    changes: &mut Vec<Change>,
) {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        let path = format!("{kind}.{}", show::key(name));
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => table(&path, old, new, changes),
            // Requests may name it: what they could not get before they can get now.
            (None, _) => changes.push(whole(path, Meaning::Looser, "is new")),
            (_, None) => changes.push(whole(path, Meaning::Stricter, "is gone")),
        }
    }
}

/// What runtimes of both have, as far as the host was looked at: a package gives a job no power, and its absence takes none.
fn packages(old: &Checked, new: &Checked, changes: &mut Vec<Change>) {
    let known = |checked: &Checked, name: &str| Some(checked.looked()?.known.get(name)?.packages.clone());
    for name in new.tables.runtimes.keys() {
        let (Some(old), Some(new)) = (known(old, name), known(new, name)) else { continue };
        for (package, before, after) in changed_packages(&old, &new) {
            let what = match (before, after) {
                (Some(before), Some(after)) => format!("{package} {before} -> {after}"),
                (None, after) => format!("with {package} {}", after.unwrap_or_default()),
                (before, None) => format!("without {package} {}", before.unwrap_or_default()),
            };
            let table = format!("runtime.{}", show::key(name));
            changes.push(Change { meaning: Meaning::Different, table, key: Some(PACKAGES.name()), what });
        }
    }
}

fn whole(table: String, meaning: Meaning, what: &str) -> Change {
    Change { meaning, table, key: None, what: what.to_owned() }
}

fn table<T: Table>(path: &str, old: &Values<T>, new: &Values<T>, changes: &mut Vec<Change>) {
    for ((key, old), (_, new)) in old.iter().zip(new.iter()) {
        let push = |(meaning, what)| Change { meaning, table: path.to_owned(), key: Some(key.name), what };
        changes.extend(compare(key, old.map(|old| &old.value), new.map(|new| &new.value)).into_iter().map(push));
    }
}

fn compare(key: &Key, old: Option<&Value>, new: Option<&Value>) -> Vec<(Meaning, String)> {
    let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), show::value);
    if shown(old) == shown(new) {
        return Vec::new();
    }
    match (key.kind, old, new) {
        // A profile is compared by what it comes to, so that it does not matter where it has that from.
        (Kind::TableName, ..) if key.name == EXTENDS.name() => Vec::new(),
        (Kind::Calls, Some(Value::Words(old)), Some(Value::Words(new))) => {
            sets(&calls(old), &calls(new), Meaning::Looser)
        }
        (
            Kind::Whole { .. }
            | Kind::Count { .. }
            | Kind::Size { .. }
            | Kind::Time { .. }
            | Kind::Number { .. }
            | Kind::Choice(_),
            ..,
        ) => {
            let meaning = ordered(key, old, new);
            vec![(meaning, format!("{} -> {}", shown(old), shown(new)))]
        }
        (Kind::CallRules, Some(Value::CallRules(old)), Some(Value::CallRules(new))) => {
            let (old, new): (Vec<_>, Vec<_>) =
                (old.iter().map(|rule| &rule.value).collect(), new.iter().map(|rule| &rule.value).collect());
            let meaning = |permits: bool, added| if permits == added { Meaning::Looser } else { Meaning::Stricter };
            let gone = old.iter().filter(|rule| !new.contains(rule));
            let gone =
                gone.map(|rule| (meaning(rule.action.permits(), false), format!("without {}", show::call_rule(rule))));
            let added = new.iter().filter(|rule| !old.contains(rule));
            let added =
                added.map(|rule| (meaning(rule.action.permits(), true), format!("with {}", show::call_rule(rule))));
            let all: Vec<_> = gone.chain(added).collect();
            if all.is_empty() { vec![(Meaning::Different, "the rules have another order".to_owned())] } else { all }
        }
        (_, Some(old), Some(new)) => match (show::items(old), show::items(new)) {
            (Some(old), Some(new)) => {
                let meaning = if key.more == More::Looser { Meaning::Looser } else { Meaning::Different };
                let (old, new): (Vec<_>, Vec<_>) = (texts(old), texts(new));
                sets(&old.iter().map(String::as_str).collect(), &new.iter().map(String::as_str).collect(), meaning)
            }
            _ => vec![(Meaning::Different, format!("{} -> {}", show::value(old), show::value(new)))],
        },
        _ => vec![(Meaning::Different, format!("{} -> {}", shown(old), shown(new)))],
    }
}

fn calls(words: &[Placed<String>]) -> BTreeSet<&'static str> {
    seccomp::resolve(words.iter().map(|word| word.value.as_str())).into_iter().map(seccomp::Syscall::name).collect()
}

fn texts(items: Vec<Placed<String>>) -> Vec<String> {
    items.into_iter().map(|item| item.value).collect()
}

/// What was added and what was taken away; `more` is what an addition means.
fn sets(old: &BTreeSet<&str>, new: &BTreeSet<&str>, more: Meaning) -> Vec<(Meaning, String)> {
    let less = if more == Meaning::Looser { Meaning::Stricter } else { more };
    let added: Vec<&str> = new.difference(old).copied().collect();
    let gone: Vec<&str> = old.difference(new).copied().collect();
    let told = [(more, "with", added), (less, "without", gone)].into_iter().filter(|(_, _, words)| !words.is_empty());
    told.map(|(meaning, what, words)| (meaning, format!("{what} {}", words.join(", ")))).collect()
}

/// What another value of a kind with an order means.
fn ordered(key: &Key, old: Option<&Value>, new: Option<&Value>) -> Meaning {
    let rank = |value: Option<&Value>| -> u128 {
        match value {
            Some(Value::Size(bytes)) => bytes.0.into(),
            Some(Value::Time(time)) => time.as_nanos(),
            Some(Value::Whole(number)) => (*number).into(),
            Some(Value::Number(cpus)) => cpus.0.into(),
            Some(Value::Text(word)) => match key.kind {
                Kind::Choice(words) => words.iter().position(|known| known == word).unwrap_or_default() as u128,
                _ => 0,
            },
            _ => 0,
        }
    };
    match (key.more, rank(new) > rank(old)) {
        (More::Neither, _) => Meaning::Different,
        (More::Looser, true) | (More::Stricter, false) => Meaning::Looser,
        (More::Looser, false) | (More::Stricter, true) => Meaning::Stricter,
    }
}
