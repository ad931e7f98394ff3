//! The broker in this process: tansu over one libSQL file.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tansu_broker::broker::Broker;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_storage::{GroupDetail, GroupState, Storage as _, StorageContainer, UpdateError};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::BusError;

/// The largest record that the embedded broker can give back: it never sends more than 5 MiB at once.
pub(super) const LARGEST_RECORD: u32 = 5_000_000;

const FILE: &str = "broker.db";
/// Beside the database: the id of the cluster that it is. A data folder made anew is another cluster.
const CLUSTER_FILE: &str = "cluster.id";
const FIRST_CLUSTER: &str = "plimsoll";
const NODE: i32 = 1;
/// The longest to wait for the broker to accept connections, and for its work to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Kafka broker on threads of its own, so that its database work never holds up the service.
#[derive(Debug)]
pub struct EmbeddedBroker {
    address: SocketAddr,
    serving: JoinHandle<()>,
    /// Taken when the broker stops.
    runtime: Option<Runtime>,
    /// Holds the folder by which the database is reached; see [`Storage`].
    _storage: Storage,
}

/// The database as a URL.
#[derive(Debug)]
struct Storage {
    url: Url,
    cluster: String,
    /// A link to the data folder, where the folder's own path cannot be written in the URL: tansu does not decode
    /// `%20`.
    _link: Option<TempDir>,
}

impl EmbeddedBroker {
    /// Starts the broker in this process and returns when it accepts connections. Port 0 takes a free port.
    pub async fn start(listen: SocketAddr, data: &Path) -> Result<Self, BusError> {
        let refused = |reason: String| BusError::Embedded { listen: listen.to_string(), reason };
        let address = claim(listen).map_err(refused)?;
        let storage = Storage::open(data).map_err(refused)?;
        let (url, cluster) = (storage.url.clone(), storage.cluster.clone());
        let forgotten = tokio::task::spawn_blocking(move || forget_members(&url, &cluster, address)).await;
        forgotten.map_err(|error| refused(error.to_string()))?.map_err(refused)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("embedded-broker")
            .enable_all()
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let (failed, mut failure) = tokio::sync::oneshot::channel();
        let (url, cluster) = (storage.url.clone(), storage.cluster.clone());
        let serving = runtime.spawn(async move {
            let Err(reason) = serve(address, url, &cluster).await else { return };
            // Nobody waits for the reason once the broker has accepted a connection.
            if let Err(reason) = failed.send(reason) {
                tracing::error!(%address, "the embedded broker ended: {reason}");
            }
        });
        let broker = Self { address, serving, runtime: Some(runtime), _storage: storage };
        tokio::select! {
            reason = &mut failure => Err(refused(reason.unwrap_or_else(|_| "it ended at once".to_owned()))),
            answered = tokio::time::timeout(PATIENCE, accepts(address)) => match answered {
                Ok(()) => Ok(broker),
                Err(_) => Err(refused("it does not accept connections".to_owned())),
            },
        }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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

impl Storage {
    fn open(data: &Path) -> Result<Self, String> {
        let unusable = |error: std::io::Error| format!("its data folder {} cannot be used: {error}", data.display());
        std::fs::create_dir_all(data).map_err(unusable)?;
        let folder = data.canonicalize().map_err(unusable)?;
        let cluster = cluster_of(&folder).map_err(unusable)?;
        if let Some(url) = database_url(&folder) {
            return Ok(Self { url, cluster, _link: None });
        }
        let (link, folder) = link_to(&folder).map_err(unusable)?;
        match database_url(&folder) {
            Some(url) => Ok(Self { url, cluster, _link: Some(link) }),
            None => Err(format!("its data folder {} cannot be written as a URL: choose another", data.display())),
        }
    }
}

/// Runs until an error: the broker has no end of its own.
async fn serve(address: SocketAddr, storage: Url, cluster: &str) -> Result<(), String> {
    let listener = tcp_url(address)?;
    // Clients connect to the address that the broker advertises, and nobody can connect to "any".
    let advertised = match address.ip() {
        ip if ip.is_unspecified() => tcp_url(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()))?,
        _ => listener.clone(),
    };
    let mut broker = Broker::<Controller<StorageContainer>, StorageContainer>::builder()
        .node_id(NODE)
        .cluster_id(cluster)
        .incarnation_id(Uuid::nil())
        .listener(listener)
        .advertised_listener(advertised)
        .storage(storage)
        .silent(true)
        .build()
        .await
        .map_err(|error| error.to_string())?;
    broker.serve(Instant::now()).await.map_err(|error| error.to_string())
}

/// Empties every group; committed offsets stay. Its members have died with the last broker, or will join again when
/// they are told that they are unknown. Tansu would hand partitions to the dead, and when it drops them at last it does
/// not tell the living to share anew. Blocks.
fn forget_members(storage: &Url, cluster: &str, broker: SocketAddr) -> Result<(), String> {
    // When a runtime has ended, so have the connections that its tasks hold: they would lock the database.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let listener = tcp_url(broker)?;
    runtime.block_on(empty_groups(storage, cluster, listener)).map_err(|error| error.to_string())
}

async fn empty_groups(storage: &Url, cluster: &str, listener: Url) -> Result<(), tansu_storage::Error> {
    let storage = StorageContainer::builder()
        .cluster_id(cluster)
        .node_id(NODE)
        .advertised_listener(listener)
        .storage(storage.clone())
        .silent(true)
        .build()
        .await?;
    // Unlike tansu's default, whose protocol without a name no member can agree to.
    let state = GroupState::Forming { protocol_type: None, protocol_name: None, leader: None };
    let empty = GroupDetail { state, ..GroupDetail::default() };
    for group in storage.list_groups(None).await? {
        let mut outcome = storage.update_group(&group.group_id, empty.clone(), None).await;
        // Only the first version of a group is written without naming the one before.
        if let Err(UpdateError::Outdated { version, .. }) = outcome {
            outcome = storage.update_group(&group.group_id, empty.clone(), Some(version)).await;
        }
        if let Err(error) = outcome {
            tracing::warn!(group = group.group_id, ?error, "the group's last members cannot be forgotten");
        }
    }
    Ok(())
}

/// Finds out at once whether the port is free, and which it is.
fn claim(listen: SocketAddr) -> Result<SocketAddr, String> {
    let claimed = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    claimed.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => "the port is in use; set kafka.listen to a free one, or kafka.brokers to the broker \
                                 that has it"
            .to_owned(),
        _ => format!("{error}; set kafka.listen to an address of this machine"),
    })
}

async fn accepts(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn tcp_url(address: SocketAddr) -> Result<Url, String> {
    Url::parse(&format!("tcp://{address}")).map_err(|error| error.to_string())
}

/// Tansu takes the path of the URL without its first slash, relative to the current folder, so that an absolute one
/// needs two. None if the path changes by being written as a URL.
fn database_url(folder: &Path) -> Option<Url> {
    let file = folder.join(FILE);
    let path = format!("/{}", file.to_str()?);
    let url = Url::parse(&format!("sqlite://{path}")).ok()?;
    (url.path() == path && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

/// The id in the folder, or a new one that is written there; a database without one is of a version before it.
fn cluster_of(folder: &Path) -> std::io::Result<String> {
    let file = folder.join(CLUSTER_FILE);
    match std::fs::read_to_string(&file) {
        Ok(id) => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if folder.join(FILE).exists() {
        return Ok(FIRST_CLUSTER.to_owned());
    }
    // No two folders of a machine are the same one, changed at the same nanosecond.
    let made = std::fs::metadata(folder)?;
    let folder = format!("{}/{}/{}/{}", made.dev(), made.ino(), made.ctime(), made.ctime_nsec());
    let id = format!("plimsoll-{:016x}", xxh3_64(folder.as_bytes()));
    std::fs::write(&file, &id)?;
    Ok(id)
}

fn link_to(folder: &Path) -> std::io::Result<(TempDir, PathBuf)> {
    let parent = TempDir::new()?;
    let link = parent.path().join("data");
    std::os::unix::fs::symlink(folder, &link)?;
    Ok((parent, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_folder_is_written_as_it_is() {
        let url = database_url(Path::new("/var/lib/plimsoll")).unwrap();
        assert_eq!(url.path(), "//var/lib/plimsoll/broker.db");
        assert_eq!(database_url(Path::new("/home/Zoë/my data")), None);
        assert_eq!(database_url(Path::new("/data?x")), None);
    }

    #[test]
    fn a_folder_keeps_its_cluster_and_a_new_one_is_another() {
        let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let cluster = cluster_of(one.path()).unwrap();
        assert_eq!(cluster_of(one.path()).unwrap(), cluster);
        assert_ne!(cluster_of(other.path()).unwrap(), cluster);
    }

    #[tokio::test]
    async fn any_folder_will_do() {
        let parent = TempDir::new().unwrap();
        let data = parent.path().join("Zoë's data #1");
        let broker = EmbeddedBroker::start("127.0.0.1:0".parse().unwrap(), &data).await.unwrap();
        assert!(data.join(FILE).exists());
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
