//! The series that sequential detectors read: what every pane says of them, and what was found there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::machine::SETTLING;
use super::panes::PaneStore;
use crate::clock::Timestamp;
use crate::detector::PanePoint;
use crate::event::{DetectionRow, Population};
use crate::model::Model;
use crate::profile::{Reference, decode, encode};
use crate::runner::{RoleError, readable};
use crate::state::{Store, Write, prefix_end};
use crate::window::{
    WatchedSeries, detections_of_era, era_of, has_enough_outcomes, pane_points, series_start, watched,
};

const PREFIX: &[u8] = b"series/";
/// Which series the panes of each model have been read for.
const READ_FOR: &[u8] = b"meta/series";

/// The panes of whole populations of models that have detectors.
///
/// Beside the panes themselves, which are far larger and are forgotten sooner than the series needs them.
#[derive(Default)]
pub(super) struct SeriesStore {
    panes: BTreeMap<Population, BTreeMap<Timestamp, SeriesPane>>,
    /// Panes to be read once the watermark is there, by model.
    due: BTreeMap<String, BTreeSet<(Timestamp, Population, Timestamp)>>,
    read_for: BTreeMap<String, Vec<String>>,
    is_read_for_stored: bool,
    changed: BTreeSet<(Population, Timestamp)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SeriesPane {
    /// By series.
    points: BTreeMap<String, PanePoint>,
    detections: Vec<DetectionRow>,
    /// When it is to be read (again): at its end if it has changed since, or when its labels are final.
    due: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    population: Population,
    start: Timestamp,
    pane: SeriesPane,
}

/// Whether a row of [`PREFIX`] can be read.
pub(super) fn check(value: &[u8]) -> Result<(), String> {
    readable::<Stored>(value).map(|_| ())
}

impl SeriesStore {
    pub(super) async fn open(
        store: &Arc<dyn Store>,
        models: &BTreeMap<String, Model>,
        panes: &PaneStore,
    ) -> Result<Self, RoleError> {
        let mut series = Self { is_read_for_stored: true, ..Self::default() };
        for (_, value) in store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            let Stored { population, start, pane } = decode(&value)?;
            if models.get(&population.model).is_none_or(|model| model.detectors.is_empty()) {
                series.changed.insert((population, start));
                continue;
            }
            if let Some(due) = pane.due {
                let of_model = series.due.entry(population.model.clone()).or_default();
                of_model.insert((due, population.clone(), start));
            }
            series.panes.entry(population).or_default().insert(start, pane);
        }
        let known: BTreeMap<String, Vec<String>> =
            store.get(READ_FOR).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let wanted = |model: &Model| model.detectors.series().map(|(series, _)| series.name().to_owned()).collect();
        series.read_for = models
            .values()
            .filter(|model| !model.detectors.is_empty())
            .map(|model| (model.name.clone(), wanted(model)))
            .collect();
        series.is_read_for_stored = series.read_for == known;
        // Panes that were counted before anyone asked for this series.
        for (population, start) in panes.starts() {
            let name = &population.model;
            if let Some(model) = models.get(name)
                && series.read_for.get(name) != known.get(name)
            {
                series.touch(model, population, start);
            }
        }
        Ok(series)
    }

    /// A pane has changed: it is read again once it is over.
    pub(super) fn touch(&mut self, model: &Model, population: &Population, start: Timestamp) {
        if population.segment.is_none() && !model.detectors.is_empty() {
            self.set_due(population, start, Some(start.plus(model.pane)));
        }
    }

    /// A version is compared with something else than before: its panes are read again, and the detectors run again over
    /// what is read. Of panes that are forgotten, what was read of them stays.
    pub(super) fn read_again(&mut self, model: &Model, version: &str, panes: &PaneStore) {
        let is_of = |population: &Population| population.model == model.name && population.version == version;
        let mut again = Vec::new();
        for (population, known) in self.panes.iter_mut().filter(|(population, _)| is_of(population)) {
            for (start, pane) in known {
                if panes.touched(population, *start, start.plus(model.pane)).is_some() {
                    pane.points.clear();
                    again.push((population.clone(), *start));
                }
            }
        }
        for (population, start) in again {
            self.touch(model, &population, start);
            self.changed.insert((population, start));
        }
    }

    /// Reads the panes of `model` that are due and runs the detectors over what has changed. Returns the panes of which
    /// something else is to be said than before.
    pub(super) async fn detect(
        &mut self,
        model: &Model,
        reference_of: impl Fn(&Population) -> Arc<Reference>,
        panes: &PaneStore,
        watermark: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Population, Timestamp)>, RoleError> {
        let mut changed: BTreeSet<(Population, Timestamp)> = BTreeSet::new();
        for (due, population, start) in self.due_until(&model.name, watermark) {
            let end = start.plus(model.pane);
            let Some(touched) = panes.touched(&population, start, end) else {
                // It was forgotten; what was read of it stays.
                self.set_due(&population, start, None);
                continue;
            };
            let is_settled = now.since(touched) >= SETTLING;
            if due > end && !is_settled {
                continue;
            }
            let contents = panes.compose(&population, start, end).await?;
            let final_at = end.plus(model.label_horizon);
            let labels_are_final = is_settled && final_at <= watermark;
            let waits_for_labels =
                contents.outcomes.is_some() && !labels_are_final && !has_enough_outcomes(model, &contents);
            self.set_due(&population, start, waits_for_labels.then_some(final_at));
            let points = pane_points(model, &reference_of(&population), start, &contents, labels_are_final);
            if self.set_points(&population, start, points) {
                // What is found in this era and, since its series begins with this one, in the next.
                let era = era_of(model.pane, start);
                changed.insert((population.clone(), era.end));
                changed.insert((population, era.start));
            }
        }
        let mut revised = Vec::new();
        for (population, era) in changed {
            let watched = watched(model, &reference_of(&population));
            let found = self.run(model, &watched, &population, &era_of(model.pane, era))?;
            revised.extend(found.into_iter().map(|pane| (population.clone(), pane)));
        }
        Ok(revised)
    }

    /// What was found in the panes of `population` that start in `from..to`, in the order of time.
    pub(super) fn detections(&self, population: &Population, from: Timestamp, to: Timestamp) -> Vec<DetectionRow> {
        let panes = self.panes.get(population).into_iter().flat_map(|panes| panes.range(from..to));
        panes.flat_map(|(_, pane)| pane.detections.iter().cloned()).collect()
    }

    /// Whether any of the panes of `population` that start in `from..to` has a value of the series.
    pub(super) fn has_values(&self, population: &Population, series: &str, from: Timestamp, to: Timestamp) -> bool {
        let mut panes = self.panes.get(population).into_iter().flat_map(|panes| panes.range(from..to));
        panes.any(|(_, pane)| pane.points.contains_key(series))
    }

    /// Forgets the panes of `model` that no series of a pane in the store begins with any more; panes that start before
    /// `oldest` are in the store only as long as they change.
    pub(super) fn expire(&mut self, model: &Model, panes: &PaneStore, oldest: Timestamp) {
        let populations: Vec<Population> = self.panes.keys().filter(|key| key.model == model.name).cloned().collect();
        for population in populations {
            let first = panes.first(&population).map_or(oldest, |first| first.min(oldest));
            let needed = series_start(model.pane, &era_of(model.pane, first));
            let Some(known) = self.panes.get(&population) else { continue };
            let forgotten: Vec<Timestamp> = known.range(..needed).map(|(start, _)| *start).collect();
            for start in forgotten {
                self.set_due(&population, start, None);
                if let Some(known) = self.panes.get_mut(&population) {
                    known.remove(&start);
                }
                self.changed.insert((population.clone(), start));
            }
        }
        self.panes.retain(|_, panes| !panes.is_empty());
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        if !std::mem::replace(&mut self.is_read_for_stored, true) {
            writes.push(Write::put(READ_FOR, encode(&self.read_for)?));
        }
        for (population, start) in std::mem::take(&mut self.changed) {
            let key = row_key(&population, start);
            match self.panes.get(&population).and_then(|panes| panes.get(&start)) {
                Some(pane) => writes.push(Write::put(key, encode(&Stored { population, start, pane: pane.clone() })?)),
                None => writes.push(Write::delete(key)),
            }
        }
        Ok(())
    }

    fn due_until(&self, model: &str, watermark: Timestamp) -> Vec<(Timestamp, Population, Timestamp)> {
        let due = self.due.get(model).into_iter().flatten();
        due.take_while(|(due, ..)| *due <= watermark).cloned().collect()
    }

    fn set_due(&mut self, population: &Population, start: Timestamp, due: Option<Timestamp>) {
        if due.is_none() && !self.panes.get(population).is_some_and(|panes| panes.contains_key(&start)) {
            return;
        }
        let pane = self.panes.entry(population.clone()).or_default().entry(start).or_default();
        if pane.due == due {
            return;
        }
        let of_model = self.due.entry(population.model.clone()).or_default();
        if let Some(before) = pane.due {
            of_model.remove(&(before, population.clone(), start));
        }
        if let Some(due) = due {
            of_model.insert((due, population.clone(), start));
        }
        pane.due = due;
        self.changed.insert((population.clone(), start));
    }

    /// False when nothing is new.
    fn set_points(&mut self, population: &Population, start: Timestamp, points: BTreeMap<String, PanePoint>) -> bool {
        let pane = self.panes.entry(population.clone()).or_default().entry(start).or_default();
        if pane.points == points {
            return false;
        }
        pane.points = points;
        self.changed.insert((population.clone(), start));
        true
    }

    /// Runs the detectors for one era and returns the panes of which something else is to be said than before.
    fn run(
        &mut self,
        model: &Model,
        watched: &[WatchedSeries<'_>],
        population: &Population,
        era: &Range<Timestamp>,
    ) -> Result<Vec<Timestamp>, RoleError> {
        let Some(panes) = self.panes.get_mut(population) else { return Ok(Vec::new()) };
        if panes.range(era.clone()).next().is_none() {
            return Ok(Vec::new());
        }
        let points = |series: &str, stretch: Range<Timestamp>| {
            panes.range(stretch).filter_map(|(_, pane)| pane.points.get(series).copied()).collect()
        };
        let mut found = detections_of_era(watched, model.pane, era, points)
            .map_err(|error| RoleError::Failed(format!("a detector of {}: {error}", model.name)))?;
        let mut revised = Vec::new();
        for (start, pane) in panes.range_mut(era.clone()) {
            let detections = found.remove(start).unwrap_or_default();
            if pane.detections != detections {
                pane.detections = detections;
                self.changed.insert((population.clone(), *start));
                revised.push(*start);
            }
        }
        Ok(revised)
    }
}

/// `series/<population>/<start>`, ordered by start within a population.
fn row_key(population: &Population, start: Timestamp) -> Vec<u8> {
    // Flipping the sign bit makes the bytes sort as the numbers do.
    let ordered = (start.millis() ^ i64::MIN).to_be_bytes();
    [PREFIX, population.key().as_bytes(), b"\0", &ordered].concat()
}
