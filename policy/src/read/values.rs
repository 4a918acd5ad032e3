//! The values of one table of keys, each with its place, and the reading of them.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use cloister_terms::{Bytes, CallRule, Millicpus, Mount, PathRule};
use toml::de::DeTable;

use super::reader::value;
use super::section::{Entry, Section};
use super::value::{Origin, Placed, Value};
use crate::diagnostic::Diagnostics;
use crate::keys::{self, CallRules, Key, Mounts, Of, Pairs, PathRules, Table, Text, Words};

/// A table's values in the order of its keys.
#[derive(Clone, Debug)]
pub(crate) struct Values<T> {
    table: PhantomData<T>,
    values: Vec<Option<Placed<Value>>>,
}

impl<T: Table> Values<T> {
    /// What holds where the file says nothing.
    pub(crate) fn defaults() -> Self {
        Self { table: PhantomData, values: T::KEYS.iter().map(default_of).collect() }
    }

    /// The same without one of the values.
    pub(crate) fn forgetting<V>(mut self, key: Of<T, V>) -> Self {
        self.values[key.place()] = None;
        self
    }

    /// Reads a table over what it inherits. What is wrong is reported, and the inherited value holds.
    pub(crate) fn read(mut self, section: &Section<'_>) -> Self {
        for prefix in prefixes(T::KEYS) {
            let (known, inner) = self.inner_section(section, prefix);
            for name in &known {
                let key = if prefix.is_empty() { (*name).to_owned() } else { format!("{prefix}.{name}") };
                let at = T::KEYS.iter().position(|known| known.name == key);
                if let Some((entry, at)) = inner.get(name).zip(at) {
                    self.read_key(at, entry);
                }
            }
            inner.finish(&known, |stray| belongs_to(T::KEYS, prefix, stray));
        }
        self
    }

    /// The table at a prefix, and the names that may be in it.
    fn inner_section<'a>(&self, section: &Section<'a>, prefix: &str) -> (Vec<&'static str>, Section<'a>) {
        if prefix.is_empty() {
            let names = T::KEYS.iter().map(|key| key.name.split('.').next().unwrap_or_default());
            let mut known: Vec<_> = names.collect();
            known.dedup();
            return (known, section.clone());
        }
        let names = T::KEYS.iter().filter_map(|key| key.name.strip_prefix(prefix)?.strip_prefix('.'));
        // Anything but a table is the switch's to read.
        let switched = section.get(prefix).is_some_and(|entry| !entry.is_table());
        let inner = if switched && !is_prefix_only(T::KEYS, prefix) {
            section.without(section.path_of(prefix))
        } else {
            section.section(prefix)
        };
        (names.collect(), inner)
    }

    fn read_key(&mut self, at: usize, entry: Entry<'_>) {
        let Key { kind, .. } = T::KEYS[at];
        let inherited = self.values[at].as_ref().map(|placed| &placed.value);
        if let Some(value) = value(kind, entry, inherited) {
            self.values[at] = Some(Placed { value, origin: Origin::File(entry.span()) });
        }
    }

    /// The keys with their values.
    #[cfg(any(test, feature = "text"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Key, Option<&Placed<Value>>)> {
        T::KEYS.iter().zip(self.values.iter().map(Option::as_ref))
    }

    /// The value of a key.
    pub(crate) fn of<V: Kept>(&self, key: Of<T, V>) -> V::As<'_> {
        V::of(self.values[key.place()].as_ref().map(|placed| &placed.value))
            .unwrap_or_else(|| unreachable!("{} is read as another kind", key.name()))
    }

    /// Where a value was said in the file, if it was.
    pub(crate) fn span<V>(&self, key: Of<T, V>) -> Option<Range<usize>> {
        match &self.values[key.place()].as_ref()?.origin {
            Origin::Default => None,
            Origin::File(span) => Some(span.clone()),
        }
    }

    /// A value's place in the file; where it is a default, the top.
    pub(crate) fn place<V>(&self, key: Of<T, V>) -> Range<usize> {
        self.span(key).unwrap_or(0..0)
    }
}

/// A type that a key's values may have. A key's own kind decides which.
pub(crate) trait Kept {
    /// As it is handed out.
    type As<'a>;

    /// A value as this; `None` where it is missing or something else.
    fn of(value: Option<&Value>) -> Option<Self::As<'_>>;
}

/// Of each type of value, what it is in [`Value`] and as what it is handed out.
macro_rules! kept {
    ($($kept:ty: $variant:pat => $inner:expr, $out:ty;)*) => {$(
        impl Kept for $kept {
            type As<'a> = $out;

            fn of(value: Option<&Value>) -> Option<Self::As<'_>> {
                match value {
                    Some($variant) => $inner,
                    _ => None,
                }
            }
        }
    )*};
}

kept! {
    Bytes: Value::Size(bytes) => Some(*bytes), Bytes;
    Duration: Value::Time(time) => Some(*time), Duration;
    u64: Value::Whole(number) => Some(*number), u64;
    u32: Value::Whole(number) => u32::try_from(*number).ok(), u32;
    Millicpus: Value::Number(number) => Some(*number), Millicpus;
    bool: Value::Switch(on) => Some(*on), bool;
    Text: Value::Text(text) => Some(text.as_str()), &'a str;
    Words: Value::Words(words) => Some(words.as_slice()), &'a [Placed<String>];
    Mounts: Value::Mounts(mounts) => Some(mounts.as_slice()), &'a [Placed<Mount>];
    CallRules: Value::CallRules(rules) => Some(rules.as_slice()), &'a [Placed<CallRule>];
    PathRules: Value::PathRules(rules) => Some(rules.as_slice()), &'a [Placed<PathRule>];
    Pairs: Value::Pairs(pairs) => Some(pairs), &'a BTreeMap<String, String>;
}

/// What may be missing.
impl<V: Kept> Kept for Option<V> {
    type As<'a> = Option<V::As<'a>>;

    fn of(value: Option<&Value>) -> Option<Self::As<'_>> {
        Some(value.and_then(|value| V::of(Some(value))))
    }
}

/// A default goes through the same reader as the file.
fn default_of(key: &Key) -> Option<Placed<Value>> {
    let keys::Default::Value(text) = key.default else { return None };
    let text = format!("value = {text}");
    let (table, _) = DeTable::parse_recoverable(&text);
    let problems = std::cell::RefCell::new(Diagnostics::new("the defaults".as_ref(), &text));
    let value = value(key.kind, Section::new(&table, &problems).get("value")?, None)?;
    Some(Placed { value: value.into_default(), origin: Origin::Default })
}

/// The names of the inner tables, that of the table itself first.
fn prefixes(table: &'static [Key]) -> Vec<&'static str> {
    let mut prefixes = vec![""];
    for key in table {
        if let Some((prefix, _)) = key.name.split_once('.')
            && !prefixes.contains(&prefix)
        {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// Whether a name is that of an inner table and no key itself.
fn is_prefix_only(table: &'static [Key], name: &str) -> bool {
    !table.iter().any(|key| key.name == name)
}

/// Where a key that is in the wrong table belongs.
fn belongs_to(table: &'static [Key], prefix: &str, stray: &str) -> Option<String> {
    let found = table.iter().find(|key| key.name.rsplit('.').next() == Some(stray))?;
    let place = match found.name.rsplit_once('.') {
        Some((inner, _)) => format!("belongs in `{inner}`: {} = …", found.name),
        None => format!("belongs one table up, not in `{prefix}`"),
    };
    Some(format!("`{stray}` {place}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Values;
    use crate::keys::profile::Profile;
    use crate::keys::runtime::Runtime;
    use crate::keys::supervisor::Supervisor;
    use crate::keys::{Default, Table};

    fn each_key_of<T: Table>() {
        let names: BTreeSet<_> = T::KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), T::KEYS.len());
        for (key, placed) in Values::<T>::defaults().iter() {
            assert_eq!(placed.is_some(), matches!(key.default, Default::Value(_)), "{}", key.name);
        }
    }

    #[test]
    fn each_key_is_there_once_with_a_default_that_its_own_kind_accepts() {
        each_key_of::<Supervisor>();
        each_key_of::<Runtime>();
        each_key_of::<Profile>();
    }
}
