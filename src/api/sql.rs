//! SQL over HTTP: the query in the body, the rows in the format that `Accept` asks for.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{ApiState, Problem, SqlFormat, SqlProblem};

/// Tells that rows were left out; the formats have no place for it.
const TRUNCATED: HeaderName = HeaderName::from_static("plimsoll-truncated");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
}

pub(super) async fn answer(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let body = body.map_err(IntoResponse::into_response)?;
    let format = format_of(&headers).map_err(IntoResponse::into_response)?;
    let sql = sql_of(&headers, &body).map_err(IntoResponse::into_response)?;
    let answer = state.parts.sql.query(state.snapshot(), sql, format).await;
    let answer = answer.map_err(|problem| failed(problem).into_response())?;
    let mut response = answer.body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if answer.truncated {
        response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The first format of `Accept` that there is; weights are not looked at.
fn format_of(headers: &HeaderMap) -> Result<SqlFormat, Problem> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let known = |range: &str| match range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "*/*" | "application/*" | "application/json" => Some(SqlFormat::Json),
        "text/csv" | "text/*" => Some(SqlFormat::Csv),
        "application/vnd.apache.arrow.stream" => Some(SqlFormat::ArrowStream),
        _ => None,
    };
    accept.split(',').find_map(known).ok_or_else(|| {
        let detail = "accept application/json, text/csv or application/vnd.apache.arrow.stream";
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    })
}

/// `{"sql":"…"}`, or the SQL itself when it is not declared as JSON and does not look like it.
fn sql_of(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| Problem::bad_request("not_utf8", error.to_string()))?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = content_type.trim().starts_with("application/json") || text.trim_start().starts_with('{');
    let sql = if is_json {
        let question: Question = serde_json::from_str(text).map_err(|error| {
            Problem::bad_request("malformed_json", format!("write {{\"sql\":\"SELECT …\"}}: {error}"))
        })?;
        question.sql
    } else {
        text.to_owned()
    };
    if sql.trim().is_empty() {
        return Err(Problem::bad_request("empty_body", "there is no SQL in the body"));
    }
    Ok(sql)
}

fn failed(problem: SqlProblem) -> Problem {
    match problem {
        SqlProblem::Refused { code, detail } => Problem::bad_request(&code, detail),
        SqlProblem::TimedOut { detail } => Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail),
        SqlProblem::Failed { code, detail } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &code, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> Result<SqlFormat, Problem> {
        format_of(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]))
    }

    #[test]
    fn the_first_known_format_of_accept_is_written() {
        assert_eq!(format_of(&HeaderMap::new()).unwrap(), SqlFormat::Json);
        assert_eq!(accepting("text/html, text/csv;q=0.9").unwrap(), SqlFormat::Csv);
        assert_eq!(accepting("application/vnd.apache.arrow.stream").unwrap(), SqlFormat::ArrowStream);
        assert_eq!(accepting("*/*").unwrap(), SqlFormat::Json);
        assert!(accepting("image/png").is_err());
    }
}
