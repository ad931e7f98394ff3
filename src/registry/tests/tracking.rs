//! Experiments and runs.

use super::*;

fn with_run() -> (Bench, String) {
    let mut bench = Bench::new();
    bench.done(create_run());
    let run_id = bench.registry.runs().next().unwrap().run_id.clone();
    (bench, run_id)
}

#[test]
fn experiments_have_unique_names_even_when_deleted() {
    let mut bench = Bench::new();
    let create = || Change::CreateExperiment { name: "risk".into(), artifact_location: None, tags: Texts::new() };
    bench.done(create());
    assert_eq!(bench.registry.experiment("1").unwrap().artifact_location, "mlflow-artifacts:/1");
    bench.done(Change::DeleteExperiment { experiment_id: "1".into() });
    bench.refuses(RejectionKind::Exists, "Experiment(name=risk) already exists", create());
    bench.refuses(
        RejectionKind::Invalid,
        "must be in the 'active' state",
        Change::RenameExperiment { experiment_id: "1".into(), name: "x".into() },
    );
    bench.done(Change::RestoreExperiment { experiment_id: "1".into() });
    bench.refuses(RejectionKind::Invalid, "'deleted' state", Change::RestoreExperiment { experiment_id: "1".into() });
}

#[test]
fn the_latest_point_is_the_one_of_the_highest_step() {
    let (mut bench, run) = with_run();
    bench.done(log(&run, vec![metric("loss", 0.5, 2), metric("loss", 0.9, 0), metric("loss", 0.7, 1)], &[]));
    assert_eq!(bench.registry.run(&run).unwrap().metrics["loss"].step, 2);
    let steps: Vec<i64> = bench.registry.history(&run, "loss").iter().map(|metric| metric.step).collect();
    assert_eq!(steps, [0, 1, 2]);
}

#[test]
fn a_batch_that_is_sent_again_counts_once() {
    let (mut bench, run) = with_run();
    let batch = || log(&run, vec![metric("loss", f64::NAN, 0), metric("loss", 0.5, 1)], &[("lr", "0.1")]);
    bench.done(batch());
    bench.done(batch());
    assert_eq!(bench.registry.history(&run, "loss").len(), 2);
    assert_eq!(bench.registry.run(&run).unwrap().params, texts(&[("lr", "0.1")]));
}

#[test]
fn a_param_never_changes_and_a_batch_is_whole_or_not_at_all() {
    let (mut bench, run) = with_run();
    bench.done(log(&run, Vec::new(), &[("lr", "0.1")]));
    let change = log(&run, vec![metric("loss", 0.5, 1)], &[("depth", "3"), ("lr", "0.2")]);
    bench.refuses(RejectionKind::Invalid, "Changing param values is not allowed", change);
    let twice = log(&run, Vec::new(), &[("depth", "3"), ("depth", "4")]);
    bench.refuses(RejectionKind::Invalid, "Changing param values is not allowed", twice);
}

#[test]
fn batches_have_the_limits_of_mlflow() {
    let (mut bench, run) = with_run();
    let many = (0..1_001).map(|step| metric("loss", 0.1, step)).collect();
    bench.refuses(RejectionKind::Invalid, "at most 1000 metrics", log(&run, many, &[]));
    let long = "x".repeat(6_001);
    bench.refuses(RejectionKind::Invalid, "exceeds the maximum length", log(&run, Vec::new(), &[("a", &long)]));
    bench.refuses(RejectionKind::Invalid, "metric name", log(&run, vec![metric("a\u{0}b", 0.1, 0)], &[]));
}

#[test]
fn a_run_that_ends_has_an_end_time_and_a_deleted_one_takes_nothing() {
    let (mut bench, run) = with_run();
    let end = |status| Change::UpdateRun { run_id: run.clone(), status: Some(status), end_time: None, run_name: None };
    bench.done(end(RunStatus::Finished));
    assert_eq!(bench.registry.run(&run).unwrap().end_time, Some(Timestamp::from_millis(2_000)));
    assert_eq!(bench.done(end(RunStatus::Finished)), []);
    bench.done(Change::DeleteRun { run_id: run.clone() });
    bench.refuses(RejectionKind::Invalid, "'active' state", log(&run, vec![metric("a", 1.0, 0)], &[]));
}

#[test]
fn numbers_come_back_as_they_were_to_the_last_bit() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 0.1 + 0.2, 1e300 / 3.0, f64::MAX, 5e-324];
    for value in values {
        let written = serde_json::to_string(&metric("a", value, 0)).unwrap();
        let read: Metric = serde_json::from_str(&written).unwrap();
        assert_eq!(read.value.to_bits(), value.to_bits(), "{written}");
    }
}
