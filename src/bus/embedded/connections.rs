//! The broker's connections, and its housekeeping.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rama_core::{Context, Layer as _, Service};
use tansu_broker::Error;
use tansu_broker::service::{auth, coordinator, storage};
use tansu_service::{BytesFrameLayer, FrameRouteService, TcpBytesLayer, TcpContext, TcpContextLayer};
use tansu_storage::{Storage as _, StorageContainer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fetching::Fetching;
use super::groups::Groups;
use super::news::News;

/// How often topics are compacted and old records removed; also at the start.
const MAINTENANCE: Duration = Duration::from_mins(10);
/// What a connection that cannot be accepted (no descriptor is left) waits for.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs until an error: the broker has no end of its own. All connections end with it.
pub(super) async fn serve(listener: StdListener, cluster: &str, database: StorageContainer) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let fetching = answers(database).map_err(|error| error.to_string())?;
    let mut maintenance = tokio::time::interval(MAINTENANCE);
    let mut work = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (cluster, fetching) = (cluster.to_owned(), fetching.clone());
                    work.spawn(async move { answer(stream, peer, cluster, fetching).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            _ = maintenance.tick() => {
                let fetching = fetching.clone();
                work.spawn(async move { maintain(&fetching).await });
            }
            Some(ended) = work.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the embedded broker lost a connection");
                }
            }
        }
    }
}

/// What answers every connection.
fn answers(database: StorageContainer) -> Result<Fetching, Error> {
    let routes = storage::services(FrameRouteService::<(), Error>::builder(), database.clone())?;
    let routes = coordinator::services(routes, Groups::new(database.clone())?)?;
    let tansu = auth::services(routes)?.build()?;
    Ok(Fetching { tansu, storage: database, news: Arc::new(News::default()) })
}

async fn answer(stream: TcpStream, peer: SocketAddr, cluster: String, fetching: Fetching) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "small answers may be slow");
    }
    let layers = (
        TcpContextLayer::new(TcpContext::default().cluster_id(Some(cluster))),
        TcpBytesLayer::<()>::default(),
        BytesFrameLayer::default(),
    );
    match layers.into_layer(fetching).serve(Context::default(), stream).await {
        Ok(()) => {}
        Err(Error::Io(error)) if has_gone(error.kind()) => {}
        Err(error) => tracing::warn!(%peer, %error, "the embedded broker ends a connection"),
    }
}

#[allow(clippy::disallowed_methods, reason = "tansu reads the time of this machine everywhere else, too")]
async fn maintain(fetching: &Fetching) {
    if let Err(error) = fetching.storage.maintain(SystemTime::now()).await {
        tracing::warn!(%error, "the embedded broker cannot compact its topics; it tries again in ten minutes");
    }
    fetching.news.forget();
}

fn has_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}
