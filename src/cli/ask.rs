//! Asking a running service over HTTP.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Which service is asked.
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// Where the service listens
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "PLIMSOLL_URL")]
    pub url: String,
    /// Bearer token, if the service asks for one
    #[arg(long, env = "PLIMSOLL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// RFC 9457, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    /// Of MLflow's errors.
    message: String,
}

/// Gets what stands at a path, whose parts are encoded as need be.
pub(super) async fn get<P: AsRef<str>>(service: &Service, path: &[P]) -> anyhow::Result<String> {
    answered(&service.url, authorised(service, reqwest::Client::new().get(url_of(service, path)?))).await
}

/// Posts JSON to a path.
pub(super) async fn post<P: AsRef<str>>(service: &Service, path: &[P], body: Value) -> anyhow::Result<String> {
    let request = reqwest::Client::new().post(url_of(service, path)?).json(&body);
    answered(&service.url, authorised(service, request)).await
}

/// As [`get`], with a query, for what may be no text.
pub(super) async fn get_bytes(service: &Service, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Vec<u8>> {
    let mut url = url_of(service, path)?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let response = response(&service.url, authorised(service, reqwest::Client::new().get(url))).await?;
    let bytes = response.bytes().await.with_context(|| format!("the answer of {} broke off", service.url))?;
    Ok(bytes.to_vec())
}

fn url_of<P: AsRef<str>>(service: &Service, path: &[P]) -> anyhow::Result<Url> {
    let mut url = Url::parse(&service.url).with_context(|| format!("{} is no address", service.url))?;
    url.path_segments_mut().map_err(|()| anyhow!("{} is no address", service.url))?.pop_if_empty().extend(path);
    Ok(url)
}

fn authorised(service: &Service, request: RequestBuilder) -> RequestBuilder {
    match &service.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// The body of the answer; an error says what the service at `base` has against the request.
pub(super) async fn answered(base: &str, request: RequestBuilder) -> anyhow::Result<String> {
    let response = response(base, request).await?;
    response.text().await.with_context(|| format!("the answer of {base} broke off"))
}

async fn response(base: &str, request: RequestBuilder) -> anyhow::Result<Response> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Err(anyhow!(error).context(format!("nothing answers at {base}: is `plimsoll up` running?")));
        }
        Err(error) => return Err(anyhow!(error).context(format!("cannot ask {base}"))),
    };
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if !status.is_success() {
        let body = response.text().await.with_context(|| format!("the answer of {base} broke off"))?;
        bail!(refusal(status.as_u16(), content_type.as_deref(), &body));
    }
    Ok(response)
}

/// What went wrong, from a problem document if there is one.
fn refusal(status: u16, content_type: Option<&str>, body: &str) -> String {
    let is_json = content_type.is_some_and(|name| name.contains("json"));
    let problem: Problem = if is_json { serde_json::from_str(body).unwrap_or_default() } else { Problem::default() };
    let words = [problem.detail, problem.message, problem.title].into_iter().find(|words| !words.is_empty());
    let words = words.unwrap_or_default();
    match (words.is_empty(), problem.code.is_empty()) {
        (true, _) => format!("the service answered {status}: is this the address of plimsoll?"),
        (false, true) => words,
        (false, false) => format!("{words} ({})", problem.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_becomes_one_clear_line() {
        let body = r#"{"title":"query refused","status":400,"detail":"no field named x","code":"query_plan"}"#;
        assert_eq!(refusal(400, Some("application/problem+json"), body), "no field named x (query_plan)");
        let page = refusal(404, Some("text/html"), "<html>");
        assert_eq!(page, "the service answered 404: is this the address of plimsoll?");
    }
}
