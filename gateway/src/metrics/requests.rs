//! Requests, counted by what became of them, and by key where that is asked for.
//!
//! Without keys in them the series are made ahead, so that none appears with its first request. With keys there are as many as
//! keys have had outcomes, and of no more than so many keys: what comes later is counted under a name that no key has.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use cloister_protocol::ErrorCode;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::metrics::outcome::Outcome;

/// The most keys with series of their own.
const MOST_KEYS: usize = 1000;

/// What all others are counted under. No key can be called so.
const OTHERS: &str = "~others";

/// What is shown of a request without a key, which to Prometheus is no label.
const NO_KEY: &str = "";

/// The counters.
#[derive(Debug)]
pub struct Requests {
    without_key: HashMap<Outcome, IntCounter>,
    by_key: Option<ByKey>,
}

#[derive(Debug)]
struct ByKey {
    counters: IntCounterVec,
    names: Mutex<HashSet<String>>,
}

impl Requests {
    /// Everything at nothing.
    ///
    /// # Errors
    /// Another metric has the name.
    pub fn new(registry: &Registry, by_key: bool) -> Result<Self, prometheus::Error> {
        let help = "Requests by what became of them; of jobs: returned or an error code.";
        let labels: &[&str] = if by_key { &["outcome", "key"] } else { &["outcome"] };
        let counters = IntCounterVec::new(Opts::new("cloister_requests_total", help), labels)?;
        registry.register(Box::new(counters.clone()))?;
        let ways = [Outcome::Returned, Outcome::Served, Outcome::Abandoned];
        let all = ErrorCode::ALL.map(Outcome::Failed).into_iter().chain(ways);
        let counter = |outcome: Outcome| {
            let name = outcome.name();
            let values = [name.as_str(), NO_KEY];
            counters.with_label_values(&values[..labels.len()])
        };
        let without_key = all.map(|outcome| (outcome, counter(outcome))).collect();
        Ok(Self { without_key, by_key: by_key.then(|| ByKey { counters, names: Mutex::default() }) })
    }

    /// Counts a request, of this key if it came with one.
    pub fn count(&self, outcome: Outcome, key: Option<&str>) {
        match (&self.by_key, key) {
            (Some(by_key), Some(key)) => by_key.count(outcome, key),
            _ => self.without_key.get(&outcome).into_iter().for_each(IntCounter::inc),
        }
    }
}

impl ByKey {
    fn count(&self, outcome: Outcome, key: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.contains(key) || (names.len() < MOST_KEYS && names.insert(key.to_owned()));
        drop(names);
        self.counters.with_label_values(&[outcome.name().as_str(), if known { key } else { OTHERS }]).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::{MOST_KEYS, Requests};
    use crate::metrics::outcome::Outcome;

    fn text(by_key: bool, keys: usize) -> String {
        let registry = Registry::new();
        let requests = Requests::new(&registry, by_key).expect("the first");
        for key in 0..keys {
            requests.count(Outcome::Returned, Some(&format!("key-{key}")));
        }
        requests.count(Outcome::Returned, None);
        TextEncoder::new().encode_to_string(&registry.gather()).expect("text")
    }

    #[test]
    fn no_more_keys_are_told_apart_than_are_good_for_who_reads_it() {
        let told = text(true, MOST_KEYS + 5);
        assert!(told.contains("{key=\"key-999\",outcome=\"returned\"} 1"), "{told:.1000}");
        assert!(told.contains("{key=\"~others\",outcome=\"returned\"} 5") && !told.contains("key-1000"));
        assert!(told.contains("{key=\"\",outcome=\"returned\"} 1"));
    }

    #[test]
    fn unless_it_is_asked_for_no_key_is_told() {
        let told = text(false, 3);
        assert!(told.contains("{outcome=\"returned\"} 4") && !told.contains("key"), "{told}");
    }
}
