//! State in a bucket, on a real server that speaks S3.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::event::SourcePartition;
use plimsoll::state::{StateError, StateRoot, StateSettings, Store, Write};

use super::{PATIENCE, blocked, post, the_day_ends_with, wait_until_counted};
use crate::small;
use crate::support::{S3Server, Service, ServiceOptions, eventually, eventually_true, pause, plimsoll};

#[test]
fn state_in_a_bucket_survives_a_kill_with_keys_of_a_profile() {
    let Some(s3) = S3Server::start("plimsoll-state") else { return };
    let (url, home) = (s3.url(), s3.home());
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(&ServiceOptions {
        models: &small::model(folder.path()),
        set: &["state.url=s3://plimsoll-state/team/one"],
        env: &[
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_PROFILE", "plimsoll"),
            ("HOME", home.to_str().unwrap()),
            ("AWS_ACCESS_KEY_ID", ""),
            ("AWS_SECRET_ACCESS_KEY", ""),
        ],
        ..ServiceOptions::default()
    });
    post(&service, 0..200);
    wait_until_counted(&service, 400);
    service.kill();
    service.launch();
    service.wait_ready();
    post(&service, 200..300);
    wait_until_counted(&service, 600);
    the_day_ends_with(&service, 300);
    service.terminate();

    let verified = service.command("state").arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let local = plimsoll().arg("--config").arg(service.config()).args(["state", "inspect"]).output().unwrap();
    let shown = String::from_utf8_lossy(&local.stdout).into_owned();
    assert!(shown.contains("not yet claimed"), "nothing is in the folder: {shown}");
}

/// Longer than a client waits for one answer (30 s), so that requests whose first attempt may have been carried out are
/// made again.
#[test]
fn a_bucket_that_does_not_answer_holds_reading_up_and_loses_nothing() {
    let Some(s3) = S3Server::start("plimsoll-silent") else { return };
    let url = s3.url();
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(&ServiceOptions {
        models: &small::model(folder.path()),
        set: &["state.url=s3://plimsoll-silent"],
        env: &[
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ],
        ..ServiceOptions::default()
    });
    post(&service, 0..50);
    wait_until_counted(&service, 100);

    s3.pause();
    post(&service, 50..150);
    let said = eventually(PATIENCE, "/readyz says that the bucket is silent", || {
        Some(blocked(&service)).filter(|said| said.contains("has not answered"))
    });
    assert!(said.contains("state at s3://plimsoll-silent") && said.contains("waiting until it does"), "{said}");
    pause(Duration::from_secs(40));
    assert_ne!(service.http().get("/readyz").status, 200);
    let metrics = service.http().get("/metrics").body;
    let failures = metrics.lines().find(|line| line.starts_with("plimsoll_state_failures_total{operation=\"write\"}"));
    assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");

    s3.go_on();
    eventually_true(PATIENCE, "it goes on by itself", || service.http().get("/readyz").status == 200);
    wait_until_counted(&service, 300);
    the_day_ends_with(&service, 150);
    service.terminate();
}

/// Conditional writes alone keep two writers apart: nothing but the bucket connects them.
#[test]
fn of_two_stores_on_one_path_of_a_bucket_the_first_is_fenced() {
    let Some(s3) = S3Server::start("plimsoll-fence") else { return };
    let open = || {
        let url = format!("s3://plimsoll-fence/{}", std::process::id());
        StateRoot::open_with(&StateSettings { url, cache: 4 << 20 }, &s3.environment()).unwrap()
    };
    let source = SourcePartition { topic: "predictions".to_owned(), partition: 0 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first: Arc<dyn Store> = open().partition("ingest", &source).await.unwrap();
        first.write(vec![Write::put("owner", "first")]).await.unwrap();
        let second = open().partition("ingest", &source).await.unwrap();
        let refused = first.write(vec![Write::put("owner", "first again")]).await;
        assert!(matches!(refused, Err(StateError::Fenced { .. })), "{refused:?}");
        assert_eq!(second.get(b"owner").await.unwrap().as_deref(), Some(&b"first"[..]));
        second.write(vec![Write::put("owner", "second")]).await.unwrap();
        second.close().await.unwrap();
        let third = open().partition("ingest", &source).await.unwrap();
        assert_eq!(third.get(b"owner").await.unwrap().as_deref(), Some(&b"second"[..]));
    });
}
