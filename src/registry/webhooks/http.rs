//! Webhooks over HTTP, to allowed addresses only: names are resolved here, and a connection goes nowhere else.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use super::poster::{Post, PostError, Poster, Reply};
use super::targets::{TargetError, Targets};

#[derive(Debug)]
pub(super) struct HttpPoster {
    /// Without certificates, for example, there is none; that must not keep the service from starting.
    client: Result<Client, String>,
}

/// The longest that a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of an answer.
const LARGEST_ANSWER: usize = 4_096;

struct GuardedResolver {
    targets: Targets,
}

impl HttpPoster {
    pub(super) fn new(targets: Targets) -> Self {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect or a proxy would lead past the check.
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(GuardedResolver { targets })
            .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { client: client.map_err(|error| in_full(&error)) }
    }
}

#[async_trait]
impl Poster for HttpPoster {
    async fn post(&self, post: Post) -> Result<Reply, PostError> {
        let client = self.client.as_ref().map_err(|reason| PostError::Unreachable(reason.clone()))?;
        let mut request = client.post(&post.url).body(post.body);
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let unreachable = |error: reqwest::Error| PostError::Unreachable(in_full(&error.without_url()));
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        // An answer that breaks off has been an answer.
        while body.len() < LARGEST_ANSWER
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(LARGEST_ANSWER - body.len())]);
        }
        Ok(Reply { status: response.status().as_u16(), body: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.targets.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().filter(|address| targets.may_reach(host, address.ip())).copied().collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(private)) => Err(TargetError::Private(private.ip().to_string()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// With every cause, which says more than the outermost.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
