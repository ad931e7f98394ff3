use super::*;

const EVENT: &str = r#"{"id":"7f3c", "model":"car_loan","features":{"x":1.10}}"#;

#[tokio::test]
async fn one_object_is_published_as_it_was_sent_and_keyed_by_id() {
    let bench = Bench::new();
    let answer = bench.post("/v1/predictions", EVENT).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, serde_json::json!({"accepted": 1})));
    let published = bench.published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].topic, "predictions");
    assert_eq!(published[0].key.as_deref(), Some(&b"7f3c"[..]));
    assert_eq!(published[0].payload.as_deref(), Some(EVENT.as_bytes()));
}

#[tokio::test]
async fn arrays_and_lines_are_one_record_per_event() {
    let bench = Bench::new();
    assert_eq!(bench.post("/v1/outcomes", format!("[{EVENT},\n{EVENT}]")).await.json()["accepted"], 2);
    assert_eq!(bench.post("/v1/outcomes", format!("{EVENT}\n{EVENT}\n{EVENT}\n")).await.json()["accepted"], 3);
    let lines = Request::post("/v1/outcomes").header("content-type", "application/x-ndjson; charset=utf-8");
    assert_eq!(bench.send(lines.body(EVENT.into()).unwrap()).await.json()["accepted"], 1);
    assert_eq!(bench.published().len(), 6);
    assert!(bench.published().iter().all(|record| record.topic == "outcomes"));
    assert_eq!(bench.post("/v1/outcomes", "[]").await.json()["accepted"], 0);
}

#[tokio::test]
async fn one_bad_element_refuses_the_whole_request_and_names_the_element() {
    let bench = Bench::new();
    let body = format!("[{EVENT},3,{{\"model\":\"car_loan\"}}]");
    let problem = bench.post("/v1/predictions", body).await.is_problem(400, "invalid_event");
    assert_eq!(problem["error_count"], 2);
    assert_eq!(problem["errors"][0], serde_json::json!({"index": 1, "reason": "not a JSON object"}));
    assert_eq!(problem["errors"][1]["index"], 2);
    assert!(bench.published().is_empty());
}

#[tokio::test]
async fn at_most_twenty_faults_are_listed() {
    let problem = Bench::new().post("/v1/predictions", format!("[{}1]", "1,".repeat(49))).await.json();
    assert_eq!((problem["error_count"].as_u64(), problem["errors"].as_array().unwrap().len()), (Some(50), 20));
}

#[tokio::test]
async fn an_unknown_model_is_refused_with_the_names_of_the_configured_ones() {
    let bench = Bench::new();
    let problem = bench.post("/v1/predictions", r#"{"id":"1","model":"nope"}"#).await.is_problem(400, "unknown_model");
    assert!(problem["detail"].as_str().unwrap().contains("car_loan"), "{problem}");
    assert!(bench.published().is_empty());
}

#[tokio::test]
async fn unreadable_bodies_are_problems() {
    let bench = Bench::new();
    bench.post("/v1/predictions", "").await.is_problem(400, "empty_body");
    bench.post("/v1/predictions", "{\"id\":").await.is_problem(400, "malformed_json");
    bench.post("/v1/predictions", &b"{\"id\":\"\xff\"}"[..]).await.is_problem(400, "not_utf8");
    let zipped = Request::post("/v1/predictions").header("content-encoding", "gzip").body(EVENT.into()).unwrap();
    bench.send(zipped).await.is_problem(415, "unsupported_encoding");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_declared_length() {
    let bench = Bench::new();
    let large = format!("[{}{EVENT}]", format!("{EVENT},").repeat(100));
    let declared = Request::post("/v1/predictions").header("content-length", large.len());
    bench.send(declared.body(large.clone().into()).unwrap()).await.is_problem(413, "body_too_large");
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(large)]);
    bench.post("/v1/predictions", Body::from_stream(chunks)).await.is_problem(413, "body_too_large");
    assert!(bench.published().is_empty());
}

#[tokio::test]
async fn a_broker_that_is_away_is_503_and_worth_another_try() {
    let fails = Some(SinkError::Unavailable("no broker at localhost:9092".into()));
    let bench = Bench::with(Sink { fails, ..Sink::default() }, |_| {});
    let answer = bench.post("/v1/predictions", EVENT).await;
    let problem = answer.is_problem(503, "broker_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("no broker at localhost:9092"));
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_is_the_clients_problem() {
    let fails = Some(SinkError::Refused("message too large".into()));
    let bench = Bench::with(Sink { fails, ..Sink::default() }, |_| {});
    bench.post("/v1/predictions", EVENT).await.is_problem(400, "refused_by_broker");
}
