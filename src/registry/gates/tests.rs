//! The shipped gates on hand-made evidence, and gates that are wrong.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::clock::{Span, Timestamp};
use crate::query::{GoldenRow, QueryEngine, QueryLimits, SchemaRow, Snapshot, VersionRow};
use crate::registry::samples;
use crate::registry::{Change, Command, Evaluated, Metric, Registry, Stage, Texts, decide};

fn engine() -> QueryEngine {
    QueryEngine::new(QueryLimits { memory: 64 << 20, timeout: Span::from_secs(30), max_rows: 1_000 }).unwrap()
}

fn shipped() -> GateRunner {
    GateRunner::new(engine(), GateSettings::default())
}

/// Versions 1 to 3 of model `m`; the second one is the champion.
fn registry() -> Registry {
    let mut registry = Registry::default();
    let version = || Change::CreateVersion {
        name: "m".into(),
        source: "mlflow-artifacts:/0/x".into(),
        run_id: String::new(),
        run_link: String::new(),
        model_id: String::new(),
        description: String::new(),
        tags: Texts::new(),
    };
    give(&mut registry, Change::CreateModel { name: "m".into(), description: String::new(), tags: Texts::new() });
    (0..3).for_each(|_| give(&mut registry, version()));
    give(&mut registry, Change::SetAlias { name: "m".into(), alias: "champion".into(), version: 2 });
    registry
}

fn give(registry: &mut Registry, change: Change) {
    let sequence = registry.sequence() + 1;
    let (id, at, user) = (format!("{sequence:032x}"), Timestamp::default(), "ada".to_owned());
    let command = Command { id, at, user, reason: String::new(), expected_revision: None, gated: false, change };
    let events = decide(registry, &command).unwrap();
    registry.fold(sequence, at, &events);
}

fn evaluated(slice: Option<&str>, metric: &str, value: f64, n: u64) -> Evaluated {
    let (dataset, slice) = (Some("held-out".to_owned()), slice.map(str::to_owned));
    Evaluated { dataset, slice, metric: metric.to_owned(), value, lower: None, upper: None, n: Some(n) }
}

/// A candidate that passes everything, and the champion's numbers on the same data.
fn good() -> Registry {
    let mut registry = registry();
    let rows = |accuracy: f64| {
        vec![
            evaluated(None, "accuracy", accuracy, 12_500),
            evaluated(Some("region:eu"), "accuracy", accuracy, 6_000),
            evaluated(Some("region:us"), "accuracy", accuracy, 6_500),
            evaluated(Some("robustness:noise"), "accuracy", accuracy - 0.01, 12_500),
            evaluated(Some("fairness:region"), "demographic_parity_ratio", 0.93, 12_500),
        ]
    };
    give(&mut registry, Change::RecordEvaluation { name: "m".into(), version: 3, rows: rows(0.936) });
    give(&mut registry, Change::RecordEvaluation { name: "m".into(), version: 2, rows: rows(0.917) });
    registry
}

fn replace(registry: &mut Registry, row: Evaluated) {
    give(registry, Change::RecordEvaluation { name: "m".into(), version: 3, rows: vec![row] });
}

fn schema(feature: &str, kind: &str, protected: bool) -> Arc<SchemaRow> {
    let (model, version) = ("m".to_owned(), None);
    Arc::new(SchemaRow { model, version, feature: feature.into(), kind: kind.into(), protected })
}

fn evidence(registry: &Registry) -> Evidence {
    let column = |name: &str, kind: &str| SignatureColumn { name: name.into(), kind: kind.into() };
    let mut evidence = Evidence::of(registry, "m", 3).unwrap();
    evidence = evidence.with_signature(&[column("amount", "numeric"), column("region", "categorical")]);
    evidence.monitored_schema = vec![schema("amount", "numeric", false), schema("region", "categorical", true)];
    evidence
}

/// The tables around, which know the versions and models.
fn around() -> Snapshot {
    let version = |version| {
        Arc::new(VersionRow {
            model: "m".into(),
            version,
            stage: Stage::None.name(),
            aliases: String::new(),
            description: String::new(),
            source: String::new(),
            run_id: String::new(),
            code_version: String::new(),
            data_version: String::new(),
            created_by: String::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            gates: None,
            tags: String::new(),
            revision: 0,
        })
    };
    let models = vec![crate::query::ModelRow { model: "m".into(), ..crate::query::ModelRow::default() }];
    Snapshot { versions: (1..=3).map(version).collect(), models, ..Snapshot::default() }
}

async fn report(evidence: &Evidence) -> GateReport {
    let runner = shipped();
    let gates = runner.load().await.unwrap();
    runner.run(&gates, evidence, &around(), Timestamp::default()).await
}

/// The verdict of one gate, and the reasons that its rows give.
fn verdict(report: &GateReport, name: &str) -> (GateVerdict, Vec<String>) {
    let gate = report.gates.iter().find(|gate| gate.name == name).unwrap();
    let reason = |row: &Value| row["reason"].as_str().unwrap_or_default().to_owned();
    (gate.verdict, gate.sample.iter().map(reason).collect())
}

#[track_caller]
fn says(report: &GateReport, name: &str, expected: GateVerdict, words: &str) {
    let (verdict, reasons) = verdict(report, name);
    assert!(
        verdict == expected && reasons.iter().any(|reason| reason.contains(words)),
        "{name}: {verdict:?} {reasons:?}"
    );
}

#[tokio::test]
async fn a_good_candidate_passes_every_critical_gate() {
    let report = report(&evidence(&good())).await;
    let found: Vec<(&str, GateVerdict)> = report.gates.iter().map(|gate| (gate.name.as_str(), gate.verdict)).collect();
    let passed = GateVerdict::Passed;
    let expected = [
        ("better_than_champion", passed),
        ("demographic_parity", passed),
        ("golden_rows", passed),
        ("no_worse_slice", passed),
        ("robustness", passed),
        ("signature", passed),
    ];
    assert_eq!(found, expected, "{report:#?}");
    assert_eq!((report.champion, report.state()), (Some(2), GateState::Passed));
}

#[tokio::test]
async fn each_gate_rejects_what_it_is_there_for_and_tells_the_rows() {
    let mut registry = good();
    replace(&mut registry, evaluated(None, "accuracy", 0.92, 12_500));
    replace(&mut registry, evaluated(Some("region:eu"), "accuracy", 0.85, 6_000));
    replace(&mut registry, evaluated(Some("robustness:noise"), "accuracy", 0.6, 12_500));
    replace(&mut registry, evaluated(Some("fairness:region"), "demographic_parity_ratio", 0.7, 12_500));
    let mut evidence = evidence(&registry);
    evidence.monitored_schema = vec![schema("amount", "categorical", false), schema("colour", "categorical", true)];
    let report = report(&evidence).await;
    let failed = GateVerdict::Failed;
    says(&report, "better_than_champion", failed, "not better beyond chance");
    says(&report, "no_worse_slice", failed, "worse than the champion");
    says(&report, "robustness", failed, "loses too much");
    says(&report, "demographic_parity", failed, "too far apart");
    for words in ["another kind", "does not ask for it", "nobody sends it"] {
        says(&report, "signature", failed, words);
    }
    assert_eq!(report.state(), GateState::Failed);
}

#[tokio::test]
async fn nothing_to_decide_by_is_never_a_pass() {
    let empty = report(&Evidence::of(&registry(), "m", 3).unwrap()).await;
    let verdicts = |name: &str| verdict(&empty, name).0;
    for name in ["better_than_champion", "no_worse_slice", "robustness"] {
        assert_eq!(verdicts(name), GateVerdict::Inconclusive, "{name}");
    }
    assert_eq!(empty.state(), GateState::Inconclusive);

    let mut registry = registry();
    replace(&mut registry, Evaluated { n: None, ..evaluated(None, "accuracy", 0.99, 1) });
    let mut lonely = evidence(&registry);
    lonely.signature.clear();
    let report = report(&lonely).await;
    let inconclusive = GateVerdict::Inconclusive;
    says(&report, "better_than_champion", inconclusive, "not measured on the same data");
    says(&report, "no_worse_slice", inconclusive, "no slice");
    says(&report, "demographic_parity", inconclusive, "protected attribute");
    says(&report, "signature", inconclusive, "without a signature");
}

#[tokio::test]
async fn the_first_version_has_nobody_to_beat() {
    let mut registry = registry();
    give(&mut registry, Change::DeleteAlias { name: "m".into(), alias: "champion".into() });
    replace(&mut registry, evaluated(None, "accuracy", 0.6, 1_000));
    let report = report(&evidence(&registry)).await;
    assert_eq!(report.champion, None);
    assert_eq!(verdict(&report, "better_than_champion").0, GateVerdict::Passed);
    assert_eq!(verdict(&report, "no_worse_slice").0, GateVerdict::Passed);
}

struct Golden(Vec<GoldenRow>);

#[async_trait::async_trait]
impl GoldenRows for Golden {
    async fn rows(&self, model: &str, version: u32) -> Vec<GoldenRow> {
        assert_eq!((model, version), ("m", 3));
        self.0.clone()
    }
}

#[tokio::test]
async fn a_version_whose_golden_rows_differ_or_could_not_be_run_does_not_pass() {
    let row = |actual: Option<&str>, matches| {
        let (model, version, output) = ("m".to_owned(), "3".to_owned(), "label".to_owned());
        let (expected, actual, difference) = ("1".to_owned(), actual.map(str::to_owned), None);
        GoldenRow { model, version, row: 0, output, expected, actual, difference, matches }
    };
    let evidence = evidence(&good());
    for (rows, expected, state) in [
        (vec![row(Some("1"), true)], GateVerdict::Passed, GateState::Passed),
        (vec![row(Some("1"), true), row(Some("0"), false)], GateVerdict::Failed, GateState::Failed),
        (vec![row(None, false)], GateVerdict::Inconclusive, GateState::Inconclusive),
    ] {
        let runner = shipped().with_golden_rows(Arc::new(Golden(rows)));
        let gates = runner.load().await.unwrap();
        let report = runner.run(&gates, &evidence, &around(), Timestamp::default()).await;
        assert_eq!((verdict(&report, "golden_rows").0, report.state()), (expected, state));
    }
}

#[test]
fn metrics_of_the_run_are_evidence_of_the_candidate_and_of_its_champion() {
    let mut registry = registry();
    let metric = |key: &str, value| Metric { key: key.into(), value, ..samples::run().metrics["loss"].clone() };
    let mut run = samples::run();
    for (key, value) in [
        ("accuracy", 0.93),
        ("champion/accuracy", 0.9),
        ("champion/n", 1_000.0),
        ("slice:region:eu/accuracy", 0.91),
        ("slice:region:eu/accuracy.n", 400.0),
        ("auc", 0.97),
        ("auc.lower", 0.96),
        ("auc.upper", 0.98),
        ("n", 1_000.0),
        ("odd", f64::NAN),
    ] {
        run.metrics.insert(key.into(), metric(key, value));
    }
    registry.runs.insert(run.run_id.clone(), run);
    registry.versions.get_mut("m").unwrap().get_mut(&3).unwrap().run_id = "r1".into();
    replace(&mut registry, Evaluated { dataset: None, ..evaluated(None, "auc", 0.5, 7) });
    let rows = Evidence::of(&registry, "m", 3).unwrap().evaluation;
    let find = |version: &str, slice: Option<&str>, name: &str| {
        let fits = |row: &&Arc<crate::query::EvaluationRow>| {
            row.version == version && row.slice.as_deref() == slice && row.metric == name
        };
        let row = rows.iter().find(fits).unwrap();
        (row.value, row.lower.is_some(), row.n)
    };
    assert_eq!(find("3", None, "accuracy"), (0.93, true, Some(1_000)));
    assert_eq!(find("2", None, "accuracy"), (0.9, true, Some(1_000)));
    assert_eq!(find("3", Some("region:eu"), "accuracy"), (0.91, true, Some(400)));
    assert_eq!(find("3", None, "auc"), (0.5, false, Some(7)), "what was posted stands");
    assert!(!rows.iter().any(|row| row.metric == "odd" || row.metric.contains('.')));
}

/// A runner of gates with these contents, named `0.sql`, `1.sql`, …
fn runner(texts: &[&str]) -> (tempfile::TempDir, GateRunner) {
    let folder = tempfile::tempdir().unwrap();
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}.sql")), text).unwrap();
    }
    let settings = GateSettings { directory: folder.path().to_owned(), ..GateSettings::default() };
    (folder, GateRunner::new(engine(), settings))
}

#[tokio::test]
async fn a_gate_that_is_wrong_is_told_with_its_line_and_stops_all_of_them() {
    for (text, line, words) in [
        ("-- name: a\nSELECT 1 FRM x", 2, "syntax error"),
        ("-- name: a\n\nSELECT nothing FROM evaluation", 3, "nothing"),
        ("-- name: a\n-- needs: luck\nSELECT 1", 2, "needs"),
        ("-- name: a\n-- severity: fatal\nSELECT 1", 2, "severity"),
        ("-- nam: a\nSELECT 1", 1, "header 'nam'"),
        ("-- name: a\n", 1, "no query"),
        ("-- name: a\nDROP TABLE evaluation", 2, "not allowed"),
    ] {
        let (_folder, runner) = runner(&["-- name: good\nSELECT 1 WHERE false", text]);
        let errors = runner.load().await.unwrap_err().to_string();
        assert!(errors.contains(&format!("1.sql:{line}: ")) && errors.contains(words), "{text}: {errors}");
    }
    let (_folder, empty) = runner(&[]);
    assert!(empty.load().await.unwrap_err().to_string().contains("holds no gate"));
}

#[tokio::test]
async fn a_gate_that_fails_while_it_runs_is_broken_and_no_pass() {
    let (_folder, runner) = runner(&[
        "-- name: a\n-- needs: nothing\nSELECT 1 / (length(model) - length($model)) AS x FROM evaluation WHERE model = $model",
    ]);
    let gates = runner.load().await.unwrap();
    let report = runner.run(&gates, &evidence(&good()), &around(), Timestamp::default()).await;
    assert_eq!((report.gates[0].verdict, report.state()), (GateVerdict::Broken, GateState::Inconclusive));
    assert!(report.gates[0].detail.is_some());
}

#[test]
fn the_champion_is_the_alias_or_what_is_in_production_and_never_the_candidate() {
    let mut registry = registry();
    assert_eq!((champion_of(&registry, "m", 3), champion_of(&registry, "m", 2)), (Some(2), None));
    give(&mut registry, Change::DeleteAlias { name: "m".into(), alias: "champion".into() });
    assert_eq!(champion_of(&registry, "m", 3), None);
    let stage = Stage::Production;
    give(&mut registry, Change::TransitionStage { name: "m".into(), version: 1, stage, archive_existing: false });
    assert_eq!(champion_of(&registry, "m", 3), Some(1));
}
