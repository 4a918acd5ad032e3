//! What was last, of many tenants in one table of bounded size: no tenant's much is the end of another's little.

use std::collections::{HashMap, VecDeque};

use crate::tenant::Tenant;

/// What came last, in the order in which it came.
#[derive(Debug)]
pub struct Recent<T> {
    of_each: HashMap<Tenant, VecDeque<T>>,
    count: usize,
    most: usize,
}

impl<T> Recent<T> {
    /// Nothing yet, and room for so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { of_each: HashMap::new(), count: 0, most }
    }

    /// Takes note of one. What there is no room for any more: the oldest of a tenant that has the most.
    pub fn push(&mut self, tenant: Tenant, item: T) -> Option<(Tenant, T)> {
        self.of_each.entry(tenant).or_default().push_back(item);
        self.count += 1;
        if self.count <= self.most {
            return None;
        }
        let (&most, _) = self.of_each.iter().max_by_key(|(_, items)| items.len())?;
        self.pop_if(most, |_| true).map(|item| (most, item))
    }

    /// The oldest of a tenant, if that is to go.
    pub fn pop_if(&mut self, tenant: Tenant, goes: impl FnOnce(&T) -> bool) -> Option<T> {
        let items = self.of_each.get_mut(&tenant)?;
        if !items.front().is_some_and(goes) {
            return None;
        }
        let item = items.pop_front();
        if items.is_empty() {
            self.of_each.remove(&tenant);
        }
        self.count -= usize::from(item.is_some());
        item
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;
    use crate::tenant::Tenant;

    #[test]
    fn who_has_most_loses_the_oldest() {
        let (mut recent, few, many) = (Recent::new(4), Tenant::new(1), Tenant::new(2));
        for (tenant, item) in [(few, 1), (many, 2), (many, 3), (many, 4)] {
            assert_eq!(recent.push(tenant, item), None);
        }
        assert_eq!(recent.push(many, 5), Some((many, 2)));
        assert_eq!((recent.push(few, 6), recent.push(many, 7)), (Some((many, 3)), Some((many, 4))));
        assert_eq!(recent.len(), 4);
    }

    #[test]
    fn what_is_old_goes_if_it_is_to() {
        let (mut recent, one) = (Recent::new(4), Tenant::new(1));
        recent.push(one, 1);
        recent.push(one, 2);
        assert_eq!((recent.pop_if(one, |item| *item > 1), recent.pop_if(Tenant::new(2), |_| true)), (None, None));
        assert_eq!((recent.pop_if(one, |item| *item == 1), recent.pop_if(one, |_| true)), (Some(1), Some(2)));
        assert!(recent.is_empty() && recent.of_each.is_empty());
    }
}
