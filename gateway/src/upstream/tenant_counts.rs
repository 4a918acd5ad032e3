//! How many of something each tenant has, where none may have more than a part of it.

use std::collections::HashMap;

use cloister_protocol::Tenant;

/// Of those alone who have any.
#[derive(Debug, Default)]
pub struct TenantCounts(HashMap<Tenant, usize>);

impl TenantCounts {
    /// One more; `false` for who has so many already.
    pub fn add(&mut self, tenant: Tenant, most: usize) -> bool {
        let own = self.0.entry(tenant).or_default();
        let may = *own < most;
        *own += usize::from(may);
        may
    }

    /// One less.
    pub fn take_away(&mut self, tenant: Tenant) {
        if let Some(own) = self.0.get_mut(&tenant) {
            *own -= 1;
            if *own == 0 {
                self.0.remove(&tenant);
            }
        }
    }

    /// How many tenants have any.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
