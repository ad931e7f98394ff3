//! Every closed window of a service against the golden file of its model.

use std::collections::BTreeMap;

use plimsoll::profile::NumericAnchors;
use serde_json::Value;

use super::raw::Raw;
use super::{Tables, WindowKey, assert_close, golden, number};

/// The same formula over the same counts, in another order of summation.
const ROUNDING: f64 = 1e-9;
/// Ratios of two whole numbers.
const EXACT: f64 = 1e-12;
/// Ties within a fine bin of the score count half; how far that may be from the exact area.
const AUC: f64 = 1e-3;

const QUANTILES: [(&str, f64); 7] =
    [("p01", 0.01), ("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p99", 0.99)];

/// Compares all closed windows; `score` is the score's column in the data files. Returns how many there are.
pub fn assert_windows_agree(tables: &Tables, model: &str, score: &str) -> usize {
    let golden = golden(&format!("{model}.json"));
    let quantiles = Quantiles::read(model, score);
    let wanted: BTreeMap<WindowKey, &Value> =
        golden["windows"].as_array().expect("windows").iter().map(|window| (WindowKey::of(window), window)).collect();
    for (key, row) in &tables.windows {
        let wanted = wanted.get(key).unwrap_or_else(|| panic!("a window that should not be: {row}"));
        assert_eq!(row["predictions"], wanted["n"], "{row}");
        assert_eq!(row["outcomes"], wanted["n"], "{row}");
        for (feature, wanted) in wanted["features"].as_object().expect("features") {
            assert_feature(tables, key, feature, wanted);
            assert_drift(tables, key, feature, wanted);
            quantiles.assert_in_their_bins(tables, key, feature, wanted);
        }
        assert_performance(tables, key, &wanted["performance"], &golden["reference"]["performance"]);
    }
    // Windows close in order; only the last of each size may still be open.
    for size in ["7d", "28d"] {
        let of_size = |key: &&WindowKey| key.size == size;
        let (closed, all) = (tables.windows.keys().filter(of_size).count(), wanted.keys().filter(of_size).count());
        assert!(closed == all || closed + 1 == all, "{closed} of {all} windows of {size} are closed");
    }
    tables.windows.len()
}

fn assert_feature(tables: &Tables, key: &WindowKey, feature: &str, wanted: &Value) {
    let row = &tables.features[&(key.clone(), feature.to_owned())];
    let what = |field: &str| format!("{field} of {feature} in {key:?}");
    assert_eq!(row["kind"], wanted["kind"], "{}", what("kind"));
    assert_eq!(row["count"], wanted["count"], "{}", what("count"));
    assert_eq!(row["missing"], wanted["missing"], "{}", what("missing"));
    if wanted["kind"] == "categorical" {
        assert_eq!(row["unseen"], wanted["unseen"], "{}", what("unseen"));
        return;
    }
    for field in ["mean", "std"] {
        match (number(row, field), number(wanted, field)) {
            (Some(found), Some(wanted)) => assert_close(found, wanted, ROUNDING, &what(field)),
            (found, wanted) => assert_eq!(found, wanted, "{}", what(field)),
        }
    }
}

fn assert_drift(tables: &Tables, key: &WindowKey, feature: &str, wanted: &Value) {
    let row = |method: &str| tables.drift.get(&(key.clone(), feature.to_owned(), method.to_owned()));
    let what = |method: &str| format!("{method} of {feature} in {key:?}");
    for method in ["psi", "jensen_shannon"] {
        let found = row(method).unwrap_or_else(|| panic!("there is no {}", what(method)));
        let found = number(found, "statistic").unwrap_or_else(|| panic!("{}: {found}", what(method)));
        assert_close(found, number(wanted, method).expect("a golden statistic"), ROUNDING, &what(method));
    }
    let Some(ks) = row("ks") else {
        assert_eq!(wanted["kind"], "categorical", "there is no {}", what("ks"));
        return;
    };
    let bounds = number(ks, "lower").zip(number(ks, "upper"));
    let (lower, upper) = bounds.unwrap_or_else(|| panic!("{}: {ks}", what("ks")));
    let wanted = number(wanted, "ks").expect("a golden statistic");
    assert!((lower - EXACT..=upper + EXACT).contains(&wanted), "{}: {wanted} not in {lower}..={upper}", what("ks"));
}

fn assert_performance(tables: &Tables, key: &WindowKey, wanted: &Value, reference: &Value) {
    for metric in ["accuracy", "precision", "recall", "f1", "roc_auc"] {
        let row = &tables.performance[&(key.clone(), metric.to_owned())];
        let what = format!("{metric} in {key:?}");
        assert_eq!(row["n"].as_u64(), Some(cases(wanted, metric)), "{what}");
        let tolerance = if metric == "roc_auc" { AUC } else { EXACT };
        assert_close(
            number(row, "reference").expect("a reference"),
            number(reference, metric).expect("a golden reference"),
            tolerance,
            &format!("reference of {what}"),
        );
        let (Some(found), Some(wanted)) = (number(row, "value"), number(wanted, metric)) else {
            assert_eq!(number(row, "value"), number(wanted, metric), "{what}");
            continue;
        };
        assert_close(found, wanted, tolerance, &what);
        let (lower, upper) = number(row, "lower").zip(number(row, "upper")).expect("an interval");
        assert!((lower..=upper).contains(&wanted), "{what}: {wanted} not in {lower}..={upper}");
    }
}

/// How many predictions the metric is about.
fn cases(wanted: &Value, metric: &str) -> u64 {
    let count = |field: &str| wanted["confusion"][field].as_u64().expect("a count");
    match metric {
        "precision" => count("tp") + count("fp"),
        "recall" => count("tp") + count("fn"),
        "f1" => count("tp") + count("fp") + count("fn"),
        _ => wanted["n"].as_u64().expect("a count"),
    }
}

/// The values of every numeric column, to know between which of them a quantile lies.
struct Quantiles {
    columns: BTreeMap<String, Column>,
}

struct Column {
    /// As the service makes them of the reference.
    anchors: NumericAnchors,
    windows: BTreeMap<WindowKey, Vec<f64>>,
}

impl Quantiles {
    fn read(model: &str, score: &str) -> Self {
        let reference = Raw::read(&format!("{model}_reference.parquet"));
        let production = Raw::read(&format!("{model}_production.parquet"));
        let column = |name: &String| {
            let windows = [("7d", 7), ("28d", 28)].into_iter().flat_map(|(size, days)| {
                let key = move |start: String| WindowKey { size: size.to_owned(), start };
                production.windows(name, days).into_iter().map(move |(start, values)| (key(start), values))
            });
            Column { anchors: NumericAnchors::fit(reference.values(name)), windows: windows.collect() }
        };
        let feature = |name: &String| if name == score { "prediction.score".to_owned() } else { name.clone() };
        Self { columns: production.columns().map(|name| (feature(name), column(name))).collect() }
    }

    /// A quantile comes from a histogram: it lies in the fine bins of the two values between which the exact one
    /// (R-7, as `numpy.quantile`) is interpolated.
    fn assert_in_their_bins(&self, tables: &Tables, key: &WindowKey, feature: &str, wanted: &Value) {
        if wanted["kind"] == "categorical" {
            return;
        }
        let row = &tables.features[&(key.clone(), feature.to_owned())];
        let column = &self.columns[feature];
        let values = &column.windows[key];
        for (name, q) in QUANTILES {
            let what = format!("{name} of {feature} in {key:?}");
            let rank = q * (values.len() - 1) as f64;
            let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
            let exact = below + (above - below) * rank.fract();
            assert_close(exact, number(wanted, name).expect("a golden quantile"), ROUNDING, &what);

            let edges = column.anchors.edges();
            let low = column.anchors.bin(below).checked_sub(1).map_or(f64::NEG_INFINITY, |bin| edges[bin]);
            let high = edges.get(column.anchors.bin(above)).copied().unwrap_or(f64::INFINITY);
            let found = number(row, name).unwrap_or_else(|| panic!("{what}: {row}"));
            assert!((low..=high).contains(&found), "{what}: {found} not in {low}..={high}");
        }
    }
}
