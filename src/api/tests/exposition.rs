use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Reads the text format 0.0.4 as strictly as Prometheus does; returns the value of each series.
fn parse(text: &str) -> BTreeMap<String, String> {
    let (mut types, mut series) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap();
            assert!(helped.insert(name.to_owned()), "second HELP: {line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "second TYPE: {line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let family = name.split('{').next().unwrap();
            is_name(family);
            let suffixes = ["_bucket", "_sum", "_count"];
            let base = suffixes.iter().find_map(|suffix| family.strip_suffix(suffix)).unwrap_or(family);
            assert!(types.contains_key(family) || types[base] == "histogram", "no TYPE before {line}");
            if let Some(labels) = name.strip_prefix(family).filter(|labels| !labels.is_empty()) {
                are_labels(labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap());
            }
            assert!(series.insert(name.to_owned(), value.to_owned()).is_none(), "twice: {line}");
        }
    }
    series
}

fn is_name(name: &str) {
    let mut characters = name.chars();
    assert!(characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_'), "{name}");
    assert!(characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{name}");
}

/// `name="value",…` with `\\`, `\"` and `\n` as the only escapes.
fn are_labels(mut labels: &str) {
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        is_name(name.trim_start_matches(','));
        let mut end = None;
        let mut escaped = false;
        for (index, character) in rest.char_indices() {
            match (escaped, character) {
                (true, '\\' | '"' | 'n') => escaped = false,
                (true, other) => panic!("escape {other} in {rest}"),
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(index);
                    break;
                }
                (false, _) => {}
            }
        }
        labels = &rest[end.unwrap_or_else(|| panic!("{rest}")) + 1..];
        assert!(labels.is_empty() || labels.starts_with(','), "{labels}");
    }
}

#[tokio::test]
async fn the_exposition_is_valid_and_tells_the_models_state() {
    let bench = Bench::new();
    bench.get("/v1/models/car_loan").await;
    bench.get("/made-up-by-a-client").await;
    let answer = bench.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    let series = parse(&answer.text);

    let model = r#"model="car_loan""#;
    let rest = r#"variant="default",version="1",window_size="7d"}"#;
    let value = |name: &str| series.get(name).unwrap_or_else(|| panic!("{name} in\n{}", answer.text)).as_str();
    assert_eq!(value(r#"plimsoll_events_total{partition="1",result="duplicate",topic="predictions"}"#), "7");
    assert_eq!(value(r#"plimsoll_lag_records{partition="0",topic="predictions"}"#), "4");
    assert_eq!(value(r#"plimsoll_watermark_timestamp_seconds{partition="0",topic="predictions"}"#), "1556668800");
    assert_eq!(value(&format!("plimsoll_window_predictions{{{model},{rest}")), "1904");
    let drift = format!(r#"plimsoll_drift_statistic{{feature="car_value",method="psi",{model},{rest}"#);
    assert!(value(&drift).starts_with("0.72"));
    assert_eq!(value(&format!(r#"plimsoll_alerts_firing{{kind="drift",{model},severity="warning"}}"#)), "1");
    assert_eq!(value("process_start_time_seconds"), "1.5");
    let route = r#"plimsoll_http_requests_total{method="GET",route="/v1/models/{model}",status="200"}"#;
    assert_eq!(value(route), "1");
    assert_eq!(value(r#"plimsoll_http_requests_total{method="GET",route="unmatched",status="404"}"#), "1");
    assert_eq!(value(r#"plimsoll_http_request_duration_seconds_count{route="unmatched"}"#), "1");
}

#[tokio::test]
async fn performance_is_told_although_the_last_window_has_no_outcomes_yet() {
    let answer = Bench::new().get("/metrics").await;
    let series = parse(&answer.text);
    let found = series.iter().find(|(name, _)| name.starts_with("plimsoll_performance_value"));
    let (name, value) = found.unwrap();
    assert!(name.contains(r#"metric="accuracy""#), "{name}");
    assert!(value.starts_with("0.91"), "{value}");
}

#[test]
fn labels_with_quotes_and_line_ends_are_escaped() {
    let telemetry = Telemetry::default();
    let gauge = telemetry.gauge("plimsoll_x", "X.", &["feature"]).unwrap();
    gauge.with_label_values(&["a\"b\\c\nd{}"]).set(1.0);
    let text = crate::telemetry::encode(telemetry.metrics().gather()).unwrap();
    assert_eq!(parse(&text).len(), 1);
}
