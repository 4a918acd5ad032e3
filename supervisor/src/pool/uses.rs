//! What the requests of a profile import, counted: how often, and for whom.
//!
//! What was long ago counts less. Each tenant has one voice, which it divides among the sets that it asks for, so that one
//! who asks for many has little to say about each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cloister_protocol::{ImportSet, Tenant};

/// Sets that are counted for one tenant, tenants that are counted, and counts of all together.
const MOST_OF_ONE: usize = 64;
const MOST_TENANTS: usize = 256;
const MOST: usize = 4096;

/// What has come to less is forgotten, where there is no room for more.
const FADED: f64 = 0.05;

/// How often it is looked at most what has come to less.
const LOOK: Duration = Duration::from_secs(1);

/// Counts by tenant and set.
#[derive(Debug)]
pub struct Uses {
    tenants: HashMap<Tenant, Own>,
    counts: usize,
    /// In how long a use comes to count half.
    half_life: Duration,
    /// When it was last looked at what has faded.
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Own {
    /// Of sets that are no longer counted too.
    all: Count,
    sets: Vec<(ImportSet, Count)>,
}

/// A number that becomes less with time.
#[derive(Clone, Copy, Debug)]
struct Count {
    number: f64,
    at: Instant,
}

/// How much a set is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use {
    /// How often, of late.
    pub times: f64,
    /// What its tenants' voices for it come to.
    pub weight: f64,
}

impl Count {
    fn now(self, now: Instant, half_life: Duration) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.number * (-since / half_life.as_secs_f64()).exp2()
    }

    fn add(&mut self, now: Instant, half_life: Duration) {
        *self = Self { number: self.now(now, half_life) + 1.0, at: now };
    }
}

impl Own {
    /// Whether there was one to forget.
    fn forget_the_least(&mut self, now: Instant, half_life: Duration) -> bool {
        let times = |count: Count| count.now(now, half_life);
        let all = self.sets.iter().enumerate();
        let least = all.min_by(|(_, (_, one)), (_, (_, other))| times(*one).total_cmp(&times(*other)));
        least.map(|(at, _)| at).map(|at| self.sets.swap_remove(at)).is_some()
    }
}

impl Uses {
    /// None yet.
    #[must_use]
    pub fn new(half_life: Duration) -> Self {
        Self { tenants: HashMap::new(), counts: 0, half_life, looked: None }
    }

    /// Counts a request of this tenant's.
    pub fn count(&mut self, tenant: Tenant, set: &ImportSet, now: Instant) {
        if self.counts >= MOST || self.tenants.len() >= MOST_TENANTS {
            self.forget_what_has_faded(now);
        }
        if !self.tenants.contains_key(&tenant) {
            if self.tenants.len() >= MOST_TENANTS {
                self.forget_the_quietest();
            }
            if self.counts >= MOST {
                self.take_from_the_largest(now);
            }
        }
        let full = self.counts >= MOST;
        let half_life = self.half_life;
        let none = Count { number: 0.0, at: now };
        let own = self.tenants.entry(tenant).or_insert(Own { all: none, sets: Vec::new() });
        own.all.add(now, half_life);
        if let Some((_, count)) = own.sets.iter_mut().find(|(other, _)| other == set) {
            return count.add(now, half_life);
        }
        // Its own least goes, nobody else's. Where there is no room at all, and it has none, it is not counted.
        if own.sets.len() >= MOST_OF_ONE || full {
            if !own.forget_the_least(now, half_life) {
                return;
            }
            self.counts -= 1;
        }
        own.sets.push((set.clone(), Count { number: 1.0, at: now }));
        self.counts += 1;
    }

    /// How much each is used.
    #[must_use]
    pub fn all(&self, now: Instant) -> HashMap<&ImportSet, Use> {
        let mut all: HashMap<&ImportSet, Use> = HashMap::new();
        for own in self.tenants.values() {
            let of_all = own.all.now(now, self.half_life);
            // In the end it comes to nothing, by which nothing can be divided.
            if of_all < f64::EPSILON {
                continue;
            }
            // Who asks often has more to say than who asks seldom, though not so much as he asks more.
            let voice = (1.0 + of_all).log2();
            for (set, count) in &own.sets {
                let times = count.now(now, self.half_life);
                let of_set = all.entry(set).or_default();
                of_set.times += times;
                of_set.weight += voice * times / of_all;
            }
        }
        all
    }

    fn forget_what_has_faded(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return;
        }
        self.looked = Some(now);
        for own in self.tenants.values_mut() {
            own.sets.retain(|(_, count)| count.now(now, self.half_life) >= FADED);
        }
        self.tenants.retain(|_, own| !own.sets.is_empty());
        self.counts = self.tenants.values().map(|own| own.sets.len()).sum();
    }

    /// Makes room for the first of one who has none.
    fn take_from_the_largest(&mut self, now: Instant) {
        let largest = self.tenants.values_mut().max_by_key(|own| own.sets.len());
        if largest.is_some_and(|own| own.forget_the_least(now, self.half_life)) {
            self.counts -= 1;
        }
    }

    fn forget_the_quietest(&mut self) {
        let quietest = self.tenants.iter().min_by_key(|(_, own)| own.all.at).map(|(tenant, _)| *tenant);
        if let Some(own) = quietest.and_then(|tenant| self.tenants.remove(&tenant)) {
            self.counts -= own.sets.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use cloister_protocol::{ImportSet, Tenant};

    use super::{MOST, MOST_OF_ONE, MOST_TENANTS, Use, Uses};

    const HALF: Duration = Duration::from_secs(600);

    fn set(number: usize) -> ImportSet {
        ImportSet::new(vec![format!("module_{number}")])
    }

    fn of(uses: &Uses, wanted: usize, now: Instant) -> Use {
        uses.all(now).get(&set(wanted)).copied().unwrap_or_default()
    }

    #[test]
    fn what_was_long_ago_counts_less() {
        let (mut uses, now) = (Uses::new(HALF), Instant::now());
        (0..10).for_each(|_| uses.count(Tenant::new(1), &set(1), now));
        assert!((of(&uses, 1, now).times - 10.0).abs() < 1e-6);
        assert!((of(&uses, 1, now + HALF).times - 5.0).abs() < 1e-6);
        uses.count(Tenant::new(1), &set(1), now + HALF);
        assert!((of(&uses, 1, now + HALF).times - 6.0).abs() < 1e-6);
    }

    #[test]
    fn who_asks_for_many_sets_says_little_of_each_and_takes_nobody_elses_count() {
        let (mut uses, now) = (Uses::new(HALF), Instant::now());
        (0..10).for_each(|_| uses.count(Tenant::new(1), &set(0), now));
        for round in 0..100 {
            (1..1000).for_each(|number| uses.count(Tenant::new(2), &set(number + round), now));
        }
        let quiet = of(&uses, 0, now);
        assert!((quiet.times - 10.0).abs() < 1e-6);
        assert_eq!(uses.counts, MOST_OF_ONE + 1);
        assert!(uses.all(now).iter().all(|(other, of)| **other == set(0) || 2.0 * of.weight < quiet.weight));
    }

    #[test]
    fn what_is_over_since_long_counts_nothing_and_takes_no_room() {
        let (mut uses, mut now) = (Uses::new(HALF), Instant::now());
        for tenant in 0..100 {
            (0..MOST_OF_ONE).for_each(|number| uses.count(Tenant::new(tenant), &set(number), now));
        }
        uses.count(Tenant::new(1000), &set(1000), now);
        assert!(of(&uses, 1000, now).times > 0.0, "who comes last is counted too");
        assert!(uses.counts <= MOST);
        now += 3000 * HALF;
        assert!(uses.all(now).values().all(|of| of.weight.is_finite()));
        uses.count(Tenant::new(1001), &set(1), now);
        assert_eq!(uses.counts, 1);
        assert!(of(&uses, 1, now).weight > 0.0);
    }

    #[test]
    fn all_counts_are_bounded_however_many_ask() {
        let (mut uses, mut now) = (Uses::new(HALF), Instant::now());
        for tenant in 0..2 * MOST_TENANTS {
            now += Duration::from_millis(1);
            (0..MOST_OF_ONE + 1).for_each(|number| uses.count(Tenant::new(tenant as u128), &set(number), now));
            assert!(uses.counts <= MOST && uses.tenants.len() <= MOST_TENANTS);
            assert_eq!(uses.counts, uses.tenants.values().map(|own| own.sets.len()).sum::<usize>());
        }
    }
}
