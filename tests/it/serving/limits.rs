//! Too many requests, too long ones, and a service that is told to stop: each has its answer.

use serde_json::{Value, json};

use super::bad::refused;
use super::{JSON, WITHIN, by_hand, start};
use crate::support::{Answer, Service, eventually, eventually_true, python};

/// Turns of the slow model that take seconds on any machine, and less than a minute.
const SECONDS: u64 = 2_000_000;
/// Turns that nobody waits for.
const ENDLESS: u64 = 1_000_000_000_000;
/// Turns of the deaf model that take most of a minute.
const DEAF: u64 = 8_000_000;

/// With the model `slow`.
fn start_slow(set: &[&str]) -> Option<(tempfile::TempDir, Service)> {
    let (folder, service) = start(set)?;
    by_hand::write(folder.path())?;
    register(&service, folder.path(), "slow");
    Some((folder, service))
}

fn register(service: &Service, folder: &std::path::Path, model: &str) {
    by_hand::call(service, "registered-models/create", &json!({ "name": model }));
    by_hand::champion(service, model, &folder.join(format!("{model}.onnx")));
    let path = format!("/v2/models/{model}/ready");
    eventually_true(WITHIN, &path, || service.http().get(&path).status == 200);
}

fn ask(service: &Service, model: &str, turns: u64) -> Answer {
    let row = json!({"features": {"turns": turns}}).to_string();
    service.http().post(&format!("/v2/models/{model}/infer"), JSON, row)
}

/// Waits until this many requests run or wait.
fn wait_for(service: &Service, state: &str, count: usize) {
    let line = format!("plimsoll_serving_slots{{state=\"{state}\"}} {count}\n");
    eventually_true(WITHIN, &line, || service.http().get("/metrics").body.contains(&line));
}

#[track_caller]
fn answered(answer: &Answer, turns: u64) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["prediction"]["value"].as_f64(), Some(turns as f64), "{}", answer.body);
}

#[test]
fn beyond_the_queue_requests_are_refused_at_once_and_those_that_were_taken_are_answered() {
    let set = ["serving.concurrency=1", "serving.queue=1", "serving.deadline=2m", "serving.max_request=4KiB"];
    let Some((_folder, mut service)) = start_slow(&set) else { return };
    let service_ref = &service;
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| ask(service_ref, "slow", SECONDS));
        wait_for(service_ref, "busy", 1);
        let waits = scope.spawn(|| ask(service_ref, "slow", 3));
        wait_for(service_ref, "waiting", 1);
        let full = ask(service_ref, "slow", 1);
        refused(&full, 429, "too many requests wait");
        assert_eq!(full.header("retry-after"), Some("1"));
        let metrics = service_ref.http().get("/metrics").body;
        assert!(metrics.contains("plimsoll_serving_saturation 2\n"), "{metrics}");
        // What asks nothing of the model is answered all the same.
        assert_eq!(service_ref.http().get("/v2/health/ready").status, 200);
        answered(&runs.join().unwrap(), SECONDS);
        answered(&waits.join().unwrap(), 3);
    });
    let metrics = service.http().get("/metrics").body;
    for line in [
        "plimsoll_serving_requests_total{model=\"\",result=\"busy\",way=\"http\"} 1",
        "plimsoll_serving_requests_total{model=\"slow\",result=\"ok\",way=\"http\"} 2",
        "plimsoll_serving_saturation 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(service.log().contains("a request is refused") && service.log().contains("too many requests wait"));
    refused(
        &service.http().post("/v2/models/slow/infer", JSON, vec![b' '; 5_000]),
        413,
        "larger than serving.max_request",
    );
    service.terminate();
}

#[test]
fn a_run_ends_at_its_deadline_and_one_that_does_not_hear_it_is_given_up() {
    let set = ["serving.concurrency=1", "serving.queue=1", "serving.deadline=2s"];
    let Some((folder, service)) = start_slow(&set) else { return };
    register(&service, folder.path(), "deaf");
    answered(&ask(&service, "slow", 7), 7);
    refused(&ask(&service, "slow", ENDLESS), 504, "took longer than allowed and was stopped");
    // The slot is free again.
    answered(&ask(&service, "slow", 7), 7);
    refused(&ask(&service, "deaf", DEAF), 504, "took longer than allowed");
    // This one still holds it: who waits is told to come again, and is not kept waiting for good.
    wait_for(&service, "busy", 1);
    let waited = ask(&service, "slow", 7);
    refused(&waited, 503, "waited too long for its turn");
    assert_eq!(waited.header("retry-after"), Some("1"));
    let errors = eventually(WITHIN, "the model's failures are logged as answers", || {
        let metrics = service.http().get("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("plimsoll_serving_logged_total{result=\"published\"}"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).filter(|count| *count >= 3)
    });
    assert_eq!(errors, 3, "two answers and one that was stopped");
}

#[test]
fn while_it_drains_it_is_not_ready_and_answers_what_is_under_way() {
    let Some((_folder, mut service)) = start_slow(&["serving.deadline=2m", "serving.sessions=2"]) else { return };
    send(&service, "streamed", SECONDS);
    let http = service.http().clone();
    std::thread::scope(|scope| {
        let service = &mut service;
        let asked = http.clone();
        let under_way = scope.spawn(move || {
            let row = json!({"features": {"turns": SECONDS}}).to_string();
            asked.post("/v2/models/slow/infer", JSON, row)
        });
        wait_for(service, "busy", 1);
        let watched = http.clone();
        let leaving = scope.spawn(move || {
            loop {
                // None once nobody listens any more.
                let answer = watched.try_get("/v2/health/ready")?;
                if answer.status != 200 {
                    return Some(answer);
                }
            }
        });
        service.process().signal("TERM");
        let leaving = leaving.join().unwrap().expect("it says that it leaves before it stops listening");
        refused(&leaving, 503, "plimsoll is stopping");
        assert_eq!(leaving.header("retry-after"), Some("1"));
        answered(&under_way.join().unwrap(), SECONDS);
        service.terminate();
    });
    service.launch();
    service.wait_ready();
    let (bootstrap, topic) = (service.bootstrap(), service.topic("responses"));
    let told = eventually(WITHIN, "the request of the stream is answered", || {
        let told = python("tests/clients/consume.py", &["--bootstrap", &bootstrap, "--topic", &topic], "")?;
        told.contains("streamed").then_some(told)
    });
    let records: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_it = |record: &&Value| record.to_string().contains("streamed");
    assert!(records.iter().filter(of_it).all(|record| record.to_string().contains("prediction")), "{told}");
    service.terminate();
}

fn send(service: &Service, id: &str, turns: u64) {
    let request = json!({"id": id, "model": "slow", "features": {"turns": turns}});
    let record = json!({"key": id, "value": request, "headers": {}}).to_string() + "\n";
    let (bootstrap, topic) = (service.bootstrap(), service.topic("requests"));
    python("tests/clients/produce.py", &["--bootstrap", &bootstrap, "--topic", &topic], &record)
        .expect("there is a Python for it");
}
