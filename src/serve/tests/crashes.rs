//! The role on its runner's partition, killed at every step: no request of the stream stays without an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::runner::OpenPartition;
use crate::state::MemoryStore;

/// Requests of each batch.
const BATCHES: [usize; 3] = [1, 3, 2];

/// Answers by the key of their request.
type Answers = BTreeMap<String, Vec<Vec<u8>>>;

async fn open(store: &MemoryStore) -> OpenPartition {
    let topics = Topics::named("plimsoll", &["predictions".to_owned()], &["outcomes".to_owned()]);
    let source = SourcePartition { topic: topics.requests.clone(), partition: 0 };
    let (_settled, settled) = watch::channel(true);
    let (settings, metrics) = (ServingSettings::default(), ServingMetrics::new(&Telemetry::default()).unwrap());
    let (log, _) = answer_log(1, String::new(), &metrics);
    let (shadow, _) = shadow_queue(log, std::time::Duration::from_secs(1), &metrics);
    let role = ServeRole { topics, catalogue: Arc::default(), settings, metrics, shadow, settled };
    OpenPartition::open(&role, source, 1, Arc::new(store.clone()), NOW).await.unwrap()
}

/// Requests for a model that is not there have answers, too.
fn records(first: usize, count: usize) -> Records {
    let mut records = Records::default();
    for number in first..first + count {
        let (key, offset) = (number.to_string(), i64::try_from(number).unwrap());
        let request = json!({"id": key, "model": "m", "features": {}}).to_string();
        records.push(offset, None, Some(key.as_bytes()), Some(request.as_bytes()));
    }
    records
}

fn publish(answers: &mut Answers, outgoing: &[Outgoing]) {
    for record in outgoing {
        assert_eq!(record.topic, "plimsoll.responses");
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        answers.entry(key).or_default().push(record.payload.clone().unwrap());
    }
}

/// What was answered, with a crash before step `crash`; each batch is applied, written, half and wholly published, and
/// noted as published. Returns also how many steps there were.
async fn told(crash: usize) -> (Answers, usize) {
    let (mut store, mut answers, mut step) = (MemoryStore::new(), Answers::new(), 0);
    let mut partition = open(&store).await;
    for batch in 0..BATCHES.len() {
        let (first, count) = (BATCHES[..batch].iter().sum(), BATCHES[batch]);
        loop {
            let mut crashes = || {
                step += 1;
                step == crash
            };
            let done = async {
                partition.apply(&records(first, count), NOW).await.unwrap();
                if crashes() {
                    return false;
                }
                let outgoing = partition.checkpoint(NOW).await.unwrap();
                if crashes() {
                    return false;
                }
                if crashes() {
                    publish(&mut answers, &outgoing[..outgoing.len() / 2]);
                    return false;
                }
                publish(&mut answers, &outgoing);
                if crashes() {
                    return false;
                }
                partition.published();
                true
            };
            if done.await {
                break;
            }
            store = store.reopen();
            partition = open(&store).await;
            // What was written and perhaps not published is said again, before anything else is read.
            let outgoing = partition.checkpoint(NOW).await.unwrap();
            publish(&mut answers, &outgoing);
            partition.published();
        }
    }
    (answers, step)
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_no_request_without_an_answer() {
    let (undisturbed, steps) = told(usize::MAX).await;
    let requests: usize = BATCHES.iter().sum();
    assert_eq!(undisturbed.len(), requests);
    assert!(undisturbed.values().all(|answers| answers.len() == 1), "without a crash each has one");
    for crash in 1..=steps {
        let (answers, _) = told(crash).await;
        assert_eq!(answers.len(), requests, "crash before step {crash}");
        for (key, answers) in &answers {
            let wanted = &undisturbed[key][0];
            assert!(answers.len() <= 2 && answers.iter().all(|answer| answer == wanted), "{key}, step {crash}");
        }
    }
}
