//! New versions of a served model that take over step by step, or are taken back, under real traffic.

mod shadow;
mod steps;
mod traffic;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::small;
use crate::support::{Service, ServiceOptions, eventually, onnxruntime, python_of, run_plimsoll};
use traffic::Traffic;

const WITHIN: Duration = Duration::from_mins(2);
const JSON: &str = "application/json";

/// The small model in windows of two seconds, since answers carry the time of the clock.
fn models(folder: &Path) -> String {
    let model = small::model(folder);
    let model = model.replace("panes = \"1h\"", "panes = \"1s\"").replace("windows = [\"1d\"]", "windows = [\"2s\"]");
    assert!(model.contains("2s"));
    model
}

/// A service whose model `m` answers with version 1. None where there is no ONNX Runtime.
fn start() -> Option<(tempfile::TempDir, Service)> {
    let folder = tempfile::tempdir().unwrap();
    let models = models(folder.path());
    let library = format!("serving.onnxruntime={}", onnxruntime()?.display());
    let service =
        Service::start(&ServiceOptions { models: &models, set: &[library.as_str()], ..ServiceOptions::default() });
    registered(&service, &["first", service.http().base()]);
    eventually(WITHIN, "version 1 answers", || (service.http().get("/v2/models/m/ready").status == 200).then_some(()));
    Some((folder, service))
}

/// Registers another version and returns its number.
fn candidate(service: &Service, kind: &str) -> String {
    registered(service, &["candidate", service.http().base(), kind])
}

fn registered(service: &Service, args: &[&str]) -> String {
    let told = python_of("serve", "tests/serving/models.py", args).unwrap_or_else(|| panic!("{}", service.log()));
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    told["version"].as_str().unwrap().to_owned()
}

fn rollout(service: &Service, args: &[&str]) -> Output {
    let url = service.http().base();
    run_plimsoll(&[&["rollout"], args, &["--url", url, "--format", "json"]].concat())
}

/// The command must succeed.
#[track_caller]
fn told(service: &Service, args: &[&str]) -> Value {
    let output = rollout(service, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `plimsoll rollout start` says, of a plan whose windows are short.
fn begin(service: &Service, version: &str, plan: &[&str]) -> Value {
    let args = ["start", "m", "--version", version, "--minimum-samples", "100"];
    told(service, &[&args[..], plan].concat())
}

fn status(service: &Service) -> Value {
    let answer = service.http().get("/v1/rollouts/m");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Sends traffic until the rollout is in this state.
fn until(service: &Service, traffic: &mut Traffic, state: &str) -> Value {
    eventually(WITHIN, &format!("the rollout is {state}"), || {
        traffic.send(service, 4);
        let standing = status(service);
        let is_there = standing["rollout"]["state"] == state;
        let is_over = standing["rollout"]["ended_at"].is_string();
        assert!(is_there || !is_over, "{standing:#}");
        is_there.then_some(standing)
    })
}
