//! Bodies that are larger than allowed.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

/// How much of a refused body is read, and for how long.
const DRAINED: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses a body that says it is too large, once it has been sent: a connection that is closed while the client still
/// writes is reset, and the client never hears why.
pub(super) async fn refuse(State(max_body): State<usize>, request: Request, next: Next) -> Response {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_none_or(|length| length <= max_body) {
        return next.run(request).await;
    }
    let drain = async {
        let mut left = DRAINED;
        let mut chunks = request.into_body().into_data_stream();
        while let Some(Ok(chunk)) = chunks.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whether all of it came in time makes no difference to the answer.
    let _ = tokio::time::timeout(PATIENCE, drain).await;
    StatusCode::PAYLOAD_TOO_LARGE.into_response()
}
