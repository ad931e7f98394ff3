//! The presets of `plimsoll compare` decide as the tools they are named after, column by column; what those say is written
//! by `tests/golden/presets.py`.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{golden, number};
use crate::support::{data_file, run_plimsoll};

const TOOLS: [&str; 5] = ["evidently", "nannyml", "sagemaker", "azure", "vertex"];

/// Columns of a case about which we differ from a tool whose bins of numbers are not ours.
const DIFFERENT: [(usize, &str, &str); 1] = [(7, "nannyml", "AGEP")];

/// Writes some rows of a data set to a file of their own.
fn slice(name: &str, rows: &Value, path: &Path) {
    let bound = |index: usize| rows[index].as_u64().and_then(|row| usize::try_from(row).ok()).expect("a row");
    let (first, end) = (bound(0), bound(1));
    let file = File::open(data_file(name)).expect("the data is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
    let batches = reader.with_offset(first).with_limit(end - first).build().expect("it can be read");
    let mut writer: Option<ArrowWriter<File>> = None;
    for batch in batches {
        let batch = batch.expect("it can be read");
        let writer = writer.get_or_insert_with(|| {
            let file = File::create(path).expect("the file can be written");
            ArrowWriter::try_new(file, batch.schema(), None).expect("its columns can be written")
        });
        writer.write(&batch).expect("the file can be written");
    }
    writer.expect("rows").close().expect("the file can be written");
}

fn columns_by(tool: &str, data: &str, reference: &Path, current: &Path) -> Value {
    let (reference, current) = (reference.display().to_string(), current.display().to_string());
    let outcome = if data == "car_loan" { "repaid" } else { "employed" };
    let output = run_plimsoll(&[
        "compare",
        "--reference",
        &reference,
        "--current",
        &current,
        "--ignore",
        "id",
        "--ignore",
        outcome,
        "--preset",
        tool,
        "--format",
        "json",
    ]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer in JSON");
    answer["columns"].clone()
}

/// What the tool compares, where its number is ours: whatever counts categories or needs no bins.
fn assert_same_number(tool: &str, wanted: &Value, row: &Value, what: &str) {
    let wanted = number(wanted, "value").expect("a value");
    let method = row["method"].as_str().expect("a method");
    let found = |field: &str| number(row, field).expect("a number");
    let (statistic, lower, upper) = (found("statistic"), found("lower"), found("upper"));
    match (tool, method) {
        ("evidently", "proportion_z") => assert!((found("p_value") - wanted).abs() < 1e-9, "{what}"),
        ("evidently", "chi_square") => {
            // Its goodness of fit stands in the detail, with four digits.
            let detail = row["detail"].as_str().and_then(|detail| detail.rsplit(' ').next()?.parse::<f64>().ok());
            assert!((detail.expect("a number") - wanted).abs() <= 5.1e-5, "{what}");
        }
        ("evidently", "jensen_shannon") => {
            assert!((statistic * std::f64::consts::LN_2.sqrt() - wanted).abs() < 1e-9, "{what}");
        }
        ("evidently", "ks") => assert!(found("p_value") >= 0.8 * wanted - 1e-12, "{what}"),
        (_, "ks" | "wasserstein") => {
            let slack = 1e-9 * wanted.abs().max(1.0);
            assert!(lower - slack <= wanted && wanted <= upper + slack, "{what}");
        }
        (_, "linf" | "jensen_shannon") if row["kind"] == "categorical" => {
            assert!((statistic - wanted).abs() < 1e-9, "{what}");
        }
        // Bins of numbers differ.
        (_, _) => assert!((0.0..=1.0).contains(&statistic), "{what}"),
    }
}

#[test]
fn presets_choose_the_test_and_the_threshold_of_each_column_and_give_the_verdict_of_their_tool() {
    let folder = tempfile::tempdir().expect("a folder");
    let (reference, current) = (folder.path().join("reference.parquet"), folder.path().join("current.parquet"));
    let mut different = BTreeSet::new();
    let mut compared = 0;
    for (index, case) in golden("presets.json").as_array().expect("a list of cases").iter().enumerate() {
        let data = case["data"].as_str().expect("a name");
        slice(&format!("{data}_reference.parquet"), &case["reference"], &reference);
        slice(&format!("{data}_production.parquet"), &case["current"], &current);
        for tool in TOOLS {
            let columns = columns_by(tool, data, &reference, &current);
            for (name, wanted) in case["columns"].as_object().expect("columns") {
                let (column, wanted) = (&columns[name], &wanted[tool]);
                let methods = column["methods"].as_object().unwrap_or_else(|| panic!("no {name}: {columns}"));
                let deciding: Vec<(&String, &Value)> =
                    methods.iter().filter(|(_, row)| row["decides"] == true).collect();
                let [(method, row)] = deciding[..] else { panic!("{tool} has no decision on {name}: {column}") };
                let mut row = row.clone();
                (row["method"], row["kind"]) = (method.as_str().into(), column["kind"].clone());
                let what = format!("case {index}, {tool} on {name}: {wanted} and {row}");
                assert_eq!(wanted["method"], method.as_str(), "{what}");
                let is_own_bins = tool == "nannyml" && column["kind"] == "numeric";
                if !is_own_bins {
                    let (ours, theirs) = (number(&row, "threshold"), number(wanted, "threshold"));
                    assert!((ours.expect("one") - theirs.expect("one")).abs() < 1e-9, "{what}");
                }
                assert_same_number(tool, wanted, &row, &what);
                if (column["methods"][method]["verdict"] == "drift") != (wanted["drifted"] == true) {
                    different.insert((index, tool, name.clone()));
                }
                compared += 1;
            }
        }
    }
    let known = DIFFERENT.map(|(index, tool, name)| (index, tool, name.to_owned()));
    assert_eq!(different, BTreeSet::from(known), "of {compared} verdicts");
}
