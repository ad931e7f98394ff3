//! Where HTTP listens and what it accepts.

use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct HttpSettings {
    pub listen: SocketAddr,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Threads that answer requests; what takes long is done on others.
    pub threads: usize,
    /// When set, requests other than `/livez`, `/readyz` and `/metrics` must carry it: as a bearer
    /// token, or as the password of HTTP Basic.
    pub token: Option<String>,
}
