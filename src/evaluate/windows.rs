//! Which windows are open, closed, and in need of a revision.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Timestamp;
use crate::event::{Population, WindowReport};
use crate::model::{Model, WindowSize};
use crate::runner::RoleError;
use crate::state::{Store, Write, prefix_end};
use crate::window::Frame;

const PREFIX: &[u8] = b"window/";
/// Reports kept per population and size, for checks that look back.
const HISTORY: usize = 64;

/// The windows of the models of one partition.
#[derive(Default)]
pub(super) struct Windows {
    /// Hold events and have not been closed.
    open: BTreeSet<Frame>,
    closed: BTreeMap<Frame, Closed>,
    /// Closed, and changed since their last report.
    dirty: BTreeSet<Frame>,
    history: BTreeMap<(Population, WindowSize), VecDeque<Arc<WindowReport>>>,
    changed: Vec<Write>,
}

/// What stays of a closed window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    revision: u32,
    /// Predictions at the first report; those beyond came late.
    predictions_at_close: u64,
    /// Hash of the last report, so that nothing is said twice.
    digest: u64,
    /// Whether it was reported with its labels final.
    labels_are_final: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    closed: Closed,
    report: WindowReport,
}

impl Windows {
    pub(super) async fn open(store: &dyn Store) -> Result<Self, RoleError> {
        let mut windows = Self::default();
        let mut reports = Vec::new();
        for (_, value) in store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            let Stored { closed, report } =
                serde_json::from_slice(&value).map_err(|error| RoleError::Failed(error.to_string()))?;
            windows.closed.insert(frame_of(&report), closed);
            reports.push(Arc::new(report));
        }
        reports.sort_by_key(|report| report.window_start);
        for report in reports {
            windows.remember(report);
        }
        Ok(windows)
    }

    /// A pane has changed, and with it every window that holds it.
    pub(super) fn touch(&mut self, model: &Model, population: &Population, pane: Timestamp) {
        for size in &model.windows {
            for start in size.starts_at(pane) {
                let frame = Frame { population: population.clone(), size: *size, start };
                if self.closed.contains_key(&frame) {
                    self.dirty.insert(frame);
                } else {
                    self.open.insert(frame);
                }
            }
        }
    }

    /// Something else is to be said of a pane than before, in windows of this size that have been reported.
    pub(super) fn revise(&mut self, size: WindowSize, population: &Population, pane: Timestamp) {
        let frames = size.starts_at(pane).map(|start| Frame { population: population.clone(), size, start });
        self.dirty.extend(frames.filter(|frame| self.closed.contains_key(frame)));
    }

    /// A version is compared with something else than before: all its windows that have been reported and whose panes are
    /// still there.
    pub(super) fn revise_version(&mut self, model: &str, version: &str, has_its_panes: impl Fn(&Frame) -> bool) {
        let is_of = |frame: &&Frame| frame.population.model == model && frame.population.version == version;
        self.dirty.extend(self.closed.keys().filter(is_of).filter(|frame| has_its_panes(frame)).cloned());
    }

    /// Finds the open windows again after a restart.
    pub(super) fn restore_open(&mut self, model: &Model, population: &Population, pane: Timestamp) {
        for size in &model.windows {
            let frames = size.starts_at(pane).map(|start| Frame { population: population.clone(), size: *size, start });
            self.open.extend(frames.filter(|frame| !self.closed.contains_key(frame)));
        }
    }

    /// Windows of `model` to report now, those that end first in front, and of these the whole population's, so that
    /// its alerts come before its segments': open ones that `watermark` has passed, changed
    /// ones, and those for which no more labels are expected from now on.
    pub(super) fn due(
        &mut self,
        model: &Model,
        watermark: Timestamp,
        labels_are_final: impl Fn(&Frame) -> bool,
    ) -> Vec<Frame> {
        let is_models = |frame: &&Frame| frame.population.model == model.name;
        let mut due: BTreeSet<Frame> =
            self.open.iter().filter(is_models).filter(|frame| frame.end() <= watermark).cloned().collect();
        due.extend(self.dirty.iter().filter(is_models).cloned());
        let maturing = self.closed.iter().filter(|(frame, closed)| is_models(frame) && !closed.labels_are_final);
        due.extend(maturing.map(|(frame, _)| frame).filter(|frame| labels_are_final(frame)).cloned());
        for frame in &due {
            self.open.remove(frame);
            self.dirty.remove(frame);
        }
        let mut due: Vec<Frame> = due.into_iter().collect();
        let rank = |frame: &Frame| (frame.end(), frame.population.segment.is_some(), frame.size);
        due.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.population.cmp(&b.population)));
        due
    }

    /// Numbers a report and keeps it; none when it says nothing new.
    pub(super) fn close(
        &mut self,
        frame: &Frame,
        mut report: WindowReport,
        labels_are_final: bool,
    ) -> Result<Option<Arc<WindowReport>>, RoleError> {
        let known = self.closed.get(frame);
        let at_close = known.map_or(report.predictions, |known| known.predictions_at_close);
        report.late = report.predictions.saturating_sub(at_close);
        let failed = |error: serde_json::Error| RoleError::Failed(error.to_string());
        let digest = xxh3_64(&serde_json::to_vec(&report).map_err(failed)?);
        if let Some(known) = self.closed.get_mut(frame)
            && known.digest == digest
        {
            known.labels_are_final = labels_are_final;
            return Ok(None);
        }
        let known = self.closed.get(frame);
        report.revision = known.map_or(1, |known| known.revision + 1);
        let closed = Closed { revision: report.revision, predictions_at_close: at_close, digest, labels_are_final };
        self.closed.insert(frame.clone(), closed.clone());
        let stored = serde_json::to_vec(&Stored { closed, report: report.clone() }).map_err(failed)?;
        self.changed.push(Write::put(row_key(frame), stored));
        let report = Arc::new(report);
        self.remember(Arc::clone(&report));
        Ok(Some(report))
    }

    /// Forgets closed windows of `model` that ended before `oldest` and have no panes any more.
    pub(super) fn expire(&mut self, model: &str, oldest: Timestamp, has_panes: impl Fn(&Frame) -> bool) {
        let is_old = |frame: &Frame| frame.population.model == model && frame.end() < oldest && !has_panes(frame);
        for frame in self.closed.keys().filter(|frame| is_old(frame)) {
            self.changed.push(Write::delete(row_key(frame)));
        }
        self.closed.retain(|frame, _| !is_old(frame));
        self.dirty.retain(|frame| !is_old(frame));
    }

    /// Latest reports of the model's windows, newest windows of each population and size only.
    pub(super) fn history(&self, model: &str) -> Vec<Arc<WindowReport>> {
        let of_model = self.history.iter().filter(|((population, _), _)| population.model == model);
        of_model.flat_map(|(_, reports)| reports.iter().cloned()).collect()
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) {
        writes.append(&mut self.changed);
    }

    fn remember(&mut self, report: Arc<WindowReport>) {
        let reports = self.history.entry((report.population.clone(), report.window_size)).or_default();
        match reports.binary_search_by_key(&report.window_start, |known| known.window_start) {
            Ok(position) => reports[position] = report,
            Err(position) => reports.insert(position, report),
        }
        while reports.len() > HISTORY {
            reports.pop_front();
        }
    }
}

fn frame_of(report: &WindowReport) -> Frame {
    Frame { population: report.population.clone(), size: report.window_size, start: report.window_start }
}

fn row_key(frame: &Frame) -> Vec<u8> {
    let key = format!("{}/{}/{}", frame.population.key(), frame.size, frame.start);
    [PREFIX, key.as_bytes()].concat()
}
