//! Whose state it is, and what is refused.

use std::collections::BTreeMap;

use super::*;
use crate::clock::Timestamp;

fn identity(cluster: &str, prefix: &str, joins: i32) -> Identity {
    Identity {
        cluster: Some(cluster.to_owned()),
        prefix: prefix.to_owned(),
        partitions: BTreeMap::from([("plimsoll.joins".to_owned(), joins)]),
    }
}

async fn claim(folder: &tempfile::TempDir, identity: &Identity) -> Result<Deployment, StateError> {
    root_in(folder).claim(identity, Timestamp::from_millis(7)).await
}

#[tokio::test]
async fn the_first_claim_stands_and_the_same_deployment_comes_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = claim(&folder, &identity("c", "p", 3)).await.unwrap();
    let again = root_in(&folder).claim(&identity("c", "p", 3), Timestamp::from_millis(9)).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(root_in(&folder).deployment().await.unwrap(), Some(first));
    // A broker that tells no id is let in: there is nothing to compare.
    let silent = Identity { cluster: None, ..identity("c", "p", 3) };
    assert!(claim(&folder, &silent).await.is_ok());
}

#[tokio::test]
async fn of_two_processes_that_come_at_once_both_have_the_same_deployment() {
    let folder = tempfile::tempdir().unwrap();
    let (root, identity) = (root_in(&folder), identity("c", "p", 3));
    let claims = (0..8).map(|at| root.claim(&identity, Timestamp::from_millis(at)));
    let claimed = futures::future::try_join_all(claims).await.unwrap();
    assert!(claimed.iter().all(|deployment| deployment.deployment == claimed[0].deployment));
}

#[tokio::test]
async fn another_deployment_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    claim(&folder, &identity("c", "p", 3)).await.unwrap();
    for (other, words) in [
        (identity("d", "p", 3), ["'c'", "'d'", "state.url"]),
        (identity("c", "q", 3), ["'p'", "'q'", "state.url"]),
        (identity("c", "p", 4), ["3", "4", "plimsoll state reset"]),
    ] {
        let message = claim(&folder, &other).await.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[tokio::test]
async fn a_marker_that_is_newer_damaged_or_gone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = identity("c", "p", 3);
    claim(&folder, &own).await.unwrap();
    root_in(&folder).partition("ingest", &source()).await.unwrap();
    let marker = folder.path().join("plimsoll.json");

    let text = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(matches!(claim(&folder, &own).await, Err(StateError::NewerFormat { found: 2, .. })));
    std::fs::write(&marker, &text[..text.len() / 2]).unwrap();
    assert!(matches!(claim(&folder, &own).await, Err(StateError::Marker { .. })));
    std::fs::remove_file(&marker).unwrap();
    assert!(matches!(claim(&folder, &own).await, Err(StateError::Marker { .. })));
}

#[tokio::test]
async fn partitions_are_listed_measured_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_in(&folder);
    claim(&folder, &identity("c", "p", 3)).await.unwrap();
    assert_eq!(root.partitions().await.unwrap(), []);
    for (role, partition) in [("join", 0), ("ingest", 12)] {
        let store = root.partition(role, &SourcePartition { partition, ..source() }).await.unwrap();
        store.write(vec![Write::put("a", "1")]).await.unwrap();
        store.close().await.unwrap();
    }
    let listed = root.partitions().await.unwrap();
    let names: Vec<String> = listed.iter().map(|state| format!("{} {}", state.role, state.source)).collect();
    assert_eq!(names, ["ingest predictions-12", "join predictions-0"]);
    assert!(root.size(&listed[0]).await.unwrap().bytes > 0);

    root.delete(&listed[0]).await.unwrap();
    assert_eq!(root.partitions().await.unwrap(), listed[1..]);
    let store = root.partition("ingest", &listed[0].source).await.unwrap();
    assert_eq!(store.get(b"a").await.unwrap(), None, "a reset partition begins anew");
}
