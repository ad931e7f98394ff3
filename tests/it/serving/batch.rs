//! `plimsoll predict`.

use std::path::Path;

use serde_json::{Value, json};

use super::{register, start};
use crate::support::{onnxruntime, plimsoll};

#[test]
fn files_are_answered_as_scikit_learn_answers_them() {
    let Some((folder, mut service)) = start(&[]) else { return };
    register(&service, folder.path());
    let library = onnxruntime().unwrap();
    let predict = |args: &[&str]| {
        let mut command = plimsoll();
        command.arg("predict").args(args).args(["--url", service.http().base()]).env("ORT_DYLIB_PATH", &library);
        command.output().unwrap()
    };
    for name in ["m", "linear", "forest", "boosting", "regressor"] {
        let input = folder.path().join(format!("{name}.parquet")).display().to_string();
        let output = folder.path().join(format!("{name}.ndjson")).display().to_string();
        let done = predict(&["--model", name, "--input", &input, "--output", &output]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(said.starts_with(&format!("1000 rows answered by {name} version 1")), "{said}");
        compare(folder.path(), name, Path::new(&output));
    }
    let input = folder.path().join("linear.parquet").display().to_string();
    let (output, csv) = (folder.path().join("out.parquet"), folder.path().join("again.csv"));
    let (output, csv) = (output.display().to_string(), csv.display().to_string());
    assert!(predict(&["--model", "linear", "--input", &input, "--output", &output]).status.success());
    let again = predict(&["--model", "boosting", "--input", &output, "--output", &csv]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && said.contains("'prediction_label' already"), "{said}");
    let lacks = predict(&["--model", "m", "--input", &input, "--output", &csv]);
    let said = String::from_utf8_lossy(&lacks.stderr).into_owned();
    assert!(
        lacks.status.code() == Some(1) && said.contains("lacks columns") && said.contains("amount, colour"),
        "{said}"
    );
    let missing = predict(&["--model", "nobody", "--input", &input, "--output", &csv]);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(1) && said.contains("nobody"), "{said}");
    service.terminate();
}

fn compare(folder: &Path, name: &str, output: &Path) {
    let told: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let expected = told["expected"].as_array().unwrap();
    let lines = std::fs::read_to_string(output).unwrap();
    let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), expected.len());
    for (found, wanted) in found.iter().zip(expected) {
        assert_eq!(found.get("prediction_label").unwrap_or(&json!(null)), wanted.get("label").unwrap_or(&json!(null)));
        let scores = wanted["scores"].as_object().into_iter().flatten();
        let numbers = ["score", "value"].into_iter().filter_map(|key| Some((key.to_owned(), wanted.get(key)?)));
        for (key, wanted) in numbers.chain(scores.map(|(class, share)| (format!("score_{class}"), share))) {
            let (found, wanted) = (found[format!("prediction_{key}")].as_f64().unwrap(), wanted.as_f64().unwrap());
            assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{key}: {found} is not {wanted}");
        }
    }
}
