//! The places in which jobs are remembered until they are told of, and who has how many. No tenant has more than half of
//! them, so that one whose answers are read slowly keeps nobody else from beginning.

use cloister_protocol::Tenant;

use crate::upstream::tenant_counts::TenantCounts;
use crate::usage::running::PLACES;

/// All of them.
#[derive(Debug)]
pub struct Places {
    free: Vec<u16>,
    /// Whose each is that is not free.
    owners: Box<[Option<Tenant>]>,
    held: TenantCounts,
}

impl Places {
    /// All free.
    pub fn new() -> Self {
        let owners = vec![None; usize::from(PLACES)].into_boxed_slice();
        Self { free: (0..PLACES).rev().collect(), owners, held: TenantCounts::default() }
    }

    /// One for this tenant's job; `None` if all are taken, or half of them are his.
    pub fn take(&mut self, tenant: Tenant) -> Option<u16> {
        let place = self.free.pop_if(|_| self.held.add(tenant, usize::from(PLACES) / 2))?;
        self.owners[usize::from(place)] = Some(tenant);
        Some(place)
    }

    /// It is free again.
    pub fn give_back(&mut self, place: u16) {
        let Some(tenant) = self.owners.get_mut(usize::from(place)).and_then(Option::take) else { return };
        self.free.push(place);
        self.held.take_away(tenant);
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::Tenant;

    use super::{PLACES, Places};

    #[test]
    fn one_tenant_leaves_half_to_others_and_each_place_is_freed_once() {
        let mut places = Places::new();
        let mut take = |tenant| std::iter::from_fn(|| places.take(Tenant::new(tenant))).collect::<Vec<_>>();
        let (one, two, three) = (take(1), take(2), take(3));
        assert_eq!((one.len(), two.len(), three.len()), (usize::from(PLACES) / 2, usize::from(PLACES) / 2, 0));
        for place in one {
            places.give_back(place);
            places.give_back(place);
        }
        assert_eq!((places.free.len(), places.held.len()), (usize::from(PLACES) / 2, 1));
        assert!(places.take(Tenant::new(2)).is_none() && places.take(Tenant::new(3)).is_some());
    }
}
