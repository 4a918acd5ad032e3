//! The `[profile.NAME]` tables and what they inherit.
//!
//! `extends` starts from another profile's effective values instead of the defaults. A list replaces the
//! inherited one, except those that name permissions ([`Kind::accumulates`](crate::keys::Kind::accumulates)):
//! they add to it, and an entry with `-` in front takes one away.

use std::collections::{BTreeMap, BTreeSet};

use super::section::Section;
use super::values::Values;
use crate::diagnostic::Diagnostic;
use crate::keys::profile::{EXTENDS, Profile};
use crate::suggest::{did_you_mean, quoted};

/// A profile's effective values, and those of its ancestors in them.
pub(crate) type Profiles = BTreeMap<String, Values<Profile>>;

/// Reads all profiles, parents before children.
pub(crate) fn read_all(section: &Section<'_>) -> Profiles {
    let tables: BTreeMap<&str, Section<'_>> = section.sections().into_iter().collect();
    let mut parents = parents(&tables);
    let circles = circles(&parents);
    report_circles(&tables, &circles);
    // One in a circle has no parent that could be read first; what else is wrong with it is still told.
    circles.iter().flatten().for_each(|name| {
        parents.remove(name);
    });
    let defaults = Values::defaults();
    let mut done = Profiles::new();
    for name in tables.keys() {
        if done.contains_key(*name) {
            continue;
        }
        let mut way = vec![*name];
        while let Some(parent) = parents.get(way[way.len() - 1]).filter(|parent| !done.contains_key(**parent)) {
            way.push(parent);
        }
        for name in way.into_iter().rev() {
            let from = parents.get(name).map_or(&defaults, |parent| &done[*parent]);
            let from = from.clone().forgetting(EXTENDS);
            check_name(name, &tables[name]);
            done.insert(name.to_owned(), from.read(&tables[name]));
        }
    }
    done
}

/// Who extends whom, as far as both are there.
fn parents<'a>(tables: &BTreeMap<&'a str, Section<'a>>) -> BTreeMap<&'a str, &'a str> {
    let mut parents = BTreeMap::new();
    for (name, table) in tables {
        let Some(entry) = table.get(EXTENDS.name()) else { continue };
        // What is no text is reported when the profile is read.
        let toml::de::DeValue::String(parent) = entry.value.get_ref() else { continue };
        if let Some((parent, _)) = tables.get_key_value(parent.as_ref()) {
            parents.insert(*name, *parent);
            continue;
        }
        let names = tables.keys().copied();
        let help = did_you_mean(parent, names.clone().filter(|other| other != name), quoted, || {
            format!("profiles are: {}", names.collect::<Vec<_>>().join(", "))
        });
        let message = format!("there is no profile {parent:?} to extend");
        let problem = Diagnostic::error(entry.span(), message, "unknown profile").help(help);
        table.problems().borrow_mut().push_of_whole(problem);
    }
    parents
}

/// The circles, each as the profiles in it, in the order in which they extend one another.
fn circles<'a>(parents: &BTreeMap<&'a str, &'a str>) -> Vec<Vec<&'a str>> {
    let (mut circles, mut seen) = (Vec::new(), BTreeSet::new());
    for start in parents.keys() {
        let (mut way, mut name) = (Vec::new(), Some(start));
        while let Some(next) = name.filter(|name| seen.insert(**name)) {
            way.push(*next);
            name = parents.get(next);
        }
        // The way ended at a profile that extends nothing, at an earlier way, or at itself.
        if let Some(at) = name.and_then(|name| way.iter().position(|passed| passed == name)) {
            circles.push(way.split_off(at));
        }
    }
    circles
}

fn report_circles(tables: &BTreeMap<&str, Section<'_>>, circles: &[Vec<&str>]) {
    for circle in circles {
        let way = circle.iter().chain(circle.first()).copied().collect::<Vec<_>>().join(" -> ");
        let table = &tables[circle[0]];
        let span = table.get(EXTENDS.name()).map_or(table.span(), |entry| entry.span());
        let message = format!("profiles extend one another in a circle: {way}");
        let problem = Diagnostic::error(span, message, "part of the circle").help("take `extends` out of one of them");
        table.problems().borrow_mut().push(problem);
    }
}

fn check_name(name: &str, table: &Section<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        let label = "letters, digits, `-` and `_` only";
        let problem = Diagnostic::error(table.span(), format!("{name:?} is no name for a profile"), label);
        table.problems().borrow_mut().push(problem);
    }
}
