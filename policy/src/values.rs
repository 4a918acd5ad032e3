//! The values of one table of keys, each with its place, and the reading of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use crate::diagnostic::Diagnostics;
use crate::keys::{self, Key, Kind};
use crate::model::{Bytes, ReadOnlyMount};
use crate::read;
use crate::rules::{CallRule, PathRule};
use crate::section::{Entry, Section};

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file, in these bytes.
    File(Range<usize>),
}

/// Something with its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// A value of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `u64::MAX` is unlimited.
    Size(Bytes),
    Time(Duration),
    /// `u64::MAX` is unlimited.
    Whole(u64),
    /// In thousandths.
    Number(u32),
    Switch(bool),
    Text(String),
    Words(Vec<Placed<String>>),
    Mounts(Vec<Placed<ReadOnlyMount>>),
    CallRules(Vec<Placed<CallRule>>),
    PathRules(Vec<Placed<PathRule>>),
    Pairs(BTreeMap<String, String>),
}

/// A table's values in the order of its keys.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    table: &'static [Key],
    values: Vec<Option<Placed<Value>>>,
}

impl Values {
    /// What holds where the file says nothing.
    pub(crate) fn defaults(table: &'static [Key]) -> Self {
        let values = table.iter().map(default_of).collect();
        Self { table, values }
    }

    /// The same without one of the values.
    pub(crate) fn forgetting(mut self, name: &str) -> Self {
        self.values[keys::find(self.table, name)] = None;
        self
    }

    /// Reads a table over what it inherits. What is wrong is reported, and the inherited value holds.
    pub(crate) fn read(mut self, section: &Section<'_>) -> Self {
        for prefix in prefixes(self.table) {
            let (known, inner) = self.inner_section(section, prefix);
            for name in &known {
                let key = if prefix.is_empty() { (*name).to_owned() } else { format!("{prefix}.{name}") };
                if let Some(entry) = inner.get(name).filter(|_| !is_prefix_only(self.table, &key)) {
                    self.read_key(keys::find(self.table, &key), entry);
                }
            }
            inner.finish(&known, |stray| belongs_to(self.table, prefix, stray));
        }
        self
    }

    /// The table at a prefix, and the names that may be in it.
    fn inner_section<'a>(&self, section: &Section<'a>, prefix: &str) -> (Vec<&'static str>, Section<'a>) {
        if prefix.is_empty() {
            let names = self.table.iter().map(|key| key.name.split('.').next().unwrap_or_default());
            let mut known: Vec<_> = names.collect();
            known.dedup();
            return (known, section.clone());
        }
        let names = self.table.iter().filter_map(|key| key.name.strip_prefix(prefix)?.strip_prefix('.'));
        // Anything but a table is the switch's to read.
        let switched = section.get(prefix).is_some_and(|entry| !entry.is_table());
        let inner = if switched && !is_prefix_only(self.table, prefix) {
            section.without(section.path_of(prefix))
        } else {
            section.section(prefix)
        };
        (names.collect(), inner)
    }

    fn read_key(&mut self, at: usize, entry: Entry<'_>) {
        let Key { kind, .. } = self.table[at];
        let inherited = self.values[at].as_ref().map(|placed| &placed.value);
        if let Some(value) = read::value(kind, entry, inherited) {
            self.values[at] = Some(Placed { value, origin: Origin::File(entry.span()) });
        }
    }

    /// Whether a table has a switch of this name, and it is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.iter().any(|(key, placed)| {
            key.name == name && placed.is_some_and(|placed| matches!(placed.value, Value::Switch(true)))
        })
    }

    /// The keys with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Key, Option<&Placed<Value>>)> {
        self.table.iter().zip(self.values.iter().map(Option::as_ref))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Placed<Value>> {
        self.values[keys::find(self.table, name)].as_ref()
    }

    /// Where a value was said in the file, if it was.
    pub(crate) fn span(&self, name: &str) -> Option<Range<usize>> {
        match &self.get(name)?.origin {
            Origin::Default => None,
            Origin::File(span) => Some(span.clone()),
        }
    }

    pub(crate) fn bytes(&self, name: &str) -> Bytes {
        match self.value(name) {
            Some(Value::Size(bytes)) => *bytes,
            _ => wrong(name),
        }
    }

    pub(crate) fn time(&self, name: &str) -> Duration {
        match self.value(name) {
            Some(Value::Time(time)) => *time,
            _ => wrong(name),
        }
    }

    pub(crate) fn whole(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Whole(number)) => *number,
            _ => wrong(name),
        }
    }

    /// A whole number whose bounds fit in 32 bits.
    pub(crate) fn small(&self, name: &str) -> u32 {
        u32::try_from(self.whole(name)).unwrap_or(u32::MAX)
    }

    pub(crate) fn thousandths(&self, name: &str) -> u32 {
        match self.value(name) {
            Some(Value::Number(thousandths)) => *thousandths,
            _ => wrong(name),
        }
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Switch(on)) => *on,
            _ => wrong(name),
        }
    }

    /// Empty when it is required and missing, which was reported.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            None => "",
            _ => wrong(name),
        }
    }

    pub(crate) fn words(&self, name: &str) -> &[Placed<String>] {
        match self.value(name) {
            Some(Value::Words(words)) => words,
            _ => wrong(name),
        }
    }

    /// Empty when it is required and missing, which was reported.
    pub(crate) fn mounts(&self, name: &str) -> &[Placed<ReadOnlyMount>] {
        match self.value(name) {
            Some(Value::Mounts(mounts)) => mounts,
            None => &[],
            _ => wrong(name),
        }
    }

    pub(crate) fn call_rules(&self, name: &str) -> &[Placed<CallRule>] {
        match self.value(name) {
            Some(Value::CallRules(rules)) => rules,
            _ => wrong(name),
        }
    }

    pub(crate) fn path_rules(&self, name: &str) -> &[Placed<PathRule>] {
        match self.value(name) {
            Some(Value::PathRules(rules)) => rules,
            _ => wrong(name),
        }
    }

    pub(crate) fn pairs(&self, name: &str) -> &BTreeMap<String, String> {
        match self.value(name) {
            Some(Value::Pairs(pairs)) => pairs,
            _ => wrong(name),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.get(name).map(|placed| &placed.value)
    }
}

/// A value's kind is the one that the table of keys gives it, so it is asked for as that everywhere.
fn wrong<T>(name: &str) -> T {
    unreachable!("{name} is of another kind in the table of keys")
}

/// A default goes through the same reader as the file.
fn default_of(key: &Key) -> Option<Placed<Value>> {
    let keys::Default::Value(text) = key.default else { return None };
    let text = format!("value = {text}");
    let (table, _) = DeTable::parse_recoverable(&text);
    let problems = std::cell::RefCell::new(Diagnostics::new("the defaults".as_ref(), &text));
    let value = read::value(key.kind, Section::new(&table, &problems).get("value")?, None)?;
    Some(Placed { value: value.into_default(), origin: Origin::Default })
}

impl Value {
    /// The same, said nowhere.
    fn into_default(self) -> Self {
        fn of<T>(items: Vec<Placed<T>>) -> Vec<Placed<T>> {
            items.into_iter().map(|item| Placed { origin: Origin::Default, ..item }).collect()
        }
        match self {
            Self::Words(items) => Self::Words(of(items)),
            Self::Mounts(items) => Self::Mounts(of(items)),
            Self::CallRules(items) => Self::CallRules(of(items)),
            Self::PathRules(items) => Self::PathRules(of(items)),
            other => other,
        }
    }
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

/// What an entry of a list of this kind that begins with `-` takes away, see [`Kind::accumulates`].
pub(crate) fn taken_away(kind: Kind, text: &str) -> Option<&str> {
    kind.accumulates().then(|| text.strip_prefix('-')).flatten()
}
