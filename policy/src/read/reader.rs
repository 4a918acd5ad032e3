//! From one value of the file to one of the kind that its key has.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use cloister_terms::{Bytes, CallRule, Millicpus, PathRule, UNLIMITED};

use super::call_rule::call_rule;
use super::lists::{calls, edited, mounts, rule_list, words_of};
use super::path_rule::path_rule;
use super::paths;
use super::section::Entry;
use super::value::Value;
use crate::keys::Kind;
use crate::seccomp::Syscall;
use crate::suggest::{meant, nearest, quoted};
use crate::units;

/// Variables that the supervisor sets itself.
const SET_ALREADY: [&str; 4] = ["HOME", "LANG", "PATH", "TMPDIR"];

/// Reads a value. What is wrong with it is reported, and `None` returned.
pub(crate) fn value(kind: Kind, entry: Entry<'_>, inherited: Option<&Value>) -> Option<Value> {
    let inherited = inherited.filter(|_| kind.accumulates());
    Some(match kind {
        Kind::Size { unlimited: true, .. } if entry.word() == Some(UNLIMITED) => Value::Size(Bytes(u64::MAX)),
        Kind::Size { least, most, .. } => Value::Size(size(entry, least, most)?),
        Kind::Time { least, most } => Value::Time(time(entry, least, most)?),
        Kind::Whole { unlimited: true, .. } if entry.word() == Some(UNLIMITED) => Value::Whole(u64::MAX),
        Kind::Whole { least, most, .. } => Value::Whole(entry.integer(least, most)?),
        Kind::Count { least, most } => Value::Whole(count(entry, least, most)?),
        Kind::Number { least, most } => Value::Number(Millicpus(thousandths(entry, least, most)?)),
        Kind::Switch => Value::Switch(switch(entry)?),
        Kind::Choice(words) => Value::Text(choice(entry, entry.text()?, words)?),
        Kind::Choices(words) => Value::Words(words_of(entry, |entry, text| choice(entry, text, words))?),
        Kind::TableName => Value::Text(entry.text()?.to_owned()),
        Kind::HostName => Value::Text(host_name(entry)?),
        Kind::Path => Value::Text(paths::absolute(entry, entry.text()?)?.to_string_lossy().into_owned()),
        Kind::File => Value::Text(paths::file(entry, entry.text()?)?),
        Kind::Paths => Value::Words(edited(kind, entry, inherited, |entry, text| {
            paths::absolute(entry, text).map(|path| path.to_string_lossy().into_owned())
        })?),
        Kind::Mounts => Value::Mounts(mounts(entry, inherited)?),
        Kind::Modules => Value::Words(words_of(entry, module)?),
        Kind::Calls => Value::Words(calls(entry, inherited)?),
        Kind::CallRules => {
            let all = if let Some(Value::CallRules(rules)) = inherited { rules.clone() } else { Vec::new() };
            let of = |rule: &CallRule, name: &str| Some(rule.number) == Syscall::by_name(name).map(Syscall::number);
            Value::CallRules(rule_list(entry, all, of, call_rule, |_, _| false)?)
        }
        Kind::PathRules => {
            let all = if let Some(Value::PathRules(rules)) = inherited { rules.clone() } else { Vec::new() };
            let of = |rule: &PathRule, path: &str| rule.path == Path::new(path);
            let same = |one: &PathRule, other: &PathRule| one.path == other.path;
            Value::PathRules(rule_list(entry, all, of, path_rule, same)?)
        }
        Kind::Variables => Value::Pairs(pairs(entry, variable)?),
        Kind::Links => Value::Pairs(pairs(entry, link)?),
    })
}

fn size(entry: Entry<'_>, least: u64, most: u64) -> Option<Bytes> {
    let bytes = entry.quantity(units::size, "\"64MiB\"")?;
    if (least..=most).contains(&bytes.0) {
        return Some(bytes);
    }
    let expected = if least == most {
        format!("expected {}", Bytes(least))
    } else {
        format!("expected {} to {}", Bytes(least), Bytes(most))
    };
    entry.refuse(format!("{} is out of range", bytes), expected)
}

/// What follows the number in a share of the processors.
const EACH: &str = "/cpu";

/// A number, or so many for each processor that this process may use at once: by its control group's quota too,
/// `std::thread::available_parallelism`.
fn count(entry: Entry<'_>, least: u64, most: u64) -> Option<u64> {
    let Some(word) = entry.word() else { return entry.integer(least, most) };
    let plain = |number: &&str| number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
    let each = word
        .strip_suffix(EACH)
        .filter(plain)
        .and_then(|number| number.parse().ok())
        .filter(|each| (1..=most).contains(each));
    let Some(each) = each else {
        return entry.refuse(
            format!("{word:?} is neither a number nor a share"),
            format!("expected {least} to {most}, or \"8{EACH}\""),
        );
    };
    let processors = std::thread::available_parallelism().map_or(1, |found| found.get() as u64);
    let all = each.saturating_mul(processors);
    if (least..=most).contains(&all) {
        return Some(all);
    }
    entry.refuse(
        format!("with {processors} processors that is {all}, out of range"),
        format!("expected {least} to {most}"),
    )
}

fn time(entry: Entry<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let time = entry.quantity(units::duration, "\"10s\"")?;
    if (least..=most).contains(&time) {
        return Some(time);
    }
    let expected = format!("expected {} to {}", units::show_time(least), units::show_time(most));
    entry.refuse(format!("{} is out of range", units::show_time(time)), expected)
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds that were checked fit, and none is negative")]
#[expect(clippy::cast_sign_loss, reason = "the least bound is positive")]
fn thousandths(entry: Entry<'_>, least: u32, most: u32) -> Option<u32> {
    let number = entry.number(f64::from(least) / 1000.0, f64::from(most) / 1000.0)?;
    Some((number * 1000.0).round() as u32)
}

fn switch(entry: Entry<'_>) -> Option<bool> {
    match entry.value.get_ref() {
        toml::de::DeValue::Boolean(on) => Some(*on),
        toml::de::DeValue::Table(_) => Some(true),
        _ => entry.refuse("expected true, false or a table", "neither"),
    }
}

fn choice(entry: Entry<'_>, text: &str, words: &[&str]) -> Option<String> {
    if words.contains(&text) {
        return Some(text.to_owned());
    }
    let expected = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
    let (message, expected) = (format!("{text:?} is not a choice here"), format!("expected {expected}"));
    match nearest(text, words.iter().copied()) {
        Some(near) => entry.refuse_with(message, &expected, meant(&quoted(near))),
        None => entry.refuse(message, expected),
    }
}

fn host_name(entry: Entry<'_>) -> Option<String> {
    let name = entry.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Some(name.to_owned());
    }
    entry.refuse(format!("{name:?} is no host name"), "expected 1 to 64 letters, digits, `-` and `.`")
}

fn module(entry: Entry<'_>, text: &str) -> Option<String> {
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.split('.').all(identifier) {
        return Some(text.to_owned());
    }
    entry.refuse(format!("{text:?} is no module's name"), "expected a name such as \"numpy\" or \"os.path\"")
}

fn pairs(
    entry: Entry<'_>,
    read: impl Fn(&str, Entry<'_>) -> Option<(String, String)>,
) -> Option<BTreeMap<String, String>> {
    let toml::de::DeValue::Table(_) = entry.value.get_ref() else {
        return entry.refuse("expected a table", "put it in { }");
    };
    let section = entry.as_section(String::new());
    Some(section.pairs().filter_map(|(name, entry)| read(name, entry)).collect())
}

fn link(name: &str, entry: Entry<'_>) -> Option<(String, String)> {
    let target = entry.text()?;
    let single = |path: &Path| path.components().count() == 1;
    let normal = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let plain = !name.contains('\0') && !target.contains('\0') && !target.is_empty();
    if !plain || !single(Path::new(name)) || !normal(Path::new(name)) || !normal(Path::new(target)) {
        return entry
            .refuse("a link is a name in the root and a relative target", "expected something like lib = \"usr/lib\"");
    }
    Some((name.to_owned(), target.to_owned()))
}

fn variable(name: &str, entry: Entry<'_>) -> Option<(String, String)> {
    let value = entry.text()?;
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return entry
            .refuse("an environment variable's name has no `=`, and neither part a NUL byte", "not a variable");
    }
    if SET_ALREADY.contains(&name) {
        return entry.refuse(format!("{name} is set by the supervisor"), "take it out");
    }
    Some((name.to_owned(), value.to_owned()))
}
