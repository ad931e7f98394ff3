//! The broker in this process: tansu over one libSQL file.

mod connections;
mod fetching;
mod folder;
mod groups;
mod news;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use connections::serve;
use folder::Folder;
use tansu_storage::{BrokerRegistrationRequest, Storage as _, StorageContainer};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;
use uuid::Uuid;

use super::BusError;
use crate::processors::Processors;

/// The largest record that the embedded broker can give back: it never sends more than 5 MiB at once.
pub(super) const LARGEST_RECORD: u32 = 5_000_000;

const NODE: i32 = 1;
const THREADS: usize = 2;
/// The longest to wait for the broker to accept connections, and for its work to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Kafka broker on threads of its own, so that its database work never holds up the service.
#[derive(Debug)]
pub struct EmbeddedBroker {
    address: SocketAddr,
    serving: JoinHandle<()>,
    /// Taken when the broker stops.
    runtime: Option<Runtime>,
    /// Holds the link by which the database may be reached.
    _folder: Folder,
}

impl EmbeddedBroker {
    /// Starts the broker in this process and returns when it accepts connections. Port 0 takes a free port.
    pub async fn start(listen: SocketAddr, data: &Path) -> Result<Self, BusError> {
        Self::start_on(&Processors::default(), listen, data).await
    }

    /// [`EmbeddedBroker::start`] on some of the processors.
    pub async fn start_on(processors: &Processors, listen: SocketAddr, data: &Path) -> Result<Self, BusError> {
        let refused = |reason: String| BusError::Embedded { listen: listen.to_string(), reason };
        let (listener, address) = claim(listen).map_err(refused)?;
        let folder = Folder::open(data).map_err(refused)?;
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(THREADS).thread_name("embedded-broker").enable_all();
        processors.keep(usize::MAX, &mut runtime);
        let runtime = runtime.build().map_err(|error| refused(error.to_string()))?;
        let (opened, opening) = oneshot::channel();
        let (url, cluster) = (folder.url.clone(), folder.cluster.clone());
        let serving = runtime.spawn(async move {
            let (outcome, opened_as) = match open(&url, &cluster, address).await {
                Ok(storage) => (Ok(()), Some(storage)),
                Err(reason) => (Err(reason), None),
            };
            // Who started it may have gone on to other things.
            let _ = opened.send(outcome);
            let Some(storage) = opened_as else { return };
            if let Err(reason) = serve(listener, &cluster, storage).await {
                tracing::error!(%address, "the embedded broker ended: {reason}");
            }
        });
        let broker = Self { address, serving, runtime: Some(runtime), _folder: folder };
        match tokio::time::timeout(PATIENCE, opening).await {
            Ok(Ok(Ok(()))) => Ok(broker),
            Ok(Ok(Err(reason))) => Err(refused(reason)),
            Ok(Err(_)) => Err(refused("it ended at once".to_owned())),
            Err(_) => Err(refused("its database does not open".to_owned())),
        }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers nobody for this long.
    #[cfg(test)]
    pub(super) fn stand_still(&self, duration: Duration) {
        let Some(runtime) = &self.runtime else { return };
        for _ in 0..THREADS {
            runtime.spawn(async move { std::thread::sleep(duration) });
        }
    }

    /// Ends all connections, lets the work under way finish, and closes the database.
    pub async fn stop(mut self) {
        self.serving.abort();
        let Some(runtime) = self.runtime.take() else { return };
        // Ending a runtime blocks, which an async thread must not.
        let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "the embedded broker did not end cleanly");
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the database, without the members that its groups had.
async fn open(url: &Url, cluster: &str, address: SocketAddr) -> Result<StorageContainer, String> {
    // Clients connect to the address that the broker advertises, and nobody can connect to "any".
    let advertised = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        _ => address,
    };
    let advertised = Url::parse(&format!("tcp://{advertised}")).map_err(|error| error.to_string())?;
    let storage = StorageContainer::builder()
        .cluster_id(cluster)
        .node_id(NODE)
        .advertised_listener(advertised)
        .storage(url.clone())
        .silent(true)
        .build()
        .await
        .map_err(|error| error.to_string())?;
    let registration = BrokerRegistrationRequest {
        broker_id: NODE,
        cluster_id: cluster.to_owned(),
        incarnation_id: Uuid::nil(),
        rack: None,
    };
    storage.register_broker(registration).await.map_err(|error| error.to_string())?;
    groups::forget_members(&storage).await.map_err(|error| error.to_string())?;
    Ok(storage)
}

/// Finds out at once whether the port is free, and which it is.
fn claim(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let claimed = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    claimed.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => "the port is in use; set kafka.listen to a free one, or kafka.brokers to the broker \
                                 that has it"
            .to_owned(),
        _ => format!("{error}; set kafka.listen to an address of this machine"),
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn any_folder_will_do() {
        let parent = TempDir::new().unwrap();
        let data = parent.path().join("Zoë's data #1");
        let broker = EmbeddedBroker::start("127.0.0.1:0".parse().unwrap(), &data).await.unwrap();
        assert!(data.join(folder::FILE).exists());
        broker.stop().await;
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let data = TempDir::new().unwrap();
        let error = EmbeddedBroker::start(taken.local_addr().unwrap(), data.path()).await.unwrap_err();
        assert!(error.to_string().contains("kafka.listen"), "{error}");
    }
}
