//! From one value of the file to one of the kind that its key has.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use crate::diagnostic::did_you_mean;
use crate::keys::Kind;
use crate::model::{Bytes, ReadOnlyMount};
use crate::rules::{CallRule, PathRule};
use crate::seccomp::{self, GROUPS, NEVER, Syscall};
use crate::section::Entry;
use crate::units::{self, UNLIMITED};
use crate::values::{Origin, Placed, Value, taken_away};
use crate::{paths, rules};

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
        Kind::Number { least, most } => Value::Number(thousandths(entry, least, most)?),
        Kind::Switch => Value::Switch(switch(entry)?),
        Kind::Choice(words) => Value::Text(choice(entry, entry.text()?, words)?),
        Kind::Choices(words) => Value::Words(words_of(entry, |entry, text| choice(entry, text, words))?),
        Kind::TableName => Value::Text(entry.text()?.to_owned()),
        Kind::HostName => Value::Text(host_name(entry)?),
        Kind::Path => Value::Text(paths::absolute(entry, entry.text()?)?.to_string_lossy().into_owned()),
        Kind::Paths => Value::Words(edited(kind, entry, inherited, |entry, text| {
            paths::absolute(entry, text).map(|path| path.to_string_lossy().into_owned())
        })?),
        Kind::Mounts => Value::Mounts(mounts(entry, inherited)?),
        Kind::Modules => Value::Words(words_of(entry, module)?),
        Kind::Calls => Value::Words(calls(entry, inherited)?),
        Kind::CallRules => {
            let all = if let Some(Value::CallRules(rules)) = inherited { rules.clone() } else { Vec::new() };
            let of = |rule: &CallRule, name: &str| rule.call.name() == name;
            Value::CallRules(rule_list(entry, all, of, rules::call_rule, |_, _| false)?)
        }
        Kind::PathRules => {
            let all = if let Some(Value::PathRules(rules)) = inherited { rules.clone() } else { Vec::new() };
            let of = |rule: &PathRule, path: &str| rule.path == Path::new(path);
            let same = |one: &PathRule, other: &PathRule| one.path == other.path;
            Value::PathRules(rule_list(entry, all, of, rules::path_rule, same)?)
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
        format!("expected {}", units::show_size(Bytes(least)))
    } else {
        format!("expected {} to {}", units::show_size(Bytes(least)), units::show_size(Bytes(most)))
    };
    entry.refuse(format!("{} is out of range", units::show_size(bytes)), expected)
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
    match did_you_mean(text, words.iter().copied()) {
        Some(near) => entry.refuse_with(
            format!("{text:?} is not a choice here"),
            &format!("expected {expected}"),
            format!("did you mean {near:?}?"),
        ),
        None => entry.refuse(format!("{text:?} is not a choice here"), format!("expected {expected}")),
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

/// A list whose items a function reads.
fn placed<'a, T>(entry: Entry<'a>, read: impl Fn(Entry<'a>) -> Option<T>) -> Option<Vec<Placed<T>>> {
    let item = |entry: Entry<'a>| Some(Placed { value: read(entry)?, origin: Origin::File(entry.span()) });
    Some(entry.array()?.into_iter().filter_map(item).collect())
}

/// A list of rules over the inherited ones. `"-name"` takes away those `of` that name; a new rule takes the
/// place of one that is the `same`.
fn rule_list<'a, T>(
    entry: Entry<'a>,
    mut all: Vec<Placed<T>>,
    of: impl Fn(&T, &str) -> bool,
    read: impl Fn(Entry<'a>) -> Option<T>,
    same: impl Fn(&T, &T) -> bool,
) -> Option<Vec<Placed<T>>> {
    for entry in entry.array()? {
        if let Some(away) = entry.word().and_then(|text| text.strip_prefix('-')) {
            let before = all.len();
            all.retain(|earlier| !of(&earlier.value, away));
            if all.len() == before {
                nothing_to_take_away(entry, away);
            }
        } else if let Some(rule) = read(entry) {
            all.retain(|earlier| !same(&earlier.value, &rule));
            all.push(Placed { value: rule, origin: Origin::File(entry.span()) });
        }
    }
    Some(all)
}

fn words_of<'a>(entry: Entry<'a>, read: impl Fn(Entry<'a>, &'a str) -> Option<String>) -> Option<Vec<Placed<String>>> {
    placed(entry, |entry| read(entry, entry.text()?))
}

/// A list of words over the inherited one, with what is taken away from it.
fn edited<'a>(
    kind: Kind,
    entry: Entry<'a>,
    inherited: Option<&Value>,
    read: impl Fn(Entry<'a>, &'a str) -> Option<String>,
) -> Option<Vec<Placed<String>>> {
    let mut all = if let Some(Value::Words(words)) = inherited { words.clone() } else { Vec::new() };
    for (text, entry) in entry.texts()? {
        let away = taken_away(kind, text);
        let Some(word) = read(entry, away.unwrap_or(text)) else { continue };
        let before = all.len();
        all.retain(|earlier| earlier.value != word);
        if away.is_none() {
            all.push(Placed { value: word, origin: Origin::File(entry.span()) });
        } else if all.len() == before {
            nothing_to_take_away(entry, &word);
        }
    }
    Some(all)
}

fn nothing_to_take_away(entry: Entry<'_>, what: &str) {
    let message = format!("{what} is not inherited, so it cannot be taken away");
    let _: Option<()> = entry.refuse(message, "nothing to take away");
}

fn mounts(entry: Entry<'_>, inherited: Option<&Value>) -> Option<Vec<Placed<ReadOnlyMount>>> {
    let mut all = if let Some(Value::Mounts(mounts)) = inherited { mounts.clone() } else { Vec::new() };
    for (text, entry) in entry.texts()? {
        if let Some(away) = taken_away(Kind::Mounts, text) {
            let (before, path) = (all.len(), Path::new(away));
            all.retain(|mount| mount.value.inside != path && mount.value.host != path);
            if all.len() == before {
                nothing_to_take_away(entry, away);
            }
        } else if let Some(mount) = paths::read_only(entry, text) {
            all.retain(|earlier| earlier.value.inside != mount.inside);
            all.push(Placed { value: mount, origin: Origin::File(entry.span()) });
        }
    }
    Some(all)
}

/// Entries stay as they were written, those that take away too; [`crate::seccomp::resolve`] reads them in turn.
fn calls(entry: Entry<'_>, inherited: Option<&Value>) -> Option<Vec<Placed<String>>> {
    let mut all = if let Some(Value::Words(words)) = inherited { words.clone() } else { Vec::new() };
    for (text, entry) in entry.texts()? {
        let away = text.strip_prefix('-');
        let name = away.unwrap_or(text);
        let Some(named) = named_calls(entry, name, away.is_some()) else { continue };
        if away.is_some() {
            let allowed = seccomp::resolve(all.iter().map(|word| word.value.as_str()));
            if !named.iter().any(|call| allowed.contains(call)) {
                entry.warn(format!("`{name}` is not allowed here anyway"), "takes nothing away", "leave it out");
            }
        }
        all.retain(|earlier| earlier.value.strip_prefix('-').unwrap_or(&earlier.value) != name);
        all.push(Placed { value: text.to_owned(), origin: Origin::File(entry.span()) });
    }
    Some(all)
}

/// The calls behind a name or a group.
fn named_calls(entry: Entry<'_>, name: &str, away: bool) -> Option<Vec<Syscall>> {
    if !away && NEVER.contains(&name) {
        return never(entry, name);
    }
    let found =
        if name.starts_with('@') { seccomp::group(name) } else { Syscall::by_name(name).map(|call| vec![call]) };
    found.or_else(|| unknown_call(entry, name))
}

/// Reports a call that no policy may allow.
pub(crate) fn never<T>(entry: Entry<'_>, name: &str) -> Option<T> {
    let help = "calls that change mounts, namespaces, credentials, the kernel or the machine are never allowed";
    entry.refuse_with(format!("{name} may not be allowed in any profile"), "never allowed", help)
}

/// Reports a name that is none.
pub(crate) fn unknown_call<T>(entry: Entry<'_>, name: &str) -> Option<T> {
    let known = GROUPS.iter().map(|(group, _, _)| *group).chain(Syscall::names());
    let help = match did_you_mean(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`cloister policy syscalls` lists the groups and the calls in them".to_owned(),
    };
    entry.refuse_with(format!("there is no system call or group `{name}`"), "unknown on x86-64", help)
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
