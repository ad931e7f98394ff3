use super::*;
use crate::registry::samples::{run, version};

#[track_caller]
fn finds<T: Searchable>(row: &T, filter: &str) -> bool {
    Filter::parse::<T>(filter).unwrap().fits(row)
}

#[test]
fn runs_are_found_by_metrics_params_tags_and_attributes() {
    let run = run();
    for filter in [
        "",
        "metrics.loss < 0.6",
        "metric.loss >= 0.5 and params.lr = '0.1'",
        "METRICS.loss = 0.5 AND param.\"lr\" LIKE '0.%'",
        "metrics.`val/loss` = 1e-3",
        "tags.team ILIKE 'RISK' and attributes.status = 'RUNNING'",
        "tags.`mlflow.user` = 'ada'",
        "tags.\"mlflow.user\" != \"bob\"",
        "run_name = 'first' and status != 'FAILED'",
        "attribute.run_id IN ('x', 'r1')",
        "run_id NOT IN ('x')",
        "start_time > 0",
        "datasets.name = 'loans' and dataset.context = 'training'",
    ] {
        assert!(finds(&run, filter), "{filter}");
    }
    for filter in [
        "metrics.loss < 0.5",
        "metrics.other != 1",
        "params.lr = '0.2'",
        "tags.team LIKE 'RISK'",
        "run_id IN ('x')",
        "run_id NOT IN ('r1', 'x')",
        "end_time > 0",
        "datasets.name = 'others'",
    ] {
        assert!(!finds(&run, filter), "{filter}");
    }
}

#[test]
fn versions_are_found_by_name_number_and_tags() {
    let version = version();
    assert!(finds(&version, "name='m' and version_number = 3 and run_id IN ('r1')"));
    assert!(finds(&version, "tags.team = 'risk' and source_path LIKE 'mlflow-%'"));
    assert!(!finds(&version, "name='n'"));
    // Clients add this to every search, and no version has such a tag.
    assert!(finds(&version, "name = 'm' AND tag.`mlflow.prompt.is_prompt` != 'true'"));
    assert!(!finds(&version, "tag.`mlflow.prompt.is_prompt` = 'true'"));
}

#[test]
fn filters_that_make_no_sense_say_what_would() {
    for (filter, words) in [
        ("name", "after 'name' comes one of"),
        ("name = m", "a string in quotes"),
        ("name = 'm", "does not end"),
        ("name = 'm' or name = 'n'", "joined by AND"),
        ("name = 'm' name = 'n'", "joined by AND"),
        ("nom = 'm'", "Valid keys are"),
        ("version_number = '3'", "numeric value"),
        ("name < 'm'", "is text"),
        ("name = 3", "quoted string"),
        ("name IN 'm'", "list of strings"),
        ("name IN ('m'", "a list is written"),
        ("name IN ()", "a list is written"),
        ("things.a = 'm'", "is no entity"),
        ("tags. = 'm'", "names no key"),
        ("; drop table", "not understood"),
        ("version_number = 1x", "no number"),
    ] {
        let error = Filter::parse::<crate::registry::ModelVersion>(filter).unwrap_err().to_string();
        assert!(error.contains(words), "{filter}: {error}");
    }
    let long = format!("name = '{}'", "x".repeat(LONGEST));
    assert!(Filter::parse::<crate::registry::ModelVersion>(&long).is_err());
}

#[test]
fn like_takes_no_more_time_than_both_lengths() {
    use super::like::is_like;
    assert!(is_like("abc", "a%c") && is_like("abc", "%") && is_like("", "%%") && is_like("äbc", "_b_"));
    assert!(!is_like("abc", "a%d") && !is_like("abc", "ab") && !is_like("", "_"));
    assert!(!is_like(&"a".repeat(5_000), &format!("{}b", "a%".repeat(2_000))));
}

#[test]
fn rows_without_a_value_go_last_in_both_directions() {
    let mut rows = [run(), run(), run()];
    rows[0].metrics.clear();
    rows[1].metrics.get_mut("loss").unwrap().value = 0.9;
    for (order, expected) in [("metrics.loss ASC", ["0.5", "0.9"]), ("metrics.`loss` DESC", ["0.9", "0.5"])] {
        let order = Order::parse::<crate::registry::Run>(&[order.to_owned()]).unwrap();
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_by(|a, b| order.compare(*a, *b));
        let values: Vec<String> =
            sorted.iter().filter_map(|run| Some(run.metrics.get("loss")?.value.to_string())).collect();
        assert_eq!(values, expected);
        assert!(sorted[2].metrics.is_empty());
    }
    for wrong in ["nom ASC", "name up", "metrics."] {
        assert!(Order::parse::<crate::registry::Run>(&[wrong.to_owned()]).is_err(), "{wrong}");
    }
}
