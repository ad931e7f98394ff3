//! Where the embedded broker keeps its database, and the id of the cluster that it is.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const FILE: &str = "broker.db";
/// Beside the database: the id of the cluster that it is. A data folder made anew is another cluster.
const CLUSTER_FILE: &str = "cluster.id";
const FIRST_CLUSTER: &str = "plimsoll";

/// The database as a URL.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) url: Url,
    pub(super) cluster: String,
    /// A link to the data folder, where the folder's own path cannot be written in the URL: tansu does not decode
    /// `%20`.
    _link: Option<TempDir>,
}

impl Folder {
    pub(super) fn open(data: &Path) -> Result<Self, String> {
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
}
