//! How good the predictions of a file are, and how good they should be.

use std::path::Path;

use serde_json::Value;

use super::{answer, column, compare};

#[test]
fn classes_and_values_have_the_metrics_of_their_task() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, current) = (folder.path().join("reference.csv"), folder.path().join("current.csv"));
    let csv = |wrong: usize, error: f64| {
        let mut text = "x,class,guess,value,estimate\n".to_owned();
        for row in 0..3_000_usize {
            let class = ["red", "green", "blue"][row % 3];
            let guess = if row * 7 % 100 < wrong { "red" } else { class };
            let value = f64::from(u32::try_from(row % 50).unwrap());
            let estimate = if row % 2 == 0 { value + error } else { value - error };
            text.push_str(&format!("{},{class},{guess},{value},{estimate}\n", row % 10));
        }
        text
    };
    std::fs::write(&reference, csv(10, 1.0)).unwrap();
    std::fs::write(&current, csv(40, 2.0)).unwrap();
    let only = ["--ignore", "x", "--format", "json"];
    let classes = ["--task", "multiclass", "--prediction", "guess", "--target", "class"];
    let (found, code) = answer(&compare(&reference, &current, &[&only[..], &classes].concat()));
    assert_eq!((code, &found["performance"]["accuracy"]["verdict"]), (1, &"decay".into()), "{found}");
    let metric = |name: &str, side: &str| found["performance"][name][side].as_f64().unwrap();
    // 40 of 100 guesses are red, of which a third is right by chance.
    assert!((metric("accuracy", "current") - (0.6 + 0.4 / 3.0)).abs() < 0.01, "{found}");
    // Every red one is found, and 60 % of the others.
    assert!((metric("recall", "current") - (1.0 + 0.6 + 0.6) / 3.0).abs() < 0.01, "{found}");

    let values = ["--task", "regression", "--prediction", "estimate", "--target", "value"];
    let (found, code) = answer(&compare(&reference, &current, &[&only[..], &values].concat()));
    assert_eq!((code, &found["performance"]["mae"]["verdict"]), (1, &"decay".into()), "{found}");
    let metric = |name: &str, side: &str| found["performance"][name][side].as_f64().unwrap();
    for (name, reference, current) in [("mae", 1.0, 2.0), ("mse", 1.0, 4.0), ("rmse", 1.0, 2.0), ("bias", 0.0, 0.0)] {
        assert!((metric(name, "reference") - reference).abs() < 1e-9, "{name}: {found}");
        assert!((metric(name, "current") - current).abs() < 1e-9, "{name}: {found}");
    }
}

/// `label,truth,proba_a,proba_b,proba_c`; the probabilities are those of the label, and `wrong` of a hundred truths are others.
fn classes_csv(rows: usize, wrong: usize) -> String {
    let mut text = "label,truth,proba_a,proba_b,proba_c\n".to_owned();
    for row in 0..rows {
        let label = row % 3;
        let truth = if row * 7 % 100 < wrong { (label + 1) % 3 } else { label };
        let mut probabilities = ["0.1"; 3];
        probabilities[label] = "0.8";
        text.push_str(&format!("{},{},{}\n", ["a", "b", "c"][label], ["a", "b", "c"][truth], probabilities.join(",")));
    }
    text
}

#[test]
fn the_probabilities_of_several_classes_have_losses_a_matrix_and_curves() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (reference, current) =
        (file("reference.csv", classes_csv(1_500, 20)), file("current.csv", classes_csv(900, 40)));
    let roles = ["--task", "multiclass", "--prediction", "label", "--target", "truth", "--format", "json"];
    let (answer, code) = answer(&compare(&reference, &current, &[&roles[..], &["--scores", "proba_"]].concat()));
    assert_eq!((code, &answer["performance"]["accuracy"]["verdict"]), (1, &"decay".into()), "{answer}");
    let log_loss = |wrong: f64| -(1.0 - wrong) * 0.8_f64.ln() - wrong * 0.1_f64.ln();
    let found = &answer["performance"]["log_loss"];
    for (side, wanted) in [("reference", log_loss(0.2)), ("current", log_loss(0.4))] {
        assert!((found[side].as_f64().unwrap() - wanted).abs() < 1e-9, "{side}: {wanted} and {found}");
    }
    for metric in ["roc_auc", "average_precision", "brier", "calibration_error"] {
        assert!(answer["performance"][metric]["current"].is_f64(), "{metric} of {answer}");
    }
    let cells = answer["confusion"].as_array().unwrap();
    let of =
        |predicted: &str, actual: &str| cells.iter().find(|c| c["predicted"] == predicted && c["actual"] == actual);
    assert_eq!((&of("a", "a").unwrap()["count"], &of("a", "b").unwrap()["count"]), (&180.into(), &120.into()));
    assert!(of("a", "c").is_none(), "{cells:?}");
    let curve = answer["calibration"].as_array().unwrap();
    let sure = curve.iter().find(|bin| bin["class"] == "b" && bin["bin_lower"] == 0.7).unwrap();
    assert!((sure["positive_rate"].as_f64().unwrap() - 0.6).abs() < 1e-9 && sure["n"] == 300, "{sure}");
    assert!((sure["reference"].as_f64().unwrap() - 0.8).abs() < 1e-9, "{sure}");

    let without = compare(&reference, &current, &roles);
    let (answer, _) = self::answer(&without);
    let detail = &answer["performance"]["log_loss"]["detail"];
    assert_eq!(detail, "it needs two probabilities from 0 to 1, which the 900 outcomes do not give");
    let wrong = compare(&reference, &current, &[&roles[..], &["--scores", "p_"]].concat());
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no column whose name begins with 'p_'"), "{wrong:?}");
}

#[test]
fn what_the_outcomes_should_be_is_estimated_for_every_task_whether_they_are_there_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let metric = |files: (&Path, &Path), arguments: &[&str], metric: &str| {
        let (answer, _) = answer(&compare(files.0, files.1, &[arguments, &["--format", "json"]].concat()));
        answer["performance"][metric].clone()
    };
    let near = |value: &Value, wanted: f64| value.as_f64().is_some_and(|value| (value - wanted).abs() < 1e-6);

    // Of the scores 0.2 and 0.8, 30 and 90 of a hundred are positive.
    let scored = |rows: usize, certain: usize, outcomes: bool| {
        let mut text = "score,label,truth\n".to_owned();
        for row in 0..rows {
            let is_certain = row % 4 < certain;
            let (score, positive) = if is_certain { (0.8, 90) } else { (0.2, 30) };
            let truth = if row * 37 / 4 % 100 < positive { "1" } else { "0" };
            let (label, truth) = (u8::from(is_certain), if outcomes { truth } else { "" });
            text.push_str(&format!("{score},{label},{truth}\n"));
        }
        text
    };
    let roles = ["--prediction", "label", "--score", "score", "--target", "truth"];
    let (reference, current) = (file("a.csv", scored(4_000, 2, true)), file("b.csv", scored(4_000, 3, false)));
    let accuracy = metric((&reference, &current), &roles, "accuracy");
    assert!(near(&accuracy["estimated"], 0.25 * 0.7 + 0.75 * 0.9), "{accuracy}");
    assert_eq!((&accuracy["current"], &accuracy["residual"]), (&Value::Null, &Value::Null), "{accuracy}");
    assert_eq!(accuracy["verdict"], "insufficient", "an estimate is no decay");

    // Wrong in 40 of a hundred where 20 were: the concept has drifted, which no estimate can know.
    let (reference, current) = (file("c.csv", classes_csv(1_500, 20)), file("d.csv", classes_csv(900, 40)));
    let roles = ["--task", "multiclass", "--prediction", "label", "--target", "truth", "--scores", "proba_"];
    let accuracy = metric((&reference, &current), &roles, "accuracy");
    assert!(near(&accuracy["estimated"], 0.8) && near(&accuracy["residual"], -0.2), "{accuracy}");
    assert!(accuracy["residual_p_value"].as_f64().unwrap() < 1e-6, "{accuracy}");

    // Errors of 0.5 and 1.5 about 10, of 2.5 and 3.5 about 20.
    let valued = |rows: usize, large: usize| {
        let mut text = "value,truth\n".to_owned();
        for row in 0..rows {
            let (value, least) = if row % 4 < large { (20.0, 2.5) } else { (10.0, 0.5) };
            let error = if row / 8 % 2 == 0 { least } else { least + 1.0 };
            text.push_str(&format!("{value},{}\n", if row / 4 % 2 == 0 { value + error } else { value - error }));
        }
        text
    };
    let (reference, current) = (file("e.csv", valued(2_000, 2)), file("f.csv", valued(2_000, 3)));
    let roles = ["--task", "regression", "--prediction", "value", "--target", "truth"];
    let (found, _) = answer(&compare(&reference, &current, &[&roles[..], &["--format", "json"]].concat()));
    assert_eq!(
        (&column(&found, "value")["kind"], &column(&found, "truth")["kind"]),
        (&"numeric".into(), &"numeric".into())
    );
    let mae = &found["performance"]["mae"];
    let estimated = mae["estimated"].as_f64().unwrap();
    // Each bin's mean is drawn a little to that of all.
    assert!((estimated - (0.25 + 0.75 * 3.0)).abs() < 0.01 && mae["residual"].as_f64().unwrap().abs() < 0.01, "{mae}");
}
