//! Keys with the type of their values: by these they are asked for, so that a wrong name, a wrong table or a wrong type
//! does not compile.

use std::marker::PhantomData;
use std::time::Duration;

use cloister_terms::{Bytes, Millicpus};

use super::key::{Default, Key, Kind, More};

/// One of the file's tables of keys.
pub(crate) trait Table: Copy + std::fmt::Debug + 'static {
    /// Its keys.
    const KEYS: &'static [Key];
}

/// A key of the table `T`, whose values are a `V`. Of one that may be missing they are an `Option<V>`.
#[derive(Debug)]
pub(crate) struct Of<T, V> {
    at: usize,
    kinds: PhantomData<fn() -> (T, V)>,
}

impl<T: Table, V> Of<T, V> {
    /// The key at this place of its table. Only for the tables themselves.
    pub(super) const fn at(at: usize) -> Self {
        Self { at, kinds: PhantomData }
    }

    /// Its place in the table.
    pub(crate) fn place(self) -> usize {
        self.at
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        T::KEYS[self.at].name
    }
}

impl<T, V> Clone for Of<T, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, V> Copy for Of<T, V> {}

/// Text of some kind.
#[derive(Debug)]
pub(crate) enum Text {}

/// A list of texts of some kind.
#[derive(Debug)]
pub(crate) enum Words {}

/// A list of mounts.
#[derive(Debug)]
pub(crate) enum Mounts {}

/// A list of rules for calls.
#[derive(Debug)]
pub(crate) enum CallRules {}

/// A list of rules for paths.
#[derive(Debug)]
pub(crate) enum PathRules {}

/// A table of texts.
#[derive(Debug)]
pub(crate) enum Pairs {}

/// A kind, and the type that its values have.
pub(super) struct Typed<V> {
    kind: Kind,
    values: PhantomData<fn() -> V>,
}

/// A key before it has its place.
pub(super) struct Draft<V> {
    pub(super) key: Key,
    values: PhantomData<fn() -> V>,
}

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const PIB: u64 = 1 << 50;

/// A key with a default.
pub(super) const fn key<V>(
    name: &'static str,
    typed: Typed<V>,
    default: &'static str,
    more: More,
    doc: &'static str,
) -> Draft<V> {
    Draft { key: Key { name, kind: typed.kind, default: Default::Value(default), more, doc }, values: PhantomData }
}

/// A key that has to be there unless another is.
pub(super) const fn required_without<V>(
    name: &'static str,
    typed: Typed<V>,
    other: &'static str,
    doc: &'static str,
) -> Draft<Option<V>> {
    let key = Key { name, kind: typed.kind, default: Default::RequiredWithout(other), more: More::Neither, doc };
    Draft { key, values: PhantomData }
}

/// A key that may stay away.
pub(super) const fn absent<V>(name: &'static str, typed: Typed<V>, doc: &'static str) -> Draft<Option<V>> {
    let key = Key { name, kind: typed.kind, default: Default::Absent, more: More::Neither, doc };
    Draft { key, values: PhantomData }
}

const fn typed<V>(kind: Kind) -> Typed<V> {
    Typed { kind, values: PhantomData }
}

pub(super) const fn size(least: u64, most: u64) -> Typed<Bytes> {
    typed(Kind::Size { least, most, unlimited: false })
}

pub(super) const fn size_from(least: u64) -> Typed<Bytes> {
    size(least, PIB)
}

pub(super) const fn size_or_unlimited(least: u64) -> Typed<Bytes> {
    typed(Kind::Size { least, most: PIB, unlimited: true })
}

pub(super) const fn whole(least: u64, most: u64) -> Typed<u64> {
    typed(Kind::Whole { least, most, unlimited: false })
}

pub(super) const fn whole_or_unlimited(least: u64, most: u64) -> Typed<u64> {
    typed(Kind::Whole { least, most, unlimited: true })
}

/// A whole number whose bounds fit in 32 bits.
pub(super) const fn small(least: u32, most: u32) -> Typed<u32> {
    typed(Kind::Whole { least: least as u64, most: most as u64, unlimited: false })
}

/// The same, or a share of the processors.
pub(super) const fn count(least: u32, most: u32) -> Typed<u32> {
    typed(Kind::Count { least: least as u64, most: most as u64 })
}

pub(super) const fn time(least_ms: u64, most_hours: u64) -> Typed<Duration> {
    typed(Kind::Time { least: Duration::from_millis(least_ms), most: Duration::from_secs(most_hours * 3600) })
}

pub(super) const fn cpus(least: u32, most: u32) -> Typed<Millicpus> {
    typed(Kind::Number { least, most })
}

pub(super) const fn choice(words: &'static [&'static str]) -> Typed<Text> {
    typed(Kind::Choice(words))
}

pub(super) const fn choices(words: &'static [&'static str]) -> Typed<Words> {
    typed(Kind::Choices(words))
}

pub(super) const fn switch() -> Typed<bool> {
    typed(Kind::Switch)
}

pub(super) const fn table_name() -> Typed<Text> {
    typed(Kind::TableName)
}

pub(super) const fn host_name() -> Typed<Text> {
    typed(Kind::HostName)
}

pub(super) const fn path() -> Typed<Text> {
    typed(Kind::Path)
}

pub(super) const fn file() -> Typed<Text> {
    typed(Kind::File)
}

pub(super) const fn paths() -> Typed<Words> {
    typed(Kind::Paths)
}

pub(super) const fn mounts() -> Typed<Mounts> {
    typed(Kind::Mounts)
}

pub(super) const fn modules() -> Typed<Words> {
    typed(Kind::Modules)
}

pub(super) const fn calls() -> Typed<Words> {
    typed(Kind::Calls)
}

pub(super) const fn call_rules() -> Typed<CallRules> {
    typed(Kind::CallRules)
}

pub(super) const fn path_rules() -> Typed<PathRules> {
    typed(Kind::PathRules)
}

pub(super) const fn variables() -> Typed<Pairs> {
    typed(Kind::Variables)
}

pub(super) const fn links() -> Typed<Pairs> {
    typed(Kind::Links)
}

/// A table of keys in the order of the reference. Of each key a constant is made, by which its values are asked for.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident of $table:ident { $($(#[$attribute:meta])* $key:ident: $value:ty = $draft:expr;)* }) => {
        $(#[$doc])*
        pub const $name: &[$crate::keys::Key] = &[$({
            const DRAFT: $crate::keys::typed::Draft<$value> = $draft;
            DRAFT.key
        }),*];

        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum $table {}

        impl $crate::keys::typed::Table for $table {
            const KEYS: &'static [$crate::keys::Key] = $name;
        }

        #[allow(clippy::upper_case_acronyms, non_camel_case_types, reason = "named after the constants")]
        enum Place { $($key),* }

        $($(#[$attribute])*
        pub(crate) const $key: $crate::keys::typed::Of<$table, $value> =
            $crate::keys::typed::Of::at(Place::$key as usize);)*
    };
}

pub(super) use table;
