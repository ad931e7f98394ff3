//! `plimsoll bench serve`, on few requests: what it measures is there, whatever the figures are.

use serde_json::Value;

use crate::support::{onnxruntime, plimsoll, python_of};

#[test]
fn the_bench_of_serving_measures_every_way_in_and_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().display().to_string();
    let Some(library) = onnxruntime() else { return };
    python_of("serve", "benches/serving_models.py", &[&models, "20000"]).unwrap();
    let few = ["--rate", "50", "--seconds", "1", "--connections", "2", "--requests", "4096", "--format", "json"];
    let bench = plimsoll()
        .args(["bench", "serve", "--models", &models, "--onnxruntime"])
        .arg(library)
        .args(few)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&bench.stderr);
    // It may fail for what it measures on a busy machine, and for nothing else.
    assert!(bench.status.success() || said.contains("budgets are not kept"), "{said}");
    assert!(!said.contains("were not logged"), "{said}");
    let told: Value = serde_json::from_slice(&bench.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let http = told["http"].as_array().unwrap();
    let shapes: Vec<&str> = http.iter().map(|shape| shape["shape"].as_str().unwrap()).collect();
    assert_eq!(shapes, ["tensors", "rows"]);
    for shape in http {
        assert_eq!(shape["requests"], 50, "{shape}");
        assert!(shape["latency"]["p50"].as_f64() > Some(0.0) && told["bare"]["p50"].as_f64() > Some(0.0), "{told}");
    }
    assert_eq!((&told["stream"]["events"], &told["file_rows"]), (&Value::from(4_096), &Value::from(20_000)));
    let nowhere = plimsoll().args(["bench", "serve", "--models", "/no/such/folder"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
}
