//! For whom a request is, as a number that the supervisor counts shares by: the holder of a key, or, where no keys are
//! needed, whoever comes from an address. The two never meet: a gateway asks for keys, or it does not.

use std::net::IpAddr;

use cloister_protocol::Tenant;

use crate::keys::KeyId;

/// The tenant who holds a key.
pub fn with(key: KeyId) -> Tenant {
    Tenant::new(key.number().into())
}

/// The tenant at an address. Of an IPv6 address the first half counts: the rest is its holder's to choose.
pub fn at(address: IpAddr) -> Tenant {
    Tenant::new(match address.to_canonical() {
        IpAddr::V6(address) => u128::from(address) & !u128::from(u64::MAX),
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_who_holds_many_addresses_is_one_tenant() {
        let at = |text: &str| super::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
