use std::sync::Mutex;

use super::*;

/// Remembers what it was given; refuses the batch that holds this id.
#[derive(Default)]
struct Broker {
    batches: Mutex<Vec<Vec<Outgoing>>>,
    refuses: Option<&'static str>,
    stops: Option<CancellationToken>,
}

impl Publish for Broker {
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError> {
        let refused = self.refuses.map(|id| Some(id.as_bytes().to_vec()));
        if refused.is_some_and(|key| records.iter().any(|record| record.key == key)) {
            return Err(BusError::Produce { topic: "predictions".into(), reason: "too large".into() });
        }
        self.batches.lock().unwrap().push(records);
        if let Some(stop) = &self.stops {
            stop.cancel();
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}

impl Broker {
    fn keys(&self) -> Vec<String> {
        let batches = self.batches.lock().unwrap();
        let key = |record: &Outgoing| String::from_utf8(record.key.clone().unwrap()).unwrap();
        batches.iter().flatten().map(key).collect()
    }
}

fn topics() -> ReplayTopics {
    ReplayTopics { predictions: "predictions".into(), outcomes: "outcomes".into() }
}

fn event(number: i64) -> ReplayEvent {
    let kind = if number % 2 == 0 { ReplayKind::Prediction } else { ReplayKind::Outcome };
    ReplayEvent { time: Timestamp::from_millis(number), kind, id: number.to_string(), json: b"{}".to_vec() }
}

fn events(count: i64) -> impl Iterator<Item = Result<ReplayEvent, FileError>> {
    (0..count).map(|number| Ok(event(number)))
}

#[tokio::test]
async fn every_event_goes_to_its_topic_in_order_with_its_id_as_key() {
    let broker = Broker::default();
    let stop = CancellationToken::new();
    let mut seen = 0;
    let published = publish(events(2_500), &broker, &topics(), Pace::AsFastAsPossible, &stop, |progress| {
        seen = progress.events();
    })
    .await
    .unwrap();

    assert!(broker.keys().into_iter().eq((0..2_500).map(|number| number.to_string())));
    let batches = broker.batches.lock().unwrap();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    assert_eq!((batches[0][0].topic.as_str(), batches[0][1].topic.as_str()), ("predictions", "outcomes"));
    assert_eq!((published.predictions, published.outcomes, published.bytes), (1_250, 1_250, 5_000));
    assert_eq!(published.until, Some(Timestamp::from_millis(2_499)));
    assert!(!published.stopped);
    assert_eq!(seen, 2_500);
}

#[tokio::test]
async fn a_stop_ends_after_what_is_on_its_way_and_says_how_far_it_got() {
    let stop = CancellationToken::new();
    let broker = Broker { stops: Some(stop.clone()), ..Broker::default() };
    let endless = (0..).map(|number| Ok(event(number)));
    let published = publish(endless, &broker, &topics(), Pace::AsFastAsPossible, &stop, |_| {}).await.unwrap();
    assert!(published.stopped);
    assert_eq!(published.events(), broker.keys().len() as u64);
    assert_eq!(published.until.unwrap().millis(), i64::try_from(published.events()).unwrap() - 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_next_event_to_be_due() {
    let stop = CancellationToken::new();
    let broker = Broker { stops: Some(stop.clone()), ..Broker::default() };
    let far = ReplayEvent { time: Timestamp::from_millis(86_400_000_000), ..event(2) };
    let events = [Ok(event(0)), Ok(far)];
    let published = publish(events, &broker, &topics(), Pace::Speed(1.0), &stop, |_| {}).await.unwrap();
    assert!(published.stopped);
    assert_eq!(broker.keys(), ["0"]);
}

#[tokio::test]
async fn a_file_that_breaks_off_publishes_what_came_before() {
    let broker = Broker::default();
    let stop = CancellationToken::new();
    let broken = events(3).chain([Err(FileError::Empty { file: "x.csv".into() })]);
    let mut seen = 0;
    let error = publish(broken, &broker, &topics(), Pace::AsFastAsPossible, &stop, |progress| seen = progress.events())
        .await
        .unwrap_err();
    assert!(matches!(error, PublishError::File(_)));
    assert_eq!((seen, broker.keys().len()), (3, 3));
}

#[tokio::test]
async fn a_refused_record_ends_the_replay() {
    let broker = Broker { refuses: Some("1500"), ..Broker::default() };
    let stop = CancellationToken::new();
    let result = publish(events(5_000), &broker, &topics(), Pace::AsFastAsPossible, &stop, |_| {}).await;
    assert!(matches!(result, Err(PublishError::Bus(_))));
}

#[test]
fn a_replay_can_be_spawned() {
    fn spawnable(_: impl Send) {}
    let broker = Broker::default();
    let stop = CancellationToken::new();
    spawnable(publish(events(1), &broker, &topics(), Pace::AsFastAsPossible, &stop, |_| {}));
}

#[test]
fn at_a_speed_event_time_passes_that_much_faster() {
    let now = Instant::now();
    let mut pacer = Pacer { pace: Pace::Speed(86_400.0), start: None };
    let day = 86_400_000;
    assert_eq!(pacer.due(now, Timestamp::from_millis(day)), now);
    let later = now + Duration::from_secs(3);
    assert_eq!(pacer.due(later, Timestamp::from_millis(2 * day)), now + Duration::from_secs(1));
    pacer.pace = Pace::Speed(f64::MIN_POSITIVE);
    assert_eq!(pacer.due(later, Timestamp::MAX), now + FAR);
}
