//! A broker that answers nobody for longer than a session lasts, as on a machine that swaps or writes for long.

use super::*;

/// The one member's heartbeat, which waited, comes too late, and it joins under another name.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_goes_on_reading_after_the_broker_has_stood_still_for_longer_than_its_session() {
    let data = TempDir::new().unwrap();
    let (broker, mut settings) = broker(data.path()).await;
    settings.properties.insert("session.timeout.ms".to_owned(), "2000".to_owned());
    settings.properties.insert("heartbeat.interval.ms".to_owned(), "200".to_owned());
    let telemetry = Telemetry::default();
    let topics = Topics::new(&settings);
    Admin::new(&settings, &telemetry).unwrap().ensure(&topics.all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    let topic = topics.predictions[0].clone();
    let mut consumer = Consumer::new(&settings, GROUP, std::slice::from_ref(&topic), &telemetry).unwrap();
    for round in 0..3 {
        producer.publish(many(&topic, 30)).await.unwrap();
        consumer = blocking(move || {
            let (next, last) = (round * 10, round * 10 + 9);
            let is_read = |read: &Vec<Read>| read.iter().any(|(offset, ..)| *offset == last);
            // A second rebalance may bring some of them twice.
            let seen =
                read(&mut consumer, |_| Some(next), |seen| seen.values().filter(|read| is_read(read)).count() == 3);
            assert_eq!(seen.len(), 3, "round {round}");
            consumer
        })
        .await;
        broker.stand_still(Duration::from_secs(5));
        consumer = blocking(move || {
            lose(&mut consumer);
            consumer
        })
        .await;
    }
    drop(consumer);
    producer.close().await;
    broker.stop().await;
}

/// Polls until the partitions are taken away.
fn lose(consumer: &mut Consumer) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the session has not ended");
        if let Polled::Revoked(_) = consumer.poll(500, POLL).unwrap() {
            return consumer.unassign().unwrap();
        }
    }
}
