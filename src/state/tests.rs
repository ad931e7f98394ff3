mod damage;
mod identity;

use std::sync::Arc;

use super::*;
use crate::event::SourcePartition;

fn source() -> SourcePartition {
    SourcePartition { topic: "predictions".to_owned(), partition: 3 }
}

fn root_in(folder: &tempfile::TempDir) -> StateRoot {
    let url = format!("file://{}", folder.path().display());
    StateRoot::open(&StateSettings { url, cache: 4 << 20 }).unwrap()
}

fn keys(rows: &[(Bytes, Bytes)]) -> Vec<&str> {
    rows.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect()
}

async fn behaves_like_a_store(store: &dyn Store) {
    store.write(vec![]).await.unwrap();
    store
        .write(vec![
            Write::put("pane/1", "one"),
            Write::put("pane/2", "two"),
            Write::put("pane/3", "three"),
            Write::put("other", "kept"),
            Write::Put { key: "pane/4".into(), value: "four".into(), ttl: Some(Span::from_days(60)) },
        ])
        .await
        .unwrap();
    assert_eq!(store.get(b"pane/2").await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(store.get(b"pane").await.unwrap(), None);

    let wanted = [b"pane/3".to_vec(), b"missing".to_vec(), b"pane/1".to_vec(), b"pane/3".to_vec()];
    let found = store.get_many(&wanted).await.unwrap();
    assert_eq!(found, [Some("three".into()), None, Some("one".into()), Some("three".into())]);
    assert!(store.get_many(&[]).await.unwrap().is_empty());

    store.write(vec![Write::delete("pane/2"), Write::delete("never"), Write::put("pane/1", "uno")]).await.unwrap();
    let rows = store.scan(b"pane/", &prefix_end(b"pane/")).await.unwrap();
    assert_eq!(keys(&rows), ["pane/1", "pane/3", "pane/4"]);
    assert_eq!(rows[0].1, "uno");
    assert_eq!(keys(&store.scan(b"pane/1", b"pane/3").await.unwrap()), ["pane/1"]);
    assert!(store.scan(b"b", b"a").await.unwrap().is_empty());

    store.write(vec![Write::put("twice", "first"), Write::delete("twice")]).await.unwrap();
    assert_eq!(store.get(b"twice").await.unwrap(), None, "the last write of a batch counts");
}

#[tokio::test]
async fn both_stores_behave_the_same() {
    behaves_like_a_store(&MemoryStore::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let store = root_in(&folder).partition("ingest", &source()).await.unwrap();
    behaves_like_a_store(store.as_ref()).await;
}

#[tokio::test]
async fn what_was_written_is_there_after_closing_and_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = root_in(&folder).partition("ingest", &source()).await.unwrap();
    store.write(vec![Write::put("a", "1")]).await.unwrap();
    store.close().await.unwrap();
    assert!(store.get(b"a").await.is_err());

    let store = root_in(&folder).partition("ingest", &source()).await.unwrap();
    store.write(vec![Write::put("b", "2")]).await.unwrap();
    drop(store);

    let store = root_in(&folder).partition("ingest", &source()).await.unwrap();
    assert_eq!(store.get(b"a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get(b"b").await.unwrap().as_deref(), Some(&b"2"[..]));
    assert!(folder.path().join("ingest/predictions-3").is_dir());
}

#[tokio::test]
async fn handles_of_a_memory_store_share_their_rows() {
    let store = MemoryStore::new();
    store.clone().write(vec![Write::put("a", "1")]).await.unwrap();
    assert_eq!(store.get(b"a").await.unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn partitions_do_not_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_in(&folder);
    let one = root.partition("ingest", &source()).await.unwrap();
    let other = root.partition("ingest", &SourcePartition { partition: 4, ..source() }).await.unwrap();
    one.write(vec![Write::put("a", "1")]).await.unwrap();
    assert_eq!(other.get(b"a").await.unwrap(), None);
}

#[tokio::test]
async fn a_second_open_fences_the_first_writer() {
    let folder = tempfile::tempdir().unwrap();
    let first = root_in(&folder).partition("join", &source()).await.unwrap();
    first.write(vec![Write::put("owner", "first")]).await.unwrap();

    let second = root_in(&folder).partition("join", &source()).await.unwrap();
    let refused = first.write(vec![Write::put("owner", "first again")]).await;
    assert!(matches!(refused, Err(StateError::Fenced { .. })), "{refused:?}");
    let refused = first.write(vec![Write::put("owner", "once more")]).await;
    assert!(matches!(refused, Err(StateError::Fenced { .. })), "{refused:?}");

    assert_eq!(second.get(b"owner").await.unwrap().as_deref(), Some(&b"first"[..]));
    second.write(vec![Write::put("owner", "second")]).await.unwrap();
    first.close().await.unwrap();
    assert_eq!(second.get(b"owner").await.unwrap().as_deref(), Some(&b"second"[..]));
}

#[tokio::test]
async fn state_of_another_or_unreadable_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_in(&folder);
    let store = root.partition("ingest", &source()).await.unwrap();
    store.write(vec![Write::put("meta/format", "4")]).await.unwrap();
    store.close().await.unwrap();
    let refused = root.partition("ingest", &source()).await.err();
    assert!(matches!(refused, Some(StateError::NewerFormat { found: 4, known: 3, .. })), "{refused:?}");

    let older = SourcePartition { partition: 1, ..source() };
    let store = root.partition("ingest", &older).await.unwrap();
    store.write(vec![Write::put("meta/format", "2")]).await.unwrap();
    store.close().await.unwrap();
    let refused = root.partition("ingest", &older).await.err();
    assert!(matches!(refused, Some(StateError::OlderFormat { found: 2, known: 3, .. })), "{refused:?}");

    let source = SourcePartition { partition: 0, ..source() };
    let store = root.partition("ingest", &source).await.unwrap();
    store.write(vec![Write::put("meta/format", "new")]).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(root.partition("ingest", &source).await, Err(StateError::Corrupt { .. })));
}

#[tokio::test]
async fn an_empty_key_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = root_in(&folder).partition("ingest", &source()).await.unwrap();
    assert!(matches!(store.write(vec![Write::put("", "1")]).await, Err(StateError::Storage { .. })));
}

#[tokio::test]
async fn many_small_writes_are_all_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_in(&folder);
    let store = root.partition("ingest", &source()).await.unwrap();
    for offset in 0..700_u32 {
        store.write(vec![Write::put("offset", offset.to_be_bytes())]).await.unwrap();
    }
    drop(store);
    let store = root.partition("ingest", &source()).await.unwrap();
    assert_eq!(store.get(b"offset").await.unwrap().as_deref(), Some(&699_u32.to_be_bytes()[..]));
}

#[tokio::test]
async fn packed_rows_hold_on_disk_what_they_hold_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = root_in(&folder).partition("join", &source()).await.unwrap();
    let memory = MemoryStore::new();
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    // Enough for the memtable to be flushed several times.
    for round in 0..1_200_u32 {
        let value = round.to_be_bytes();
        let mut ids: Vec<u128> = (0..5).map(|_| u128::from(next(20))).collect();
        ids.sort_unstable();
        ids.dedup();
        let entries = ids.into_iter().map(|id| PackedEntry {
            id,
            forgets: next(8) == 0,
            first: (next(2) == 0).then_some(&value[..]),
            latest: (next(2) == 0).then_some(&value[..]),
        });
        let change = pack(entries, round < 3);
        let key = format!("entries/{}", round % 3);
        let write = if round < 3 { Write::put(key, change) } else { Write::merge(key, change) };
        memory.write(vec![write.clone()]).await.unwrap();
        disk.write(vec![write]).await.unwrap();
        if round % 500 == 499 {
            // As after a kill: nothing is closed.
            disk = root_in(&folder).partition("join", &source()).await.unwrap();
        }
    }
    let keys: Vec<Vec<u8>> = (0..3).map(|row| format!("entries/{row}").into_bytes()).collect();
    let expected = memory.get_many(&keys).await.unwrap();
    assert!(expected.iter().all(|row| row.as_ref().is_some_and(|row| unpack(row).count() > 5)));
    assert_eq!(disk.get_many(&keys).await.unwrap(), expected);
    let scanned = disk.scan(b"entries/", &prefix_end(b"entries/")).await.unwrap();
    assert_eq!(scanned.into_iter().map(|(_, row)| Some(row)).collect::<Vec<_>>(), expected);
}
