//! A blocking HTTP client.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// Long enough for a slow query on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);

/// For every asynchronous thing that the tests do.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built")
});

static CLIENT: LazyLock<Client> =
    LazyLock::new(|| Client::builder().timeout(TIMEOUT).no_proxy().build().expect("an HTTP client can be built"));

#[derive(Clone, Debug)]
pub struct Http {
    base: String,
    token: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Http {
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), token: None }
    }

    /// The same, with this bearer token on every request.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Such as `http://127.0.0.1:8080`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// None when nobody answers.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        send(self.request(Method::GET, path)).ok()
    }

    pub fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).expect("HTTP answers")
    }

    /// None when nobody answers.
    pub fn try_post(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Option<Answer> {
        send(self.request(Method::POST, path).header("content-type", content_type).body(body.into())).ok()
    }

    pub fn post(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.try_post(path, content_type, body).expect("HTTP answers")
    }

    pub fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        send(self.request(Method::PUT, path).body(body.into())).expect("HTTP answers")
    }

    /// With further headers.
    pub fn post_with(
        &self,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", content_type).body(body.into());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        send(request).expect("HTTP answers")
    }

    /// Posts SQL and asks for this content type.
    pub fn sql_as(&self, accept: &str, sql: &str) -> Answer {
        let request = self.request(Method::POST, "/v1/sql").header(CONTENT_TYPE, "application/sql");
        send(request.header(ACCEPT, accept).body(sql.to_owned())).expect("HTTP answers")
    }

    /// The rows, as objects.
    pub fn sql(&self, sql: &str) -> Vec<Value> {
        let answer = self.post("/v1/sql", "application/sql", sql);
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("SQL answers a JSON array")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = CLIENT.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn send(request: RequestBuilder) -> reqwest::Result<Answer> {
    RUNTIME.block_on(async {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        Ok(Answer { status, content_type, headers, body: response.text().await? })
    })
}
