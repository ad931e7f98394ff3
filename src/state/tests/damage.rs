//! Real files of real state, really damaged: refused, or everything is still there; never a silent start from zero.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Rows of two lives: those of the first are in a table, those of the second in the log only.
const ROWS: [u32; 2] = [5, 10];
/// Long enough for any refusal; a store that is asked again and again would never be refused.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Damage {
    FlipMiddle,
    FlipEnd,
    Halve,
    Empty,
    Delete,
}

const DAMAGES: [Damage; 5] = [Damage::FlipMiddle, Damage::FlipEnd, Damage::Halve, Damage::Empty, Damage::Delete];

async fn write_rows(root: &StateRoot, rows: std::ops::Range<u32>) -> Arc<dyn Store> {
    let store = root.partition("join", &source()).await.unwrap();
    for row in rows {
        let key = format!("row/{row:03}");
        store.write(vec![Write::put(key, vec![7; 100]), Write::put("offset", row.to_string())]).await.unwrap();
    }
    store
}

async fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_rows(&root_in(&folder), 0..ROWS[0]).await.close().await.unwrap();
    drop(write_rows(&root_in(&folder), ROWS[0]..ROWS[1]).await);
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
}

fn damage(file: &Path, damage: Damage) {
    let mut bytes = fs::read(file).unwrap();
    let length = bytes.len();
    match damage {
        Damage::FlipMiddle if length > 0 => bytes[length / 2] ^= 0x40,
        Damage::FlipEnd if length > 0 => bytes[length - 1] ^= 0x01,
        Damage::Halve => bytes.truncate(length / 2),
        Damage::Empty => bytes.clear(),
        Damage::Delete => return fs::remove_file(file).unwrap(),
        Damage::FlipMiddle | Damage::FlipEnd => {}
    }
    fs::write(file, bytes).unwrap();
}

/// The offset and the rows; or why not.
async fn read(folder: &tempfile::TempDir) -> Result<(Option<u32>, BTreeSet<u32>), StateError> {
    let store = root_in(folder).partition("join", &source()).await?;
    let offset = store.get(b"offset").await?;
    let offset = offset.map(|bytes| std::str::from_utf8(&bytes).unwrap().parse().unwrap());
    let rows = store.scan(b"row/", &prefix_end(b"row/")).await?;
    Ok((offset, rows.iter().map(|(key, _)| std::str::from_utf8(&key[4..]).unwrap().parse().unwrap()).collect()))
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_does_no_harm() {
    let whole = state().await;
    let intact = read(&whole).await.unwrap();
    assert_eq!(intact, (Some(ROWS[1] - 1), (0..ROWS[1]).collect()));
    let whole = state().await;
    let (mut refused, mut wrong) = (BTreeSet::new(), Vec::new());
    for file in files(&whole.path().join("join")) {
        for kind in DAMAGES {
            let folder = tempfile::tempdir().unwrap();
            copy(whole.path(), folder.path());
            let name = file.strip_prefix(whole.path()).unwrap();
            damage(&folder.path().join(name), kind);
            let read = tokio::time::timeout(PATIENCE, read(&folder)).await;
            let Ok(read) = read else {
                wrong.push(format!("{}: {kind:?} is waited for", name.display()));
                continue;
            };
            match read {
                // The last writes may be gone together with their offset: they are read again from Kafka.
                Ok((Some(offset), rows)) => {
                    if rows != (0..=offset).collect() {
                        wrong.push(format!("{}: {kind:?} leaves a hole", name.display()));
                    }
                    if offset < ROWS[1] - 1 && !matches!(kind, Damage::Delete | Damage::Empty) {
                        wrong.push(format!("{}: {kind:?} goes back to offset {offset}", name.display()));
                    }
                }
                Ok((None, rows)) => {
                    wrong.push(format!("{}: {kind:?} starts from zero with {} rows", name.display(), rows.len()));
                }
                Err(StateError::Corrupt { reason, .. }) => {
                    refused.insert(format!("{}: {kind:?}: {reason}", name.display()));
                }
                // Without its newest manifest a database looks as if somebody had taken it over since.
                Err(StateError::Fenced { .. }) if matches!(kind, Damage::Delete) => {}
                Err(error) => wrong.push(format!("{}: {kind:?}: {error}", name.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for folder in ["/manifest/", "/wal/", "/compacted/"] {
        let told = refused.iter().filter(|refusal| refusal.contains(folder)).count();
        assert!(told >= DAMAGES.len() - 1, "damage in {folder} is refused: {refused:#?}");
    }
}

#[tokio::test]
async fn state_that_is_gone_is_refused() {
    for gone in ["join/predictions-3/manifest", "join/predictions-3/compacted", "join/predictions-3", "join"] {
        let folder = state().await;
        fs::remove_dir_all(folder.path().join(gone)).unwrap();
        let read = tokio::time::timeout(PATIENCE, read(&folder)).await.unwrap();
        let message = read.unwrap_err().to_string();
        assert!(message.contains("plimsoll state reset"), "{gone}: {message}");
    }
}
