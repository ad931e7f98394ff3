//! What the tables must say however the service was run: how often it was killed, over how many processes and brokers.

use std::collections::BTreeMap;

use crate::support::Service;

/// Sorted rows by table. Counts and what is computed from them are exact. What depends on when things came (revisions,
/// late events, sums of floating-point numbers) is left out.
pub type Facts = BTreeMap<&'static str, Vec<String>>;

const KEYS: &str = "model, version, variant, segment, window_start, window_end, window_size";

const TABLES: [(&str, &str); 5] = [
    ("windows", "state, predictions, outcomes, errors, label_coverage"),
    ("features", "feature, count, missing, invalid, unseen, out_of_range, min, max"),
    ("drift", "feature, method, statistic, lower, upper, p_value, verdict, n_reference, n_current"),
    ("multivariate", "method, statistic, reference, lower, upper, p_value, threshold, verdict, n_reference, n_current"),
    ("performance", "metric, value, lower, upper, reference, n, verdict"),
];

/// The facts of a settled service.
pub fn facts(service: &Service) -> Facts {
    let rows = |table: &str, columns: &str| {
        // The shift of the mean is computed from sums of floating-point numbers.
        let counted = if table == "drift" { "WHERE method <> 'mean_shift'" } else { "" };
        let found = service.sql(&format!("SELECT {KEYS}, {columns} FROM {table} {counted}"));
        let mut rows: Vec<String> = found.iter().map(ToString::to_string).collect();
        rows.sort_unstable();
        rows
    };
    TABLES.into_iter().map(|(table, columns)| (table, rows(table, columns))).collect()
}

/// Fails with the rows that differ, and not with thousands that do not.
pub fn assert_same(found: &Facts, expected: &Facts) {
    for (table, expected) in expected {
        assert!(!expected.is_empty(), "there is nothing to compare in {table}");
        let found = &found[table];
        let only_in = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|row| b.binary_search(row).is_err()).take(3).cloned().collect()
        };
        let (unexpected, missing) = (only_in(found, expected), only_in(expected, found));
        assert!(
            unexpected.is_empty() && missing.is_empty() && found.len() == expected.len(),
            "{table}: {} rows instead of {}\nunexpected: {unexpected:#?}\nmissing: {missing:#?}",
            found.len(),
            expected.len(),
        );
    }
}

/// `(read, counted, duplicate, deadlettered)` of a topic over its partitions.
pub fn books(service: &Service, topic: &str) -> (u64, u64, u64, u64) {
    let sums = ["read", "counted", "duplicate", "deadlettered"].map(|name| format!("sum({name}) AS {name}"));
    let topic = service.topic(topic);
    let row = service.sql(&format!("SELECT {} FROM accounting WHERE topic = '{topic}'", sums.join(", "))).remove(0);
    let of = |name: &str| row[name].as_u64().unwrap_or_default();
    (of("read"), of("counted"), of("duplicate"), of("deadlettered"))
}
