//! Who may ask: those who show the token, and no page of another site in their name.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};

use super::credentials::{self, BASIC, BEARER};
use super::router::INCOMING;
use super::{HttpSettings, Problem};

/// Probes and scrapers come without a token.
const OPEN: [&str; 6] = ["/livez", "/readyz", "/metrics", "/health", "/v2/health/live", "/v2/health/ready"];

/// Why this request is not answered, if it is not.
pub(super) fn refusal(settings: &HttpSettings, request: &Request) -> Option<Problem> {
    of_another_site(settings, request).or_else(|| without_token(settings, request))
}

/// Refuses requests without the configured token.
fn without_token(settings: &HttpSettings, request: &Request) -> Option<Problem> {
    let token = settings.token.as_ref()?;
    let path = request.uri().path();
    if OPEN.contains(&path) || path == INCOMING || credentials::show(request.headers(), token) {
        return None;
    }
    // A browser that opens the first page is asked for a password; programs are told of the token.
    Some(Problem::unauthorized(if path == "/" { BASIC } else { BEARER }))
}

/// Refuses what a browser sends on behalf of another site's page, be it with the password that it remembers. A page
/// cannot hide its `Origin` when it posts.
/// A name that an attacker's DNS points at the loopback address passes that test, so without a token a listener on
/// the loopback address answers to loopback names only.
fn of_another_site(settings: &HttpSettings, request: &Request) -> Option<Problem> {
    let headers = request.headers();
    let host = text(headers, &HOST);
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !reads && headers.contains_key(ORIGIN) && !is_own(text(headers, &ORIGIN), host) {
        let detail = "this request comes from a web page of another site, which is not allowed";
        return Some(Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail));
    }
    let guarded = settings.token.is_none() && settings.listen.ip().is_loopback();
    if guarded && !OPEN.contains(&request.uri().path()) && host.is_some_and(|host| !is_loopback(host)) {
        let detail = "without http.token a listener on the loopback address answers to localhost only; set http.token";
        return Some(Problem::new(StatusCode::FORBIDDEN, "foreign_host", detail));
    }
    None
}

/// Whether `origin` (`scheme://host[:port]`) is the host that was asked.
fn is_own(origin: Option<&str>, host: Option<&str>) -> bool {
    let (Some(origin), Some(host)) = (origin, host) else {
        return false;
    };
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let plain = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    plain(authority) == plain(host)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_own_when_host_and_port_agree() {
        assert!(is_own(Some("http://localhost:8080"), Some("localhost:8080")));
        assert!(is_own(Some("https://Plimsoll.example"), Some("plimsoll.example:443")));
        assert!(!is_own(Some("http://evil.example"), Some("localhost:8080")));
        assert!(!is_own(Some("http://localhost:3000"), Some("localhost:8080")));
        assert!(!is_own(Some("null"), Some("localhost:8080")));
    }

    #[test]
    fn loopback_names_are_localhost_and_loopback_addresses() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "127.8.9.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.evil.example:8080", "evil.example", "10.0.0.1:8080", "[fe80::1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
