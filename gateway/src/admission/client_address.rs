//! Whose request it is, by its address: the connection's, or what a trusted proxy says.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// The proxies whose word on their clients is taken. None, unless the operator names them.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Those in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// The client that a request of `peer` comes from. The header is read from its end, where the
    /// nearest proxy wrote: the first address that is no trusted proxy's is the client's. What
    /// stands before it is the client's own text and is worth nothing.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for address in value.to_str().unwrap_or_default().rsplit(',') {
                let Some(address) = address_of(address.trim()) else { return client };
                client = address;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, which some proxies write with its port.
fn address_of(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse().map(|address: std::net::SocketAddr| address.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hyper::HeaderMap;

    use super::{FORWARDED_FOR, TrustedProxies};

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(trusted.iter().map(|network| network.parse().expect("a network")).collect());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header's value"));
        }
        proxies.client(peer.parse::<IpAddr>().expect("an address"), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_unasked() {
        assert_eq!(client(&[], "10.0.0.1", &["192.0.2.1"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.9", &["192.0.2.1"]), "192.0.2.9");
    }

    #[test]
    fn the_nearest_address_that_is_no_proxys_is_the_clients() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["203.0.113.5, 192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            (&["203.0.113.5", "192.0.2.1", "2001:db8::7"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db9::1]:4711"], "2001:db9::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, nonsense"], "10.0.0.1"),
            (&["192.0.2.1, nonsense, 10.2.2.2"], "10.2.2.2"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
            (&["10.3.3.3"], "10.3.3.3"),
        ] {
            assert_eq!(client(&trusted, "10.0.0.1", lines), expected, "{lines:?}");
        }
        assert_eq!(client(&trusted, "::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
    }
}
