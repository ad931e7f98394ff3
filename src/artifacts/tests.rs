use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::*;

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

fn store(folder: &Path, max_file: u64) -> Artifacts {
    Artifacts::open(&ArtifactSettings { url: format!("file://{}", folder.display()), max_file }).unwrap()
}

async fn put(store: &Artifacts, name: &str, content: &[u8]) -> Result<Stored, ArtifactError> {
    let chunks: Vec<Result<Bytes, String>> =
        content.chunks(1 << 20).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    store.put(&path(name), stream::iter(chunks)).await
}

async fn get(store: &Artifacts, name: &str) -> Result<(Vec<u8>, Option<String>), ArtifactError> {
    let found = store.get(&path(name)).await?;
    let chunks: Vec<Bytes> = found.content.try_collect().await?;
    Ok((chunks.concat(), found.sha256))
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[tokio::test]
async fn a_file_comes_back_with_its_digest_however_large_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100 << 20);
    let large: Vec<u8> = (0..20_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(put(&store, "0/r/a b#ü.txt", b"abc").await.unwrap(), Stored { size: 3, sha256: abc.to_owned() });
    let stored = put(&store, "0/r/large.bin", &large).await.unwrap();
    assert_eq!(get(&store, "0/r/a b#ü.txt").await.unwrap(), (b"abc".to_vec(), Some(abc.to_owned())));
    let (content, sha256) = get(&store, "0/r/large.bin").await.unwrap();
    assert!(content == large && sha256 == Some(stored.sha256));
    let entries = store.list(&path("0/r")).await.unwrap();
    let named: Vec<(&str, Option<u64>)> = entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
    assert_eq!(named, [("a b#ü.txt", Some(3)), ("large.bin", Some(20_000_000))]);
    assert_eq!(store.list(&path("0")).await.unwrap(), [Entry { name: "r".into(), size: None }]);
    for nothing in ["0/r/large.bin", "0/nobody"] {
        assert_eq!(store.list(&path(nothing)).await.unwrap(), [], "{nothing}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 100 << 20);
    put(&store, "0/r/old.txt", b"old").await.unwrap();
    let before = files(folder.path());
    for (name, chunks) in [("0/r/old.txt", 1), ("0/r/new.bin", 1), ("0/r/new.bin", 20)] {
        let whole = stream::repeat_with(|| Ok(Bytes::from(vec![1_u8; 1 << 20]))).take(chunks);
        let cut = whole.chain(stream::once(async { Err("the connection was closed".to_owned()) }));
        let error = store.put(&path(name), cut).await.unwrap_err();
        assert!(matches!(&error, ArtifactError::BrokenOff { reason, .. } if reason.contains("closed")), "{error}");
    }
    assert_eq!(files(folder.path()), before);
    assert_eq!(get(&store, "0/r/old.txt").await.unwrap().0, b"old");
    assert!(matches!(get(&store, "0/r/new.bin").await, Err(ArtifactError::Missing { .. })));
    assert_eq!(store.list(&path("0/r")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 10_000_000);
    let error = put(&store, "large.bin", &vec![0; 10_000_001]).await.unwrap_err();
    assert!(error.to_string().contains("registry.max_artifact"), "{error}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
    put(&store, "fits.bin", &vec![0; 10_000_000]).await.unwrap();
}

#[tokio::test]
async fn a_digest_of_another_content_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1_000);
    put(&store, "a.txt", b"abc").await.unwrap();
    std::fs::write(folder.path().join("files/a.txt"), b"another").unwrap();
    assert_eq!(get(&store, "a.txt").await.unwrap(), (b"another".to_vec(), None));
}

#[tokio::test]
async fn a_folder_is_deleted_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 1_000);
    for name in ["0/r/a.txt", "0/r/deep/b.txt", "0/rest.txt"] {
        put(&store, name, b"abc").await.unwrap();
    }
    store.delete(&path("0/r")).await.unwrap();
    store.delete(&path("0/nobody")).await.unwrap();
    assert!(matches!(get(&store, "0/r/deep/b.txt").await, Err(ArtifactError::Missing { .. })));
    assert_eq!(get(&store, "0/rest.txt").await.unwrap().0, b"abc");
    assert!(store.delete(&ArtifactPath::root()).await.is_err());
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for text in [
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "/a",
        "//a",
        "a//b",
        "/",
        "a\\b",
        "..\\a",
        "%2e%2e/a",
        "a/%2E%2e",
        "a%2fb",
        "%252e%252e/a",
        "a\0b",
        "a\nb",
    ] {
        assert!(ArtifactPath::parse(text).is_err(), "{text:?}");
    }
    assert!(ArtifactPath::parse(&"x/".repeat(600)).is_err());
    assert!(ArtifactPath::parse(&"x".repeat(201)).is_err());
    for text in ["a", "a/b.txt", "a/..b/c..", "ü ä/x#y?z", "a/"] {
        assert!(ArtifactPath::parse(text).is_ok(), "{text:?}");
    }
}
