//! The detectors signal at the indices where River's do, which `tests/golden/detectors.py` has written to a file.

use plimsoll::detector::{DetectorKind, DetectorSettings, Signal, SplitMix64, exact_p_value};
use serde_json::Value;

use super::golden;

/// Indices of drifts, and the first and last index of each run of warnings.
#[derive(Debug, Default, PartialEq)]
struct Found {
    drifts: Vec<usize>,
    warnings: Vec<[usize; 2]>,
}

#[test]
fn every_detector_signals_where_rivers_does() {
    let file = golden("detectors.json");
    let mut drifts = vec![0; DetectorKind::ALL.len()];
    for run in file["runs"].as_array().expect("a list of runs") {
        let settings: DetectorSettings = serde_json::from_value(run["detector"].clone()).expect("settings");
        let values = series(&file["series"], text(&run["series"]));
        let wanted = Found {
            drifts: serde_json::from_value(run["drifts"].clone()).expect("indices"),
            warnings: serde_json::from_value(run["warnings"].clone()).expect("ranges"),
        };
        let found = signals(&settings, &values);
        assert_eq!(wanted, found, "{} on {}", run["detector"], run["series"]);
        let kind = DetectorKind::ALL.iter().position(|kind| *kind == settings.kind()).expect("a kind");
        drifts[kind] += found.drifts.len();
    }
    assert!(drifts.iter().all(|count| *count >= 20), "too few drifts to compare: {drifts:?}");
}

#[test]
fn the_exact_ks_p_value_is_scipys() {
    for case in golden("detectors.json")["ks"].as_array().expect("a list of cases") {
        let size = |field: &str| case[field].as_u64().and_then(|size| u32::try_from(size).ok()).expect("a size");
        let (found, wanted) = (exact_p_value(size("distance"), size("n")), number(&case["p_value"]));
        assert!((found - wanted).abs() <= 1e-9 * wanted, "{found} for {case}");
    }
}

fn signals(settings: &DetectorSettings, values: &[f64]) -> Found {
    let mut detector = settings.build().expect("valid settings");
    let mut found = Found::default();
    for (index, value) in values.iter().enumerate() {
        match detector.update(*value) {
            Signal::Stable => {}
            Signal::Drift => found.drifts.push(index),
            Signal::Warning => match found.warnings.last_mut() {
                Some([_, last]) if *last + 1 == index => *last = index,
                _ => found.warnings.push([index, index]),
            },
        }
    }
    found
}

/// The values of a series, by its recipe (see the script).
fn series(all: &Value, name: &str) -> Vec<f64> {
    let series = &all[name];
    match text(&series["recipe"]) {
        "values" => series["values"].as_array().expect("values").iter().map(number).collect(),
        "above" => {
            let threshold = number(&series["threshold"]);
            let values = self::series(all, text(&series["of"]));
            values.into_iter().map(|value| f64::from(u8::from(value > threshold))).collect()
        }
        "constant" => vec![number(&series["value"]); count(series)],
        "uniform" => {
            let mut generator = SplitMix64::new(seed(series));
            (0..count(series)).map(|_| generator.next_uniform()).collect()
        }
        "errors" => random(series, |generator, segment, share| {
            let (from, to) = (number(&segment["from"]), number(&segment["to"]));
            let p = from + (to - from) * share;
            f64::from(u8::from(generator.next_uniform() < p))
        }),
        "normal" => random(series, |generator, segment, _| {
            let sum = (0..12).fold(0.0, |sum, _| sum + generator.next_uniform());
            (sum - 6.0) * number(&segment["std"]) + number(&segment["mean"])
        }),
        other => panic!("no recipe {other}"),
    }
}

/// One value per row of each segment; the last argument is the share of the segment that is over.
fn random(series: &Value, value: impl Fn(&mut SplitMix64, &Value, f64) -> f64) -> Vec<f64> {
    let mut generator = SplitMix64::new(seed(series));
    let mut values = Vec::new();
    for segment in series["segments"].as_array().expect("segments") {
        let rows = count(segment);
        values.extend((0..rows).map(|row| value(&mut generator, segment, row as f64 / rows as f64)));
    }
    values
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn count(value: &Value) -> usize {
    value["count"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count")
}

fn seed(series: &Value) -> u64 {
    series["seed"].as_u64().expect("a seed")
}
