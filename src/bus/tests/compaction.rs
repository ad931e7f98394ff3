//! Reading on the embedded broker where compaction has taken records away. It compacts when it starts.

use super::*;

/// A broker that starts with 600 records of seven keys on the first partition of a compacted topic.
async fn restarted_with_revisions(of: impl Fn(&Topics) -> &String) -> (TempDir, EmbeddedBroker, BusSettings) {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let topics = Topics::new(&settings);
    let admin = Admin::new(&settings, &telemetry).unwrap();
    admin.ensure(&topics.all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    let topic = of(&topics);
    let revisions = (0..600).map(|index| record(topic, 0, &(index % 7).to_string(), Some("revision")));
    producer.publish(revisions.collect()).await.unwrap();
    producer.close().await;
    broker.stop().await;
    let restarted = EmbeddedBroker::start(settings.bootstrap().parse().unwrap(), data.path()).await.unwrap();
    (data, restarted, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_left_by_compaction_repeat_nothing() {
    // Compaction comes before the reading, or during it.
    let (_data, restarted, settings) = restarted_with_revisions(|topics| &topics.accounting).await;
    let (name, telemetry) = (Topics::new(&settings).accounting, Telemetry::default());
    let offsets: Vec<i64> = blocking(move || {
        let deadline = Instant::now() + PATIENCE;
        let mut tail = Tail::new(&settings, &[name], &telemetry).unwrap();
        let mut seen = BTreeMap::new();
        while !tail.is_caught_up() {
            assert!(Instant::now() < deadline);
            add(&mut seen, tail.poll(100, POLL).unwrap());
        }
        seen.into_values().flatten().map(|(offset, ..)| offset).collect()
    })
    .await;
    assert!(offsets.is_sorted_by(|before, after| before < after), "{offsets:?}");
    assert_eq!(offsets[offsets.len() - 7..], [593, 594, 595, 596, 597, 598, 599]);
    restarted.stop().await;
}

/// There the log begins with the first record that is left: what a reader had not read of the others is superseded, not
/// lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_where_compaction_has_taken_what_it_would_have_read_next() {
    let (_data, restarted, settings) = restarted_with_revisions(|topics| &topics.panes).await;
    let (topics, telemetry) = (Topics::new(&settings), Telemetry::default());
    let admin = Admin::new(&settings, &telemetry).unwrap();
    let (panes, deadline) = (source(&topics.panes, 0), Instant::now() + PATIENCE);
    while admin.ends(&panes).await.ok() != Some((593, 600)) {
        assert!(Instant::now() < deadline, "the broker has not compacted");
        tokio::time::sleep(POLL).await;
    }
    let mut consumer = Consumer::new(&settings, GROUP, std::slice::from_ref(&topics.panes), &telemetry).unwrap();
    let seen = blocking(move || {
        let seen = read(&mut consumer, |source| (source.partition == 0).then_some(100), |seen| total(seen) >= 7);
        drop(consumer);
        seen
    })
    .await;
    let offsets: Vec<i64> = seen[&panes].iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(offsets, [593, 594, 595, 596, 597, 598, 599]);
    restarted.stop().await;
}
