mod bounds;
mod counts;
mod decision;
mod preset;
mod reconstruction;

use super::*;
use crate::event::DriftRow;
use crate::model::{DriftPolicy, Method};
use crate::profile::{
    Anchors, CategoryAnchors, ColumnAnchors, ColumnProfile, NumericAnchors, Profile, ValueAnchors, Values,
};

fn column(bins: &[u64]) -> ColumnProfile {
    ColumnProfile { bins: bins.to_vec(), ..ColumnProfile::default() }
}

fn categorical(reference: &[u64], current: &[u64]) -> (Anchors, Profile, Profile) {
    let names: Vec<String> = (0..reference.len()).map(|i| format!("c{i}")).collect();
    let values = ValueAnchors::Categorical(CategoryAnchors::from(names));
    let anchors = Anchors { epoch: 0, columns: vec![ColumnAnchors { name: "k".into(), values }], ..Anchors::default() };
    let profile = |bins: &[u64]| Profile { columns: vec![column(bins)], ..Profile::default() };
    (anchors, profile(reference), profile(current))
}

fn numeric(reference: &[f64], current: &[f64]) -> (Anchors, Profile, Profile) {
    let anchors = NumericAnchors::fit(reference.iter().copied());
    let profile = |values: &[f64]| Profile { columns: vec![numeric_column(&anchors, values)], ..Profile::default() };
    let (reference, current) = (profile(reference), profile(current));
    let values = ValueAnchors::Numeric(anchors);
    (
        Anchors { epoch: 0, columns: vec![ColumnAnchors { name: "x".into(), values }], ..Anchors::default() },
        reference,
        current,
    )
}

fn numeric_column(anchors: &NumericAnchors, values: &[f64]) -> ColumnProfile {
    let anchors = ValueAnchors::Numeric(anchors.clone());
    let mut column = ColumnProfile::empty(&anchors);
    let array: arrow::array::Float64Array = values.iter().copied().map(Some).collect();
    let everybody: Vec<usize> = (0..values.len()).collect();
    column.count(&anchors, &Values::numeric(&array), &everybody);
    column
}

fn judged((anchors, reference, current): &(Anchors, Profile, Profile)) -> Vec<DriftRow> {
    judge(&DriftPolicy::default(), anchors, reference, current)
}

#[track_caller]
fn row_of(rows: &[DriftRow], method: Method) -> &DriftRow {
    rows.iter().find(|row| row.method == method).unwrap_or_else(|| panic!("there is no row of {method}"))
}
