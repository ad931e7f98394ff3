//! All features together.

use super::{answer, column, compare, names};

#[test]
fn features_that_no_longer_go_together_fail_the_data_although_each_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, second: usize| {
        let mut text = "first,second,third,label\n".to_owned();
        for row in 0..4_000_usize {
            let number = |factor: usize| row * factor % 1_000;
            text.push_str(&format!("{},{},{},{}\n", number(919), number(second), number(277), row % 2));
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // The second is the first; then it has the same values in other rows.
    let (reference, current) = (write("reference.csv", 919), write("current.csv", 731));
    let arguments = ["--prediction", "label", "--target", "label", "--format", "json"];
    let (found, code) = answer(&compare(&reference, &current, &arguments));
    let together = &found["multivariate"]["pca_reconstruction"];
    assert_eq!((code, &together["verdict"]), (1, &"drift".into()), "{found}");
    assert_eq!((&together["features"], &together["components"]), (&3.into(), &1.into()), "{together}");
    assert!(together["statistic"].as_f64().unwrap() > 1.2 * together["reference"].as_f64().unwrap(), "{together}");
    for name in ["first", "second", "third"] {
        assert_eq!(column(&found, name)["verdict"], "ok", "{found}");
    }
    let (same, code) = answer(&compare(&reference, &reference, &arguments));
    assert_eq!((code, &same["multivariate"]["pca_reconstruction"]["verdict"]), (0, &"ok".into()), "{same}");
    let (without, code) =
        answer(&compare(&reference, &current, &[&arguments[..], &["--reconstruction", "false"]].concat()));
    assert_eq!((code, &without["multivariate"]), (0, &serde_json::json!({})), "{without}");
}

#[test]
fn features_that_rank_otherwise_by_what_they_contribute_fail_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sizes: [f64; 3]| {
        let mut text = "amount,shap_amount,shap_age,shap_town\n".to_owned();
        for row in 0..1_000_u32 {
            let share = (0.5 + f64::from(row % 11) / 10.0) * if row % 2 == 0 { 1.0 } else { -1.0 };
            let [amount, age, town] = sizes.map(|size| size * share);
            text.push_str(&format!("{},{amount},{age},{town}\n", row * 37 % 100));
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (reference, current) = (write("reference.csv", [8.0, 4.0, 1.0]), write("current.csv", [1.0, 4.0, 8.0]));
    let arguments = ["--attributions", "shap_", "--format", "json"];
    let (found, code) = answer(&compare(&reference, &current, &arguments));
    assert_eq!((code, &found["multivariate"]["attribution_ndcg"]["verdict"]), (1, &"drift".into()), "{found}");
    assert_eq!(names(&found["columns"]), ["amount"], "attributions are no features");
    let town = found["attributions"].as_array().unwrap().iter().find(|row| row["feature"] == "town").unwrap();
    assert_eq!((&town["rank"], &town["reference_rank"], &town["n"]), (&1.into(), &3.into(), &1_000.into()), "{town}");
    let (same, code) = answer(&compare(&reference, &reference, &arguments));
    assert_eq!((code, &same["multivariate"]["attribution_ndcg"]["statistic"]), (0, &1.0.into()), "{same}");
    let wrong = compare(&reference, &current, &["--attributions", "lime_"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("begins with 'lime_' and goes on with a feature"));
}
