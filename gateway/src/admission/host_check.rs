//! Whom a request believes to speak to, and which page it comes from.
//!
//! A node that asks for no keys is on a loopback address, and serves whoever is on the machine. A browser there is
//! made to send requests by any page in it, and a name of that page's owner may lead to the loopback address ("DNS
//! rebinding"). What such a request cannot forge is its `Host` and its `Origin`: here both must be this node's own.
//! Where keys are needed, or strangers are served on purpose, a node may have any name.

use std::net::IpAddr;

use cloister_protocol::ErrorCode;
use hyper::header::{HOST, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Request, Version};

/// The names by which this node may be spoken to.
#[derive(Clone, Copy, Debug)]
pub enum HostNames {
    /// Any.
    Any,
    /// Those of the loopback addresses, and names without a dot, of which no stranger is the owner. The port is any: what
    /// is forwarded here from another one is still spoken to by such a name.
    Loopback,
}

/// Why a request is refused, for programs and for people.
pub type HostRefusal = (ErrorCode, &'static str);

const HOSTLESS: HostRefusal =
    (ErrorCode::InvalidRequest, "Host: expected once, as the name or address of this node, with or without its port");

const WRONG_HOST: HostRefusal = (
    ErrorCode::Forbidden,
    "Host: a node that asks for no keys is only spoken to as localhost, 127.0.0.1, [::1] or by a name without a dot; \
     give it keys (--keys), or pass --no-auth to serve under any name",
);

const WRONG_ORIGIN: HostRefusal = (
    ErrorCode::Forbidden,
    "Origin: a node that asks for no keys is not for pages of others; give it keys (--keys) for these",
);

impl HostNames {
    /// Looks at a request of whatever path.
    ///
    /// # Errors
    /// Why it is not served.
    pub fn check<B>(self, request: &Request<B>) -> Result<(), HostRefusal> {
        let host = one(request.headers(), HOST.as_str()).map_err(|()| HOSTLESS)?;
        if host.is_none() && request.version() == Version::HTTP_11 {
            return Err(HOSTLESS);
        }
        let host = host.map(|host| authority(host).ok_or(HOSTLESS)).transpose()?;
        let Self::Loopback = self else { return Ok(()) };
        // An absolute target, as HTTP/2 has it, says it too, and goes before the header.
        let target = request.uri().authority();
        if host.is_none() && target.is_none() && request.version() != Version::HTTP_10 {
            return Err(WRONG_HOST);
        }
        if ![host.as_ref(), target].into_iter().flatten().all(is_own) {
            return Err(WRONG_HOST);
        }
        match one(request.headers(), ORIGIN.as_str()) {
            Ok(None) => Ok(()),
            Ok(Some(origin)) => {
                let spoken_to = target.or(host.as_ref());
                let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
                // A page is under a name that leads here from everywhere, for who answers for others is anyone's guess.
                let page = page.and_then(authority).filter(|page| Some(page) == spoken_to && is_loopback(page));
                page.map(|_| ()).ok_or(WRONG_ORIGIN)
            }
            Err(()) => Err(WRONG_ORIGIN),
        }
    }
}

/// A header that may be there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(|_| ()),
        _ => Err(()),
    }
}

/// A name or address and perhaps a port, and nothing else.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let has_port = port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (!authority.host().is_empty() && (port.is_empty() || has_port)).then_some(authority)
}

fn is_own(name: &Authority) -> bool {
    is_loopback(name) || !name.host().contains(['.', ':'])
}

fn is_loopback(name: &Authority) -> bool {
    let host = name.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_loopback = address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use cloister_protocol::ErrorCode;
    use hyper::{Request, Version};

    use super::HostNames;

    fn told(names: HostNames, version: Version, headers: &[(&str, &str)]) -> Option<ErrorCode> {
        let mut request = Request::get("/execute").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        names.check(&request.body(()).expect("a request")).err().map(|(code, _)| code)
    }

    #[test]
    fn a_host_is_named_once_and_well() {
        let names = [HostNames::Any, HostNames::Loopback];
        for hosts in [
            &[][..],
            &["localhost", "localhost"],
            &[""],
            &["a b"],
            &["a@localhost"],
            &["localhost:x"],
            &["localhost:"],
            &["a/b"],
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            for names in names {
                assert_eq!(told(names, Version::HTTP_11, &headers), Some(ErrorCode::InvalidRequest), "{hosts:?}");
            }
        }
        assert_eq!(told(HostNames::Any, Version::HTTP_11, &[("host", "cloister.example:444")]), None);
        assert_eq!(told(HostNames::Loopback, Version::HTTP_10, &[]), None);
        assert_eq!(told(HostNames::Loopback, Version::HTTP_2, &[]), Some(ErrorCode::Forbidden));
    }

    #[test]
    fn a_node_without_keys_is_spoken_to_by_its_own_names() {
        let told = |host| told(HostNames::Loopback, Version::HTTP_11, &[("host", host)]);
        for own in [
            "localhost",
            "LocalHost:8080",
            "localhost:9000",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "node:8080",
        ] {
            assert_eq!(told(own), None, "{own}");
        }
        for other in ["evil.example", "localhost.evil.example:8080", "10.0.0.1", "[::2]", "0.0.0.0:8080", "localhost."]
        {
            assert_eq!(told(other), Some(ErrorCode::Forbidden), "{other}");
        }
    }

    #[test]
    fn a_page_is_this_nodes_own_or_none() {
        let told =
            |origin| told(HostNames::Loopback, Version::HTTP_11, &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(told("http://localhost:8080"), None);
        for other in [
            "null",
            "",
            "http://evil.example",
            "http://localhost:9090",
            "http://localhost",
            "file://",
            "http://localhost:8080/a",
        ] {
            assert_eq!(told(other), Some(ErrorCode::Forbidden), "{other}");
        }
        let elsewhere = [("host", "node:8080"), ("origin", "http://node:8080")];
        let elsewhere = super::tests::told(HostNames::Loopback, Version::HTTP_11, &elsewhere);
        assert_eq!(elsewhere, Some(ErrorCode::Forbidden));
    }
}
