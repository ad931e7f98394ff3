//! Versions that change under load, and a service that is killed with requests on the stream.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{JSON, WITHIN, register, row, start, version};
use crate::support::{Service, eventually, python};

#[test]
fn no_request_is_lost_while_a_version_is_swapped() {
    let Some((folder, mut service)) = start(&[]) else { return };
    register(&service, folder.path());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ask = || {
            let mut versions = BTreeSet::new();
            while !over.load(Ordering::Relaxed) || versions.len() < 2 {
                let answer = service.http().post("/v2/models/m/infer", JSON, row("load"));
                assert_eq!(answer.status, 200, "{}", answer.body);
                versions.insert(answer.json()["version"].as_str().unwrap().to_owned());
            }
            versions
        };
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let number = version(&service, "good");
        over.store(true, Ordering::Relaxed);
        for asked in asking {
            assert_eq!(asked.join().unwrap(), BTreeSet::from(["1".to_owned(), number.clone()]));
        }
    });
    service.terminate();
}

#[test]
fn every_request_of_the_stream_has_an_answer_although_the_service_is_killed() {
    let Some((folder, mut service)) = start(&[]) else { return };
    register(&service, folder.path());
    let ids: Vec<String> = (0..600).map(|number| format!("r{number}")).collect();
    send(&service, &ids[..300]);
    service.kill();
    service.launch();
    service.wait_ready();
    send(&service, &ids[300..]);
    let (bootstrap, topic) = (service.bootstrap(), service.topic("responses"));
    let answered = eventually(WITHIN, "every request is answered", || {
        let args = ["--bootstrap", &bootstrap, "--topic", &topic];
        let told = python("tests/clients/consume.py", &args, "")?;
        let found: BTreeSet<String> = told.lines().filter_map(id_of_answered).collect();
        (found.len() >= ids.len()).then_some(found)
    });
    assert_eq!(answered, ids.into_iter().collect());
    service.terminate();
}

fn id_of_answered(line: &str) -> Option<String> {
    let record: Value = serde_json::from_str(line).ok()?;
    let answer: Value = match &record["value"] {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    answer["prediction"]["label"].as_str()?;
    answer["id"].as_str().map(str::to_owned)
}

fn send(service: &Service, ids: &[String]) {
    let record = |id: &String| {
        let request = json!({"id": id, "model": "m", "features": {"amount": 3, "colour": "red"}});
        json!({"key": id, "value": request, "headers": {}}).to_string() + "\n"
    };
    let records: String = ids.iter().map(record).collect();
    let (bootstrap, topic) = (service.bootstrap(), service.topic("requests"));
    let args = ["--bootstrap", &bootstrap, "--topic", &topic];
    python("tests/clients/produce.py", &args, &records).expect("there is a Python for it");
}
