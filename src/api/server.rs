//! The listener, and its orderly end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{ApiState, HttpSettings, router};

/// How long requests that are under way may take after the end was asked for; those of models have their own deadline.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("http cannot listen on {listen}: {reason}; stop what uses this address or set http.listen to another one")]
    Listen { listen: SocketAddr, reason: String },
    #[error("http on {listen} failed: {reason}")]
    Serve { listen: SocketAddr, reason: String },
}

/// Takes the configured address, for any runtime to answer on; port 0 becomes a free port, which the listener tells.
pub async fn bind(settings: &HttpSettings) -> Result<std::net::TcpListener, ApiError> {
    let listen = settings.listen;
    let bound = TcpListener::bind(listen).await.and_then(TcpListener::into_std);
    bound.map_err(|error| ApiError::Listen { listen, reason: error.to_string() })
}

/// Answers requests until `shutdown`, then finishes those under way.
pub async fn serve(
    listener: std::net::TcpListener,
    state: ApiState,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    let configured = state.parts.settings.listen;
    let listen = listener.local_addr().unwrap_or(configured);
    let failed = |error: std::io::Error| ApiError::Serve { listen, reason: error.to_string() };
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    info!(%listen, "http is listening");
    let grace = GRACE.max(state.parts.serving.longest());
    let server = axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        outcome = server => outcome.map_err(failed),
        () = overdue => {
            warn!(%listen, "http requests did not end in time and were cut off");
            Ok(())
        }
    }
}
