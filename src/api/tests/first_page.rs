use super::*;

#[tokio::test]
async fn the_first_page_shows_models_alerts_requests_and_charts() {
    let bench = Bench::new();
    bench.telemetry.report("bus", Health::Blocked("kafka is away".into()));
    let answer = bench.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    for part in [
        "car_loan",
        "5 of 9 features drift: car_value",
        "since 2019-03-28",
        "accuracy fell from 0.945",
        "<svg",
        "threshold 0.1",
        "reference 0.945",
        "Waiting for the first window to close.",
        "kafka is away",
        "99,980",
    ] {
        assert!(answer.text.contains(part), "{part} in\n{}", answer.text);
    }
    assert_eq!(answer.text.matches("<svg").count(), 2, "drift and accuracy of the one model with windows");
    assert!(!answer.text.contains("NaN") && !answer.text.contains("http://") && !answer.text.contains("<script"));
}

#[tokio::test]
async fn names_from_the_stream_are_escaped() {
    let mut view = View::new(vec![samples::model_row("<b>m</b>")], ViewLimits::default());
    let mut window = samples::window("<b>m</b>", 20);
    window.drift[0].feature = "<script>alert(1)</script>".into();
    window.population.version = "\"><i>".into();
    let mut alert = samples::alert("<b>m</b>");
    alert.summary = "<img src=x>".into();
    apply(&mut view, ViewTopic::Windows, &window);
    apply(&mut view, ViewTopic::Alerts, &alert);
    let page = crate::api::page::render(&view.snapshot(), &Telemetry::default().health()).into_string();
    for forbidden in ["<script", "<b>m", "<img", "<i>"] {
        assert!(!page.contains(forbidden), "{forbidden} in\n{page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[tokio::test]
async fn empty_tables_make_a_page_too() {
    let page = crate::api::page::render(&Snapshot::default(), &Telemetry::default().health()).into_string();
    assert!(page.contains("No model is configured."));
}
