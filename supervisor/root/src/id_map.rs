//! Which ids there are for this process: in a user namespace, such as that of a container, few may be.

use std::fs;
use std::ops::RangeInclusive;

use cloister_sandbox::spec::Uid;

/// The ids that are there, as `/proc/self/uid_map` lists them, and the first id outside that each range stands for:
/// user_namespaces(7).
#[derive(Debug)]
pub struct IdMap(Vec<(RangeInclusive<u64>, u64)>);

/// Outside, ids from here on are given to containers; below, a host has its accounts.
const OF_CONTAINERS: u64 = 65_536;

impl IdMap {
    /// Of this process's user namespace; none where it cannot be read.
    #[must_use]
    pub fn own() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
    }

    fn parse(map: &str) -> Self {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse::<u64>);
            let (first, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some((first..=first + count.checked_sub(1)?, outside))
        };
        Self(map.lines().filter_map(range).collect())
    }

    /// Whether all of these are there.
    #[must_use]
    pub fn has(&self, ids: &RangeInclusive<u32>) -> bool {
        self.range_of(ids).is_some()
    }

    /// Whether these stand for ids outside that no host gives to accounts.
    #[must_use]
    pub fn are_apart(&self, ids: &RangeInclusive<u32>) -> bool {
        let outside = self.range_of(ids).map(|(range, outside)| outside + u64::from(*ids.start()) - range.start());
        outside.is_some_and(|outside| outside >= OF_CONTAINERS)
    }

    fn range_of(&self, ids: &RangeInclusive<u32>) -> Option<&(RangeInclusive<u64>, u64)> {
        let (first, last) = (u64::from(*ids.start()), u64::from(*ids.end()));
        self.0.iter().find(|(range, _)| range.contains(&first) && range.contains(&last))
    }

    /// Whether this one is there.
    #[must_use]
    pub fn has_one(&self, id: Uid) -> bool {
        self.has(&(id.0..=id.0))
    }

    /// Whether every id is there, as on a host itself.
    #[must_use]
    pub fn is_hosts(&self) -> bool {
        self.has(&(0..=u32::MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::{IdMap, Uid};

    #[test]
    fn ids_are_there_on_a_host_and_missing_in_a_container() {
        let ids = 1_879_048_192..=1_879_048_224;
        let host = IdMap::parse("         0          0 4294967295\n");
        assert!(host.has(&ids) && host.is_hosts());
        let container = IdMap::parse("         0     100000      65536\n");
        assert!(!container.has(&ids) && !container.is_hosts());
        assert!(container.has(&(20_000..=28_191)) && container.has_one(Uid(65_535)) && !container.has_one(Uid(65_536)));
        assert!(container.are_apart(&(20_000..=28_191)) && !container.are_apart(&(60_000..=70_000)));
        // As of a container whose ids are the host's own.
        assert!(!IdMap::parse("0 0 65536").are_apart(&(20_000..=28_191)) && !host.are_apart(&(20_000..=28_191)));
        for nothing in ["", "0 0\n", "a b c\n", "0 0 0\n"] {
            assert!(!IdMap::parse(nothing).has_one(Uid(0)), "{nothing:?}");
        }
    }
}
