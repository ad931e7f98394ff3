//! `plimsoll compare`: the same statistics over two files, as a gate.

mod performance;
mod together;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{data_file, run_plimsoll};

const REFERENCE: &str = "car_loan_reference.parquet";
const PRODUCTION: &str = "car_loan_production.parquet";

fn compare(reference: &Path, current: &Path, arguments: &[&str]) -> Output {
    let (reference, current) = (reference.display().to_string(), current.display().to_string());
    let files = ["compare", "--reference", &reference, "--current", &current];
    run_plimsoll(&[&files[..], arguments].concat())
}

/// The answer and the exit code.
fn answer(output: &Output) -> (Value, i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (json, output.status.code().unwrap())
}

fn column<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let column = &answer["columns"][name];
    assert!(column.is_object(), "no column {name} in {answer}");
    column
}

/// `group,amount,label,truth`; `wrong` of a hundred predictions are, and amounts are `factor` times what they were.
fn csv(rows: usize, factor: f64, wrong: usize) -> String {
    let mut text = "group,amount,label,truth\n".to_owned();
    for row in 0..rows {
        let amount = factor * f64::from(u32::try_from(row * 37 % 1_000).unwrap());
        let label = row % 2;
        let truth = if row * 7 % 100 < wrong { 1 - label } else { label };
        text.push_str(&format!("{},{amount},{label},{truth}\n", ["a", "b"][row / 2 % 2]));
    }
    text
}

#[test]
fn a_data_set_does_not_differ_from_itself() {
    let file = data_file(REFERENCE);
    let (answer, code) = answer(&compare(&file, &file, &["--ignore", "id", "--format", "json"]));
    assert_eq!((code, &answer["verdict"]), (0, &"ok".into()), "{answer}");
    assert_eq!((&answer["n_reference"], &answer["n_current"]), (&50_000.into(), &50_000.into()));
    for (name, column) in answer["columns"].as_object().unwrap() {
        assert_eq!(column["verdict"], "ok", "{name}: {column}");
        for method in ["psi", "jensen_shannon"] {
            assert_eq!(column["methods"][method]["statistic"], 0.0, "{name}: {column}");
        }
    }
}

#[test]
fn each_window_of_a_file_has_the_statistics_of_the_golden_file() {
    let arguments =
        ["--ignore", "id", "--ignore", "repaid", "--time", "timestamp", "--window", "28d", "--format", "json"];
    let (answer, code) = answer(&compare(&data_file(REFERENCE), &data_file(PRODUCTION), &arguments));
    assert_eq!((code, &answer["verdict"]), (1, &"drift".into()));
    let golden: Value = serde_json::from_str(include_str!("../../golden/car_loan.json")).unwrap();
    let wanted: Vec<&Value> =
        golden["windows"].as_array().unwrap().iter().filter(|window| window["window_size"] == "28d").collect();
    let windows = answer["windows"].as_array().unwrap();
    assert_eq!(windows.len(), wanted.len());
    for (window, wanted) in windows.iter().zip(wanted) {
        assert_eq!((&window["window_start"], &window["n_current"]), (&wanted["window_start"], &wanted["n"]));
        for (feature, wanted) in wanted["features"].as_object().unwrap() {
            // The file has its own names, and calls a whole number one.
            let name = match feature.as_str() {
                "prediction.score" => "y_pred_proba",
                "prediction.label" => continue,
                name => name,
            };
            for method in ["psi", "jensen_shannon"] {
                let found = column(window, name)["methods"][method]["statistic"].as_f64().unwrap();
                let wanted = wanted[method].as_f64().unwrap();
                assert!((found - wanted).abs() <= 1e-9, "{method} of {name}: {found} and {wanted}");
            }
        }
        let drifted = window["window_start"].as_str().unwrap() >= "2019-03-07";
        assert_eq!(window["verdict"] == "drift", drifted, "{}", window["window_start"]);
    }
}

#[test]
fn worse_predictions_are_decay_and_each_segment_is_judged_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    std::fs::write(&reference, csv(4_000, 1.0, 10)).unwrap();
    std::fs::write(&current, csv(4_000, 1.0, 30)).unwrap();
    let roles = ["--prediction", "label", "--target", "truth", "--segment", "group", "--format", "json"];
    let (answer, code) = answer(&compare(&reference, &current, &roles));
    assert_eq!((code, &answer["verdict"]), (1, &"decay".into()), "{answer}");
    let accuracy = &answer["performance"]["accuracy"];
    assert_eq!((accuracy["reference"].as_f64(), accuracy["current"].as_f64()), (Some(0.9), Some(0.7)));
    assert!(accuracy["lower"].as_f64() < Some(0.7) && accuracy["upper"].as_f64() > Some(0.7));
    let segments: Vec<&Value> =
        answer["segments"].as_array().unwrap().iter().map(|segment| &segment["segment"]).collect();
    assert_eq!(segments, ["group=a", "group=b"]);
    assert!(answer["segments"].as_array().unwrap().iter().all(|segment| segment["n_current"] == 2_000));
}

/// Half of group a and `positive` of eight in b's other half are predicted positive, all of them rightly.
fn unfair_csv(rows: usize, positive: usize) -> String {
    let mut text = "group,amount,label,truth\n".to_owned();
    for row in 0..rows {
        let group = row / 8 % 2;
        let label = if group == 0 { row % 2 } else { usize::from(row % 8 < positive) };
        text.push_str(&format!("{},{},{label},{label}\n", ["a", "b"][group], row % 50));
    }
    text
}

#[test]
fn groups_that_are_treated_differently_fail_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("current.csv");
    let protected = ["--prediction", "label", "--target", "truth", "--protected", "group", "--format", "json"];
    std::fs::write(&file, unfair_csv(4_000, 2)).unwrap();
    let (found, code) = answer(&compare(&file, &file, &protected));
    assert_eq!((code, &found["verdict"]), (1, &"failed".into()), "{found}");
    let metric = |name: &str| &found["fairness"]["group"][name];
    let ratio = metric("demographic_parity_ratio");
    assert_eq!(
        (&ratio["value"], &ratio["worst_group"], &ratio["verdict"]),
        (&0.5.into(), &"b".into(), &"failed".into())
    );
    assert_eq!((&ratio["threshold"], &ratio["n"]), (&0.8.into(), &4_000.into()));
    let difference = metric("demographic_parity_difference");
    assert_eq!((&difference["value"], &difference["threshold"]), (&0.25.into(), &Value::Null), "{found}");
    assert_eq!((&metric("equalized_odds_difference")["value"], &difference["verdict"]), (&0.0.into(), &"ok".into()));

    let odds = [&protected[..], &["--disparity", "equalized_odds_difference=0.1"]].concat();
    let (found, code) = answer(&compare(&file, &file, &odds));
    assert_eq!(
        (code, &found["fairness"]["group"]["equalized_odds_difference"]["verdict"]),
        (0, &"ok".into()),
        "{found}"
    );
    let text = compare(&file, &file, &protected[..6]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("Fairness\n  attribute  metric"), "{text}");

    std::fs::write(&file, unfair_csv(4_000, 4)).unwrap();
    let (found, code) = answer(&compare(&file, &file, &protected));
    assert_eq!((code, &found["fairness"]["group"]["demographic_parity_ratio"]["value"]), (0, &1.0.into()), "{found}");
}

#[test]
fn columns_that_come_and_go_and_change_their_type_fail_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    std::fs::write(&reference, csv(1_000, 1.0, 10)).unwrap();
    let changed = csv(1_000, 1.0, 10).replace("group,amount,label", "group,amount,kind");
    let changed: Vec<String> = changed.lines().map(|line| line.replacen(".5", "", 1)).collect();
    let with_text = changed.join("\n").replace("a,37,", "a,much,");
    std::fs::write(&current, with_text).unwrap();
    let (answer, code) = answer(&compare(&reference, &current, &["--format", "json"]));
    assert_eq!((code, &answer["verdict"]), (1, &"failed".into()), "{answer}");
    assert_eq!(column(&answer, "label")["quality"]["missing_feature"]["verdict"], "failed");
    assert_eq!(column(&answer, "kind")["quality"]["extra_feature"]["verdict"], "failed");
    assert_eq!(column(&answer, "group")["verdict"], "ok");
    let detail = column(&answer, "amount")["quality"]["type"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("much"), "{detail}");
}

#[test]
fn people_read_the_same_verdict_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    std::fs::write(&reference, csv(2_000, 1.0, 10)).unwrap();
    std::fs::write(&current, csv(2_000, 0.5, 10)).unwrap();
    for (format, row) in [
        ("text", "amount  numeric      drift"),
        ("markdown", "| amount | numeric | drift | psi |"),
        ("html", "<td>amount</td><td>numeric</td><td class=\"drift\">drift</td>"),
    ] {
        let output = compare(&reference, &current, &["--format", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(row), "{format}: {text}");
    }
    let out = folder.path().join("report.md");
    let written = compare(&reference, &current, &["--format", "markdown", "--out", &out.display().to_string()]);
    assert!(written.stdout.is_empty() && std::fs::read_to_string(out).unwrap().starts_with("# drift: "));
}

#[test]
fn what_cannot_be_compared_is_wrong_usage_and_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reference.csv");
    std::fs::write(&file, csv(100, 1.0, 10)).unwrap();
    let wide = folder.path().join("wide.csv");
    std::fs::write(&wide, csv(1_000, 1.0, 10)).unwrap();
    let nowhere = folder.path().join("nowhere.csv");
    for (current, arguments, said) in [
        (&nowhere, &[][..], "does not exist"),
        (&file, &["--target", "thruth"], "has no column 'thruth'; its columns are group, amount, label, truth"),
        (&file, &["--window", "7d"], "--time"),
        (&file, &["--decide", "magic"], "psi"),
        (&file, &["--preset", "magic"], "evidently, nannyml, sagemaker, azure, vertex"),
        (&file, &["--alpha", "2"], "between 0 and 1"),
        (&file, &["--protected", "group"], "--prediction"),
        (&file, &["--protected", "group", "--prediction", "label", "--task", "regression"], "binary models only"),
        (
            &file,
            &["--protected", "group", "--prediction", "label", "--disparity", "parity=1"],
            "demographic_parity_ratio",
        ),
        (&wide, &["--protected", "amount", "--prediction", "label"], "'amount' has more than 100 values"),
    ] {
        let output = compare(&file, current, arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_preset_decides_with_the_other_tools_method_and_threshold() {
    let (reference, current) = (data_file(REFERENCE), data_file(PRODUCTION));
    for (preset, numeric, categorical, threshold) in [
        ("evidently", "wasserstein", "jensen_shannon", Some(0.1)),
        ("sagemaker", "ks", "linf", Some(0.1)),
        ("azure", "wasserstein", "jensen_shannon", Some(0.1)),
        ("vertex", "jensen_shannon", "linf", Some(0.3)),
        ("nannyml", "jensen_shannon", "jensen_shannon", None),
    ] {
        let arguments = ["--ignore", "id", "--ignore", "repaid", "--preset", preset, "--format", "json"];
        let (answer, _) = answer(&compare(&reference, &current, &arguments));
        for (name, method) in [("car_value", numeric), ("salary_range", categorical)] {
            let methods = column(&answer, name)["methods"].as_object().unwrap();
            let deciding: Vec<&String> =
                methods.iter().filter(|(_, row)| row["decides"] == true).map(|(name, _)| name).collect();
            assert_eq!(deciding, [method], "{preset}");
            let row = &methods[method];
            if let Some(threshold) = threshold {
                assert_eq!(row["threshold"], threshold, "{preset}: {row}");
            } else {
                // Three deviations above the mean of ten chunks of undrifted rows.
                assert!((0.005..0.1).contains(&row["threshold"].as_f64().unwrap()), "{row}");
            }
            assert_eq!(column(&answer, name)["verdict"], row["verdict"], "{preset}");
        }
        // Half of production has values that are 1.8 PSI away.
        assert_eq!(column(&answer, "car_value")["verdict"] == "drift", preset != "vertex", "{preset}: {answer}");
    }
}

/// The names of an object, in their order.
fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

#[test]
fn the_json_has_the_documented_shape() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    std::fs::write(&reference, csv(2_000, 1.0, 10)).unwrap();
    std::fs::write(&current, csv(2_000, 0.5, 10)).unwrap();
    let roles = ["--prediction", "label", "--target", "truth", "--segment", "group", "--format", "json"];
    let (found, code) = answer(&compare(&reference, &current, &roles));
    assert_eq!((code, &found["verdict"]), (1, &"drift".into()), "{found}");
    let top = [
        "n_reference",
        "n_current",
        "verdict",
        "columns",
        "performance",
        "confusion",
        "calibration",
        "fairness",
        "multivariate",
        "attributions",
        "segments",
    ];
    assert_eq!(names(&found), top);
    assert_eq!((&found["n_reference"], &found["n_current"]), (&2_000.into(), &2_000.into()));
    let (amount, group) = (column(&found, "amount"), column(&found, "group"));
    assert_eq!((&amount["kind"], &group["kind"]), (&"numeric".into(), &"categorical".into()));
    assert_eq!(names(amount), ["kind", "verdict", "methods", "quality", "root_cause"]);
    assert_eq!(names(group), ["kind", "verdict", "methods", "quality"], "nothing has drifted");
    let numeric = [
        "psi",
        "ks",
        "jensen_shannon",
        "kl",
        "hellinger",
        "total_variation",
        "wasserstein",
        "chi_square",
        "g_test",
        "cramer_von_mises",
        "anderson_darling",
        "linf",
        "mean_shift",
    ];
    assert_eq!(names(&amount["methods"]), numeric);
    let categorical =
        ["psi", "jensen_shannon", "kl", "hellinger", "total_variation", "chi_square", "g_test", "linf", "proportion_z"];
    assert_eq!(names(&group["methods"]), categorical);
    let method = ["statistic", "lower", "upper", "p_value", "threshold", "verdict", "decides", "detail"];
    for row in numeric.iter().map(|name| &amount["methods"][name]) {
        assert_eq!(names(row), method);
        assert!(["statistic", "lower", "upper", "p_value", "threshold"].iter().all(|field| row[field].is_number()));
        assert!(["ok", "drift", "insufficient"].contains(&row["verdict"].as_str().unwrap()), "{row}");
    }
    let metric = [
        "reference",
        "current",
        "lower",
        "upper",
        "estimated",
        "estimated_lower",
        "estimated_upper",
        "residual",
        "residual_p_value",
        "n",
        "verdict",
        "detail",
    ];
    let metrics = names(&found["performance"]);
    for name in ["accuracy", "precision", "recall", "f1"] {
        assert!(metrics.contains(&name), "{metrics:?}");
        assert_eq!(names(&found["performance"][name]), metric);
    }
    let part = ["window_start", "window_end", "segment", "n_reference", "n_current", "verdict"];
    assert_eq!(names(&found["segments"][0])[..6], part);
}

#[test]
fn a_drifted_column_names_the_bins_and_the_segments_that_carry_it() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    // Amounts from 0 to 999 in both groups; in the current file those of group b are twice as large.
    let csv = |factor: usize| {
        let row = |row: usize| {
            let is_b = row % 2 == 1;
            let amount = row * 37 % 1_000 * if is_b { factor } else { 1 };
            format!("{},{amount}\n", ["a", "b"][usize::from(is_b)])
        };
        format!("group,amount\n{}", (0..8_000).map(row).collect::<String>())
    };
    std::fs::write(&reference, csv(1)).unwrap();
    std::fs::write(&current, csv(2)).unwrap();
    let (found, code) = answer(&compare(&reference, &current, &["--segment", "group", "--format", "json"]));
    assert_eq!(code, 1, "{found}");
    let cause = &column(&found, "amount")["root_cause"];
    let worst = &cause["bins"][0];
    assert!(worst["bin"].as_str().unwrap().ends_with("and more"), "{cause}");
    assert!(worst["current"].as_f64().unwrap() > worst["reference"].as_f64().unwrap() + 0.2, "{cause}");
    let shares: f64 = cause["bins"].as_array().unwrap().iter().map(|bin| bin["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{cause}");
    assert_eq!(cause["segments"][0]["segment"], "group=b", "{cause}");
    assert!(cause["segments"][0]["share"].as_f64().unwrap() > 0.99, "{cause}");
}

#[test]
fn detectors_read_the_rows_in_the_order_of_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    // From the 2,000th second on every other prediction is wrong, which was one in ten.
    let line = |second: usize| {
        let is_wrong = if second < 2_000 { second.is_multiple_of(10) } else { second.is_multiple_of(2) };
        format!("{},{},{},{}\n", second * 1_000, second * 37 % 500, 1, u8::from(!is_wrong))
    };
    let head = "time,amount,label,truth\n";
    let in_order: String = (0..3_000).map(line).collect();
    let backwards: String = (0..3_000).rev().map(line).collect();
    std::fs::write(&reference, format!("{head}{}", (0..2_000).map(line).collect::<String>())).unwrap();
    let flags = ["--prediction", "label", "--target", "truth", "--format", "json", "--ignore", "truth"];
    let detectors = ["--detector", "error=adwin", "--detector", "error=ddm", "--detector", "amount=adwin"];
    let drifts = |rows: &str, time: &[&str]| {
        std::fs::write(&current, head.to_owned() + rows).unwrap();
        let (found, code) = answer(&compare(&reference, &current, &[&flags[..], &detectors, time].concat()));
        assert_eq!(code, 1, "{found}");
        let found = found["detections"].as_array().cloned().unwrap_or_default();
        let drifts = found.into_iter().filter(|row| row["signal"] == "drift");
        drifts.map(|row| (row["series"].to_string(), row["detector"].to_string(), row["time"].to_string())).collect()
    };
    let forward: Vec<(String, String, String)> = drifts(&in_order, &["--time", "time"]);
    assert_eq!(forward, drifts(&backwards, &["--time", "time"]));
    let first = |detector: &str| forward.iter().find(|(_, name, _)| name.contains(detector)).map(|found| &found.2);
    for detector in ["adwin", "ddm"] {
        let time = first(detector).unwrap_or_else(|| panic!("{detector} finds nothing: {forward:?}"));
        // 2,000 seconds are 33 minutes and 20 seconds.
        assert!(("\"1970-01-01T00:33:20".."\"1970-01-01T00:36").contains(&time.as_str()), "{forward:?}");
    }
    assert!(forward.iter().all(|(series, ..)| series.contains("error")), "amounts do not change: {forward:?}");

    for (detector, said) in [
        ("error=magic", "adwin, page_hinkley"),
        ("amount=ddm", "ddm reads wrong labels only"),
        ("price=adwin", "write error, loss or a numeric column"),
        ("loss=adwin", "needs the --score"),
    ] {
        let output = compare(&reference, &current, &[&flags[..], &["--detector", detector]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{detector}: {error}");
        assert!(error.contains(said), "{error}");
    }
}
