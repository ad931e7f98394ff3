use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::testing::{drift, snapshot, window};
use super::*;
use crate::clock::Span;
use crate::event::{Accounting, Alert, AlertState, Fingerprint, Population, Severity, Verdict, WindowReport};

const KEYS: &str = "model version variant segment window_start window_end window_size revision";

fn limits() -> QueryLimits {
    QueryLimits { memory: 64 << 20, timeout: Span::from_secs(30), max_rows: 1_000 }
}

fn engine() -> QueryEngine {
    QueryEngine::new(limits()).unwrap()
}

async fn rows(snapshot: &Snapshot, sql: &str, parameters: &Parameters) -> Json {
    let answer = engine().query(snapshot, sql, parameters).await.unwrap();
    serde_json::from_slice(&format::to_json(&answer).unwrap()).unwrap()
}

async fn error(sql: &str) -> QueryError {
    engine().query(&snapshot(vec![window(0)]), sql, &Parameters::default()).await.unwrap_err()
}

fn segment(index: i64, name: &str) -> WindowReport {
    let mut report = window(index);
    report.population.segment = Some(name.into());
    report
}

#[test]
fn the_tables_have_the_columns_of_the_design() {
    let columns = |name: &str| {
        let table = tables::find(name).unwrap();
        table.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        columns("windows"),
        format!(
            "{KEYS} state predictions outcomes errors late label_coverage latency_p50_ms latency_p95_ms latency_p99_ms"
        )
    );
    assert_eq!(
        columns("features"),
        format!(
            "{KEYS} feature kind count missing invalid unseen out_of_range mean std min max \
             p01 p05 p25 p50 p75 p95 p99"
        )
    );
    assert_eq!(
        columns("drift"),
        format!(
            "{KEYS} feature method statistic lower upper p_value threshold verdict decides n_reference n_current detail"
        )
    );
    assert_eq!(
        columns("multivariate"),
        format!(
            "{KEYS} method statistic reference lower upper p_value threshold features components n_reference n_current \
             verdict detail"
        )
    );
    assert_eq!(
        columns("performance"),
        format!(
            "{KEYS} metric value lower upper reference estimated estimated_lower estimated_upper residual \
             residual_p_value n verdict detail"
        )
    );
    assert_eq!(columns("quality"), format!("{KEYS} feature rule value reference p_value threshold n verdict detail"));
    assert_eq!(columns("fairness"), format!("{KEYS} attribute metric value worst_group threshold n verdict detail"));
    assert_eq!(columns("detections"), format!("{KEYS} series detector detected_at signal mean reference n"));
    assert_eq!(
        columns("alerts"),
        "fingerprint model version variant segment kind subject severity state started_at fired_at resolved_at \
         revision summary evidence"
    );
    assert_eq!(columns("retraining"), "id model version reason requested_at data_from data_to alerts offsets champion");
    assert_eq!(
        columns("accounting"),
        "topic partition read counted duplicate deadlettered unknown_fields next_offset watermark lag"
    );
    assert_eq!(columns("models"), "model task features reference_rows versions production_version");
}

#[tokio::test]
async fn every_table_answers_with_and_without_rows() {
    let mut full = snapshot(vec![window(0)]);
    full.models.push(ModelRow { model: "m".into(), task: Some("binary".into()), ..ModelRow::default() });
    for table in tables::catalogue() {
        for snapshot in [&Snapshot::default(), &full] {
            let sql = format!("SELECT * FROM {}", table.name());
            let answer = engine().query(snapshot, &sql, &Parameters::default()).await.unwrap();
            assert_eq!(answer.schema.fields().len(), table.columns().len(), "{}", table.name());
        }
    }
}

#[tokio::test]
async fn a_join_of_windows_and_drift_takes_parameters() {
    let mut drifted = window(1);
    drifted.drift[0] = drift("car_value", Verdict::Drift);
    let parameters = Parameters::default()
        .with("model", "car_loan")
        .with("window_start", drifted.window_start)
        .with("floor", 0.1)
        .with("predictions", 1_000_i64);
    let found = rows(
        &snapshot(vec![window(0), drifted, window(2)]),
        "SELECT d.feature, d.statistic, w.predictions, w.window_start, d.detail
         FROM drift d JOIN windows w USING (model, version, variant, window_start, window_size)
         WHERE d.model = $model AND w.window_start = $window_start AND d.statistic > $floor
           AND w.predictions >= $predictions",
        &parameters,
    )
    .await;
    assert_eq!(
        found,
        json!([{"feature": "car_value", "statistic": 0.4, "predictions": 1000,
                "window_start": "2019-01-10T00:00:00Z", "detail": null}])
    );
}

#[tokio::test]
async fn a_null_segment_finds_the_whole_population_only() {
    let snapshot = snapshot(vec![window(0), segment(0, "salary_range=high"), segment(0, "salary_range=low")]);
    let sql = "SELECT segment FROM windows WHERE segment IS NOT DISTINCT FROM $segment";
    let whole = rows(&snapshot, sql, &Parameters::default().with("segment", None::<String>)).await;
    assert_eq!(whole, json!([{"segment": null}]));
    let high = rows(&snapshot, sql, &Parameters::default().with("segment", "salary_range=high")).await;
    assert_eq!(high, json!([{"segment": "salary_range=high"}]));
}

#[tokio::test]
async fn filters_on_windows_find_the_same_rows_however_they_are_written() {
    let snapshot = snapshot((0..40).map(window).collect());
    let parameters = Parameters::default().with("window_start", window(30).window_start);
    for filter in [
        "window_start = $window_start",
        "window_start = '2019-08-01T00:00:00Z'",
        "window_start BETWEEN '2019-07-30' AND '2019-08-02'",
        "window_start + INTERVAL '7 days' = TIMESTAMP '2019-08-08T00:00:00Z'",
        "window_start IN (SELECT window_start FROM windows WHERE window_start = $window_start)",
        "window_start = (SELECT max(window_start) FROM windows WHERE window_start < '2019-08-02')",
        "NOT (window_start < $window_start OR window_start > $window_start)",
    ] {
        let sql = format!("SELECT count(*) AS n FROM drift WHERE model = 'car_loan' AND {filter}");
        assert_eq!(rows(&snapshot, &sql, &parameters).await, json!([{"n": 2}]), "{filter}");
    }
    assert_eq!(rows(&snapshot, "SELECT count(*) AS n FROM drift", &parameters).await, json!([{"n": 80}]));
}

#[tokio::test]
async fn more_rows_than_a_batch_are_all_read() {
    let snapshot = snapshot((0..10_000).map(window).collect());
    let sql =
        "SELECT count(*) AS n, sum(f.missing) AS missing, count(DISTINCT window_start) AS windows FROM features f";
    let found = rows(&snapshot, sql, &Parameters::default()).await;
    assert_eq!(found, json!([{"n": 30_000, "missing": 0, "windows": 10_000}]));
}

#[tokio::test]
async fn alerts_accounting_and_evidence_are_readable() {
    let population = window(0).population;
    let alert = Alert {
        fingerprint: Fingerprint::of(&population, "drift", ""),
        kind: "drift".into(),
        subject: String::new(),
        population: Population { segment: Some("a=b".into()), ..population },
        severity: Severity::Warning,
        state: AlertState::Firing,
        started_at: window(0).window_start,
        fired_at: Some(window(0).window_end),
        resolved_at: None,
        revision: 2,
        summary: "4 features drift".into(),
        evidence: json!({"features": ["car_value"]}),
    };
    let accounting = Accounting { topic: "predictions".into(), read: 3, counted: 3, ..Accounting::default() };
    let snapshot = Snapshot {
        alerts: vec![Arc::new(alert)],
        accounting: vec![AccountingRow { accounting, lag: Some(0) }],
        ..Snapshot::default()
    };
    let sql = "SELECT a.state, a.segment, a.evidence, c.read - c.counted AS lost, c.watermark
               FROM alerts a CROSS JOIN accounting c WHERE a.resolved_at IS NULL";
    assert_eq!(
        rows(&snapshot, sql, &Parameters::default()).await,
        json!([{"state": "firing", "segment": "a=b", "evidence": "{\"features\":[\"car_value\"]}", "lost": 0,
                "watermark": null}])
    );
}

#[tokio::test]
async fn the_catalogue_can_be_asked_in_sql() {
    let tables = rows(&Snapshot::default(), "SHOW TABLES", &Parameters::default()).await;
    let names: Vec<&str> = tables.as_array().unwrap().iter().map(|row| row["table_name"].as_str().unwrap()).collect();
    for table in tables::catalogue() {
        assert!(names.contains(&table.name()), "{}", table.name());
    }
    assert!(!rows(&Snapshot::default(), "DESCRIBE drift", &Parameters::default()).await.as_array().unwrap().is_empty());
    assert!(
        !rows(&Snapshot::default(), "EXPLAIN SELECT 1", &Parameters::default()).await.as_array().unwrap().is_empty()
    );
}

#[tokio::test]
async fn what_writes_or_configures_is_refused() {
    for sql in [
        "INSERT INTO windows SELECT * FROM windows",
        "UPDATE windows SET model = 'x'",
        "DELETE FROM windows",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE windows",
        "COPY windows TO 'out.csv'",
        "COPY (SELECT 1) TO 'out.csv' STORED AS CSV",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXPLAIN INSERT INTO windows SELECT * FROM windows",
        "EXPLAIN ANALYZE COPY windows TO 'out.csv'",
    ] {
        assert_eq!(error(sql).await.code(), "query_read_only", "{sql}: {}", error(sql).await);
    }
    let refused = error("DROP TABLE windows").await.to_string();
    assert!(refused.starts_with("DROP TABLE is not allowed"), "{refused}");
}

#[tokio::test]
async fn files_cannot_be_read_by_any_way_round() {
    for sql in ["SELECT * FROM '/etc/passwd'", "SELECT * FROM read_csv('/etc/passwd')", "SELECT repeat('x', 1000)"] {
        assert_eq!(error(sql).await.code(), "query_plan", "{sql}");
    }
}

#[tokio::test]
async fn a_query_is_one_statement() {
    assert_eq!(error("SELECT 1; SELECT 2").await, QueryError::ManyStatements(2));
    assert_eq!(error(" -- nothing\n").await, QueryError::Empty);
    assert!(engine().query(&Snapshot::default(), "SELECT 1;", &Parameters::default()).await.is_ok());
}

#[tokio::test]
async fn mistakes_are_named_in_plain_words() {
    let mistakes = [
        ("SELEC 1", "query_syntax", "SELEC"),
        ("SELECT nothing FROM windows", "query_plan", "nothing"),
        ("SELECT * FROM nowhere", "query_plan", "table 'nowhere' not found"),
        ("SELECT * FROM windows WHERE model = $model", "query_plan", "$model"),
        ("SELECT 1 / 0", "query_execution", "divide by zero"),
    ];
    for (sql, code, words) in mistakes {
        let error = error(sql).await;
        assert_eq!(error.code(), code, "{sql}: {error}");
        assert!(error.to_string().contains(words), "{sql}: {error}");
    }
}

#[tokio::test]
async fn long_chains_are_refused_or_planned_but_never_exhaust_the_stack() {
    let ones = |count| format!("SELECT {}", vec!["1"; count].join("+"));
    assert_eq!(error(&ones(751)).await.code(), "query_too_long");
    assert_eq!(error(&format!("SELECT '{}'", "x".repeat(70_000))).await.code(), "query_too_long");
    let nested = format!("SELECT {}1{}", "(".repeat(700), ")".repeat(700));
    assert_eq!(error(&nested).await.code(), "query_syntax");
    let accepted = [
        ones(749),
        format!("SELECT 1{}", "::int".repeat(499)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(490)),
        format!("SELECT 1 FROM windows WHERE {}", vec!["revision=1"; 370].join(" OR ")),
    ];
    for sql in accepted {
        engine().query(&Snapshot::default(), &sql, &Parameters::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_query_without_end_is_stopped() {
    let engine = QueryEngine::new(QueryLimits { timeout: Span::from_millis(100), ..limits() }).unwrap();
    let sql = "SELECT sum(value) FROM generate_series(1, 1000000000000000)";
    let error = engine.query(&Snapshot::default(), sql, &Parameters::default()).await.unwrap_err();
    assert_eq!(error.code(), "query_timeout", "{error}");
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_stopped() {
    let engine = QueryEngine::new(QueryLimits { memory: 1 << 20, ..limits() }).unwrap();
    let sql = "SELECT value FROM generate_series(1, 10000000) ORDER BY value DESC";
    let error = engine.query(&Snapshot::default(), sql, &Parameters::default()).await.unwrap_err();
    assert_eq!(error.code(), "query_memory", "{error}");
}

#[tokio::test]
async fn an_answer_is_cut_at_the_row_limit_and_says_so() {
    let engine = QueryEngine::new(QueryLimits { max_rows: 3, ..limits() }).unwrap();
    let snapshot = snapshot((0..5).map(window).collect());
    let all = engine.query(&snapshot, "SELECT * FROM windows", &Parameters::default()).await.unwrap();
    assert_eq!((all.rows(), all.truncated), (3, true));
    let three = engine.query(&snapshot, "SELECT * FROM windows LIMIT 3", &Parameters::default()).await.unwrap();
    assert_eq!((three.rows(), three.truncated), (3, false));
}

#[tokio::test]
async fn every_format_writes_the_same_answer() {
    let sql = "SELECT segment, window_start, predictions, label_coverage, latency_p99_ms FROM windows";
    let snapshot = snapshot(vec![window(0), segment(1, "a=\"b\",c")]);
    let answer = engine().query(&snapshot, sql, &Parameters::default()).await.unwrap();
    let json: Json = serde_json::from_slice(&format::to_json(&answer).unwrap()).unwrap();
    assert_eq!(
        json[0],
        json!({"segment": null, "window_start": "2019-01-03T00:00:00Z", "predictions": 1000,
               "label_coverage": 0.99, "latency_p99_ms": null})
    );
    assert_eq!(
        String::from_utf8(format::to_csv(&answer).unwrap()).unwrap(),
        "segment,window_start,predictions,label_coverage,latency_p99_ms\n\
         ,2019-01-03T00:00:00Z,1000,0.99,\n\
         \"a=\"\"b\"\",c\",2019-01-10T00:00:00Z,1000,0.99,\n"
    );
    assert_eq!(
        format::to_table(&answer).unwrap(),
        "segment | window_start         | predictions | label_coverage | latency_p99_ms\n\
         --------+----------------------+-------------+----------------+---------------\n\
         \x20       | 2019-01-03T00:00:00Z |        1000 |           0.99 |\n\
         a=\"b\",c | 2019-01-10T00:00:00Z |        1000 |           0.99 |\n\
         (2 rows)\n"
    );
    let stream = format::to_arrow_stream(&answer).unwrap();
    let read: Vec<_> =
        arrow::ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read, answer.batches);
}

#[tokio::test]
async fn an_answer_without_rows_is_still_well_formed() {
    let answer =
        engine().query(&Snapshot::default(), "SELECT model FROM windows", &Parameters::default()).await.unwrap();
    assert_eq!(format::to_json(&answer).unwrap(), b"[]");
    assert_eq!(format::to_csv(&answer).unwrap(), b"model\n");
    assert_eq!(format::to_table(&answer).unwrap(), "model\n-----\n(0 rows)\n");
    assert!(!format::to_arrow_stream(&answer).unwrap().is_empty());
}
