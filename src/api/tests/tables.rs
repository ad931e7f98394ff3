use super::*;

#[tokio::test]
async fn models_are_listed_with_their_firing_alerts() {
    let models = Bench::new().get("/v1/models").await.json();
    assert_eq!(models[0]["model"], "car_loan");
    assert_eq!(models[0]["alerts_firing"], 2);
    assert_eq!(models[1]["reference_rows"], Value::Null);
}

#[tokio::test]
async fn a_model_tells_its_last_windows_alerts_and_requests() {
    let bench = Bench::new();
    let model = bench.get("/v1/models/car_loan").await.json();
    assert_eq!(model["last_windows"][0]["window_size"], "7d");
    assert_eq!(model["alerts"].as_array().unwrap().len(), 2);
    assert_eq!(model["retraining"][0]["id"], "car_loan-1");
    let problem = bench.get("/v1/models/nope").await.is_problem(404, "unknown_model");
    assert!(problem["detail"].as_str().unwrap().contains("car_loan"));
}

#[tokio::test]
async fn windows_come_newest_first_and_whole() {
    let windows = Bench::new().get("/v1/models/car_loan/windows?size=7d&limit=2").await.json();
    let expected = [samples::window("car_loan", 25), samples::window("car_loan", 24)];
    assert_eq!(windows, serde_json::to_value(expected).unwrap());
}

#[tokio::test]
async fn windows_are_filtered_by_size_and_segment() {
    let bench = Bench::new();
    let count = async |query: &str| {
        let answer = bench.get(&format!("/v1/models/car_loan/windows?{query}")).await;
        answer.json().as_array().unwrap().len()
    };
    assert_eq!(count("").await, 26);
    assert_eq!(count("size=28d").await, 0);
    assert_eq!(count("segment=").await, 26);
    assert_eq!(count("segment=region%3Deu").await, 0);
}

#[tokio::test]
async fn bad_window_filters_are_problems() {
    let bench = Bench::new();
    for query in ["size=7", "limit=0", "limit=1001", "limit=many"] {
        let answer = bench.get(&format!("/v1/models/car_loan/windows?{query}")).await;
        answer.is_problem(400, "bad_parameter");
    }
    bench.get("/v1/models/nope/windows").await.is_problem(404, "unknown_model");
}

#[tokio::test]
async fn alerts_are_filtered_by_state_and_model() {
    let bench = Bench::new();
    assert_eq!(bench.get("/v1/alerts?state=firing").await.json().as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/v1/alerts?state=resolved").await.json().as_array().unwrap().len(), 0);
    assert_eq!(bench.get("/v1/alerts?model=employment").await.json().as_array().unwrap().len(), 0);
    bench.get("/v1/alerts?state=loud").await.is_problem(400, "bad_parameter");
    assert_eq!(bench.get("/v1/retraining").await.json()[0]["model"], "car_loan");
}

#[tokio::test]
async fn sql_is_answered_in_the_format_that_is_accepted() {
    let bench = Bench::new();
    let answer = bench.post("/v1/sql", r#"{"sql":"SELECT 1"}"#).await;
    assert_eq!((answer.text.as_str(), answer.header("content-type")), ("Json SELECT 1", "application/json"));
    let csv = Request::post("/v1/sql").header("accept", "text/csv").header("content-type", "text/plain");
    let answer = bench.send(csv.body("SELECT 2".into()).unwrap()).await;
    assert_eq!((answer.text.as_str(), answer.header("content-type")), ("Csv SELECT 2", "text/csv; charset=utf-8"));
    let arrow = Request::post("/v1/sql").header("accept", "application/vnd.apache.arrow.stream");
    let answer = bench.send(arrow.body("SELECT 3".into()).unwrap()).await;
    assert_eq!((answer.text.as_str(), answer.header("plimsoll-truncated")), ("ArrowStream SELECT 3", "true"));
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_a_problem_with_its_code() {
    let bench = Bench::new();
    bench.post("/v1/sql", "nonsense").await.is_problem(400, "sql_syntax");
    let problem = bench.post("/v1/sql", "slow").await.is_problem(504, "timeout");
    assert_eq!(problem["detail"], "the query took longer than 10s");
    bench.post("/v1/sql", " ").await.is_problem(400, "empty_body");
    bench.post("/v1/sql", r#"{"query":"SELECT 1"}"#).await.is_problem(400, "malformed_json");
    let image = Request::post("/v1/sql").header("accept", "image/png").body("SELECT 1".into()).unwrap();
    bench.send(image).await.is_problem(406, "not_acceptable");
}
