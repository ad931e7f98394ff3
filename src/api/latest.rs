//! The last closed windows: what metrics and pages show of each population.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::event::{WindowReport, WindowState};
use crate::model::WindowSize;
use crate::query::Snapshot;

/// Versions and variants shown per model and size; without a bound every deployment would add series for ever.
const MAX_POPULATIONS: usize = 20;

/// Windows by version and variant.
type Populations<'a> = BTreeMap<(&'a str, &'a str), &'a Arc<WindowReport>>;

/// The last closed window of everybody, per model, size, version and variant: models by name, sizes from the
/// smallest, newest window first. Models that are no longer configured are left out.
pub(super) fn latest_closed(snapshot: &Snapshot) -> Vec<&Arc<WindowReport>> {
    latest(snapshot, |_| true)
}

/// As [`latest_closed`], of the windows whose performance is known: labels come later than predictions.
pub(super) fn latest_labelled(snapshot: &Snapshot) -> Vec<&Arc<WindowReport>> {
    latest(snapshot, |window| window.performance.iter().any(|row| row.value.is_some()))
}

fn latest(snapshot: &Snapshot, wanted: impl Fn(&WindowReport) -> bool) -> Vec<&Arc<WindowReport>> {
    let configured: HashSet<&str> =
        snapshot.models.iter().filter(|row| row.is_monitored()).map(|row| row.model.as_str()).collect();
    let mut newest: BTreeMap<(&str, WindowSize), Populations<'_>> = BTreeMap::new();
    let closed = closed_of_everybody(snapshot)
        .filter(|window| configured.contains(window.population.model.as_str()) && wanted(window));
    for window in closed {
        let population = &window.population;
        let populations = newest.entry((&population.model, window.window_size)).or_default();
        let known = populations.entry((&population.version, &population.variant)).or_insert(window);
        if known.window_end < window.window_end {
            *known = window;
        }
    }
    newest.into_values().flat_map(|populations| newest_first(populations.into_values().collect())).collect()
}

/// Closed windows without a segment.
pub(super) fn closed_of_everybody(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<WindowReport>> {
    let whole = |window: &&Arc<WindowReport>| window.population.segment.is_none();
    snapshot.windows.iter().filter(|window| window.state == WindowState::Closed).filter(whole)
}

fn newest_first(mut windows: Vec<&Arc<WindowReport>>) -> Vec<&Arc<WindowReport>> {
    windows.sort_by_key(|window| std::cmp::Reverse((window.window_end, window.predictions)));
    windows.truncate(MAX_POPULATIONS);
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn only_the_last_closed_window_of_everybody_is_shown() {
        let mut open = samples::window("car_loan", 9);
        open.state = WindowState::Open;
        let mut segment = samples::window("car_loan", 8);
        segment.population.segment = Some("region=eu".into());
        let gone = samples::window("gone", 8);
        let closed = [samples::window("car_loan", 0), samples::window("car_loan", 1)];
        let windows = closed.into_iter().chain([open, segment, gone]).map(Arc::new).collect();
        let snapshot = Snapshot { windows, models: vec![samples::model_row("car_loan")], ..Snapshot::default() };
        let shown: Vec<_> = latest_closed(&snapshot).iter().map(|window| window.window_start).collect();
        assert_eq!(shown, [samples::window("car_loan", 1).window_start]);
    }
}
