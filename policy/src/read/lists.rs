//! Lists: new ones, and those that add to what is inherited or take from it.

use std::path::Path;

use cloister_terms::Mount;

use super::calls::named_calls;
use super::paths;
use super::section::Entry;
use super::value::{Origin, Placed, Value};
use crate::keys::Kind;
use crate::seccomp;

/// A list whose items a function reads.
pub(super) fn placed<'a, T>(entry: Entry<'a>, read: impl Fn(Entry<'a>) -> Option<T>) -> Option<Vec<Placed<T>>> {
    let item = |entry: Entry<'a>| Some(Placed { value: read(entry)?, origin: Origin::File(entry.span()) });
    Some(entry.array()?.into_iter().filter_map(item).collect())
}

/// A list of rules over the inherited ones. `"-name"` takes away those `of` that name; a new rule takes the
/// place of one that is the `same`.
pub(super) fn rule_list<'a, T>(
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

pub(super) fn words_of<'a>(
    entry: Entry<'a>,
    read: impl Fn(Entry<'a>, &'a str) -> Option<String>,
) -> Option<Vec<Placed<String>>> {
    placed(entry, |entry| read(entry, entry.text()?))
}

/// A list of words over the inherited one, with what is taken away from it.
pub(super) fn edited<'a>(
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

pub(super) fn mounts(entry: Entry<'_>, inherited: Option<&Value>) -> Option<Vec<Placed<Mount>>> {
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

/// Entries stay as they were written, those that take away too; [`seccomp::resolve`] reads them in turn.
pub(super) fn calls(entry: Entry<'_>, inherited: Option<&Value>) -> Option<Vec<Placed<String>>> {
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

/// What an entry of a list of this kind that begins with `-` takes away, see [`Kind::accumulates`].
fn taken_away(kind: Kind, text: &str) -> Option<&str> {
    kind.accumulates().then(|| text.strip_prefix('-')).flatten()
}
