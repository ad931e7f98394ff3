//! Where webhooks may go. Whoever can make one makes this service send requests, so that by default it sends them to the
//! public internet over TLS, and to this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// The hosts beyond the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    allowed: Vec<AllowedHost>,
}

/// A host that may have a private address and do without TLS: `hooks.internal`, `10.0.0.7:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    /// In lower case; an IPv6 address without its brackets.
    host: String,
    /// None is every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("Invalid webhook URL: {0}")]
    Malformed(String),
    #[error("Invalid webhook URL: it must hold no user and password, since it is shown")]
    Userinfo,
    #[error("Invalid webhook URL scheme: '{0}'. Use https, or name the host in registry.webhooks.allow")]
    Scheme(String),
    #[error(
        "Webhook URL leads to {0}, which is no public address; name the host in registry.webhooks.allow if it is meant"
    )]
    Private(String),
}

impl Targets {
    #[must_use]
    pub const fn new(allowed: Vec<AllowedHost>) -> Self {
        Self { allowed }
    }

    /// The URL, if a request may go there; what its name resolves to is for [`Targets::may_reach`].
    pub fn check(&self, url: &str) -> Result<Url, TargetError> {
        let url = Url::parse(url.trim()).map_err(|error| TargetError::Malformed(error.to_string()))?;
        let host = url.host().ok_or_else(|| TargetError::Malformed("it names no host".to_owned()))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(TargetError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Userinfo);
        }
        let (name, address) = match &host {
            Host::Domain(name) => (name.trim_end_matches('.').to_ascii_lowercase(), None),
            Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(*address))),
            Host::Ipv6(address) => (address.to_string(), Some(IpAddr::V6(*address))),
        };
        let port = url.port_or_known_default();
        let is_named =
            self.allowed.iter().any(|entry| entry.host == name && entry.port.is_none_or(|p| Some(p) == port));
        if is_named || name == LOCALHOST || address.is_some_and(|address| address.is_loopback()) {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err(TargetError::Scheme(url.scheme().to_owned()));
        }
        match address.filter(|address| !is_public(*address)) {
            Some(private) => Err(TargetError::Private(private.to_string())),
            None => Ok(url),
        }
    }

    /// Whether a connection to `host` may go to this address, to which its name has been resolved just now.
    #[must_use]
    pub fn may_reach(&self, host: &str, address: IpAddr) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if self.allowed.iter().any(|entry| entry.host == host) {
            return true;
        }
        if host == LOCALHOST { address.is_loopback() } else { is_public(address) }
    }
}

const LOCALHOST: &str = "localhost";

impl AllowedHost {
    /// The host of a URL, on its port.
    pub fn of(url: &str) -> Result<Self, TargetError> {
        let url = Url::parse(url).map_err(|error| TargetError::Malformed(error.to_string()))?;
        let host = url.host_str().ok_or_else(|| TargetError::Malformed("it names no host".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        Ok(Self { host: host.to_ascii_lowercase(), port: url.port_or_known_default() })
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a host: write hooks.internal, hooks.internal:8080 or 10.0.0.7");
        if text.is_empty() || text.contains(['/', '@', '*', ' ']) {
            return Err(wrong());
        }
        // A scheme without a default port, so that every port is told.
        let url = Url::parse(&format!("plimsoll://{text}")).map_err(|_| wrong())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        Ok(Self { host: host.to_ascii_lowercase(), port: url.port() })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_v6 = self.host.contains(':');
        let (open, close) = if is_v6 { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether the address is one of the public internet: what is set aside for networks, tests and groups is not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| is_public_v6(address), is_public_v4),
    }
}

/// Only `2000::/3` is given out; of it not what documents, tunnels and tests use.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

/// The IPv4 address in a mapped or translated one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let last = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last()),
        _ => address.to_ipv4_mapped(),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let tests = a == 198 && (b == 18 || b == 19);
    let protocols = a == 192 && b == 0 && c == 0;
    let set_aside = a == 0 || a >= 224 || shared || tests || protocols;
    !(set_aside
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(allowed: &[&str]) -> Targets {
        Targets::new(allowed.iter().map(|host| host.parse().unwrap()).collect())
    }

    #[test]
    fn https_to_public_hosts_and_this_machine_are_allowed() {
        let targets = targets(&[]);
        for url in [
            "https://hooks.example.com/x",
            "https://93.184.216.34/",
            "http://localhost:5000/hook",
            "http://127.0.0.1:5000",
            "http://[::1]:5000/",
            "https://[2606:2800:220:1::1]/",
        ] {
            assert!(targets.check(url).is_ok(), "{url}: {:?}", targets.check(url));
        }
    }

    #[test]
    fn what_leads_inside_the_network_is_refused() {
        let targets = targets(&[]);
        for url in [
            "http://hooks.example.com/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://0.0.0.0/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://user:password@hooks.example.com/",
            "https://",
            "hooks.example.com",
            "",
        ] {
            assert!(targets.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_name_that_resolves_into_the_network_is_not_reached() {
        let targets = targets(&["hooks.internal:8080"]);
        let reach = |host: &str, address: &str| targets.may_reach(host, address.parse().unwrap());
        assert!(reach("hooks.example.com", "93.184.216.34"));
        for private in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "fd00::1", "224.0.0.1"] {
            assert!(!reach("hooks.example.com", private), "{private}");
        }
        assert!(reach("localhost", "127.0.0.1") && !reach("localhost", "10.0.0.1"));
        assert!(reach("Hooks.internal.", "10.1.2.3"));
    }

    #[test]
    fn a_named_host_may_be_private_and_do_without_tls_on_its_port() {
        let targets = targets(&["hooks.internal:8080", "10.0.0.7", "[fd00::1]:80"]);
        for url in ["http://hooks.internal:8080/x", "http://10.0.0.7/", "https://10.0.0.7:1/", "http://[fd00::1]/"] {
            assert!(targets.check(url).is_ok(), "{url}: {:?}", targets.check(url));
        }
        assert!(targets.check("http://hooks.internal/x").is_err());
        for text in ["hooks.internal:8080", "10.0.0.7", "[fd00::1]:80"] {
            assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), text);
        }
        for wrong in ["", "http://x", "a b", "*.internal", "x:99999", "u@h"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}
