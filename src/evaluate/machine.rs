//! The machine of one partition of `plimsoll.panes`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::EvaluateRole;
use super::alerts::Alerts;
use super::change::carries_detections;
use super::checks::CheckRunner;
use super::panes::PaneStore;
use super::raw::RawStore;
use super::retraining::Requests;
use super::series::SeriesStore;
use super::version_references::VersionReferences;
use super::windows::Windows;
use crate::bus::{Outgoing, Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{ContributionRow, Population, SourcePartition, WindowReport, to_json};
use crate::model::Model;
use crate::performance::OutcomeCounts;
use crate::profile::{Reference, decode, encode};
use crate::query::Snapshot;
use crate::runner::{Checkpoint, Machine, Models, Monitored, PaneTopic, References, RoleError, refuse_if_outdated};
use crate::state::{Store, Write};
use crate::window::{
    Contents, Frame, PaneKey, PanePartial, PaneRecord, SegmentSides, VersionReference, Watermarks, partial_key, report,
    segment_contributions,
};

const WATERMARKS: &[u8] = b"meta/watermarks";
/// How long panes must have stood still, by the wall clock, before event time alone may end them. Outcomes come by way
/// of join: when history is replayed, the predictions' event time can run months ahead of them within seconds.
pub(super) const SETTLING: Span = Span::from_hours(1);

pub(super) struct EvaluateMachine {
    pub(super) models: BTreeMap<String, Model>,
    /// Where they come from, and their revision.
    monitored: (Arc<dyn Models>, u64),
    pub(super) topics: Topics,
    pub(super) checks: CheckRunner,
    pub(super) panes: PaneStore,
    pub(super) series: SeriesStore,
    pub(super) alerts: Alerts,
    pub(super) requests: Requests,
    pub(super) outgoing: Vec<Outgoing>,
    source: SourcePartition,
    pane_topic: PaneTopic,
    references: References,
    version_references: VersionReferences,
    windows: Windows,
    raw: RawStore,
    watermarks: BTreeMap<String, Watermarks>,
    /// Whether anything came since the last checkpoint.
    moved: bool,
    /// Whether windows wait for a reference, which another process may send.
    waiting: bool,
}

impl EvaluateMachine {
    pub(super) async fn open(
        role: &EvaluateRole,
        source: &SourcePartition,
        store: Arc<dyn Store>,
    ) -> Result<Self, RoleError> {
        let Monitored { revision, models } = role.models.current();
        let models: BTreeMap<String, Model> = models.iter().map(|model| (model.name.clone(), model.clone())).collect();
        let watermarks = store.get(WATERMARKS).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let panes = PaneStore::open(Arc::clone(&store)).await?;
        let mut windows = Windows::open(store.as_ref()).await?;
        for (population, start) in panes.starts() {
            if let Some(model) = models.get(&population.model) {
                windows.restore_open(model, population, start);
            }
        }
        let series = SeriesStore::open(&store, &models, &panes).await?;
        for reference in RawStore::references(store.as_ref()).await? {
            role.references.set(reference);
        }
        Ok(Self {
            models,
            monitored: (Arc::clone(&role.models), revision),
            topics: role.topics.clone(),
            checks: role.checks.clone(),
            alerts: Alerts::open(&role.topics.alerts, store.as_ref()).await?,
            requests: Requests::open(store.as_ref()).await?,
            outgoing: Vec::new(),
            source: source.clone(),
            pane_topic: role.panes.clone(),
            references: role.references.clone(),
            version_references: VersionReferences::open(store.as_ref()).await?,
            raw: RawStore::open(Arc::clone(&store)).await?,
            panes,
            series,
            windows,
            watermarks,
            moved: false,
            waiting: true,
        })
    }

    fn take_partial(&mut self, partial: PanePartial, now: Timestamp) -> Result<(), RoleError> {
        let PaneKey { population, start } = partial.key.clone();
        let Some(model) = self.models.get(&population.model) else { return Ok(()) };
        if self.is_forgotten(model, &population, start) {
            tracing::debug!(pane = %start, source = %partial.source, "counts for a pane beyond the retention");
            return Ok(());
        }
        if !self.panes.put(partial, now)? {
            return Ok(());
        }
        self.windows.touch(model, &population, start);
        self.series.touch(model, &population, start);
        // The whole population's report speaks of this segment, whose pane may come after its own.
        let is_segment = population.segment.is_some();
        let whole = Population { segment: None, ..population };
        if is_segment && !self.is_forgotten(model, &whole, start) {
            self.windows.touch(model, &whole, start);
        }
        Ok(())
    }

    /// From now on a version is compared with a reference of its own, in windows that were reported before, too.
    fn take_reference(&mut self, record: VersionReference) -> Result<(), RoleError> {
        let Some(model) = self.models.get(&record.reference.model) else { return Ok(()) };
        let version = record.version.clone();
        if !self.version_references.take(record)? {
            return Ok(());
        }
        tracing::info!(model = model.name, version, "version is compared with its own reference");
        let watermark = self.watermarks.get(&model.name).and_then(Watermarks::combined);
        let oldest = watermark.map(|watermark| watermark.minus(model.retention));
        let panes = &self.panes;
        let has_its_panes = |frame: &Frame| {
            let is_kept = oldest.is_none_or(|oldest| frame.end() >= oldest);
            is_kept && panes.touched(&frame.population, frame.start, frame.end()).is_some()
        };
        self.windows.revise_version(&model.name, &version, has_its_panes);
        self.series.read_again(model, &version, panes);
        Ok(())
    }

    /// Turns raw rows into a reference once there are enough, and counts them once there is one.
    async fn settle_raw(&mut self, now: Timestamp) -> Result<(), RoleError> {
        for reference in self.raw.take_built() {
            self.references.set(reference);
        }
        for model in self.models.values() {
            if self.references.get(&model.name).is_none()
                && let Some(reference) = self.raw.build(model).await?
            {
                self.outgoing.push(Outgoing {
                    topic: self.topics.references.clone(),
                    key: Some(model.name.clone().into_bytes()),
                    payload: Some(encode(&reference)?),
                    ..Outgoing::default()
                });
                self.raw.keep(reference)?;
            }
        }
        for model in self.models.values() {
            let Some(reference) = self.references.get(&model.name) else { continue };
            for partial in self.raw.count(model, &reference, &self.panes).await? {
                let PaneKey { population, start } = partial.key.clone();
                if self.panes.put(partial, now)? {
                    self.windows.touch(model, &population, start);
                    self.series.touch(model, &population, start);
                }
            }
        }
        Ok(())
    }

    /// Runs the detectors over the series that have changed; windows that were reported with other detections are due.
    async fn detect(
        &mut self,
        model: &Model,
        reference: &Arc<Reference>,
        watermark: Timestamp,
        now: Timestamp,
    ) -> Result<(), RoleError> {
        let Some(smallest) = model.windows.iter().min() else { return Ok(()) };
        let references = &self.version_references;
        let reference_of = |population: &Population| references.of(&population.version, reference);
        for (population, pane) in self.series.detect(model, reference_of, &self.panes, watermark, now).await? {
            self.windows.revise(*smallest, &population, pane);
        }
        Ok(())
    }

    /// Reports every window of one model that is due, those that end first in front.
    async fn report_due(
        &mut self,
        model: &Model,
        reference: &Arc<Reference>,
        watermark: Timestamp,
        now: Timestamp,
    ) -> Result<(), RoleError> {
        let panes = &self.panes;
        let labels_are_final = |frame: &Frame| {
            let touched = panes.touched(&frame.population, frame.start, frame.end());
            let is_settled = touched.is_none_or(|touched| now.since(touched) >= SETTLING);
            is_settled && frame.end().plus(model.label_horizon) <= watermark
        };
        let due: Vec<(Frame, bool)> = self
            .windows
            .due(model, watermark, labels_are_final)
            .into_iter()
            .map(|frame| {
                let is_final = labels_are_final(&frame);
                (frame, is_final)
            })
            .collect();
        let mut due = due.into_iter().peekable();
        while let Some(first) = due.next() {
            // Windows that end together are reported together, so that a check sees all segments of its window.
            let mut frames = vec![first];
            while let Some(next) = due.next_if(|(frame, _)| frame.end() == frames[0].0.end()) {
                frames.push(next);
            }
            let mut reports = Vec::new();
            for (frame, labels_are_final) in frames {
                let reference = self.version_references.of(&frame.population.version, reference);
                reports.extend(self.report(model, &reference, &frame, labels_are_final).await?);
            }
            let snapshot = Snapshot { windows: self.windows.history(&model.name), ..Snapshot::default() };
            for report in reports {
                self.judge(model, &report, &snapshot).await?;
            }
        }
        Ok(())
    }

    async fn report(
        &mut self,
        model: &Model,
        reference: &Reference,
        frame: &Frame,
        labels_are_final: bool,
    ) -> Result<Option<Arc<WindowReport>>, RoleError> {
        let mut contents = self.panes.compose(&frame.population, frame.start, frame.end()).await?;
        contents.groups = self.groups(model, reference, frame).await?;
        let normal = self.normal_outcomes(model, reference, &frame.population).await?;
        let mut report = report(model, reference, normal.as_ref(), frame, &contents, labels_are_final);
        if carries_detections(model, &report) {
            report.detections = self.series.detections(&frame.population, frame.start, frame.end());
        }
        if report.has_changed() && frame.population.segment.is_none() {
            let parts = self.segment_contributions(model, reference, frame, &report, contents.groups).await?;
            report.contributions.extend(parts);
        }
        let Some(report) = self.windows.close(frame, report, labels_are_final)? else { return Ok(None) };
        self.outgoing.push(Outgoing {
            topic: self.topics.windows.clone(),
            key: Some(report.key().into_bytes()),
            payload: Some(to_json(&*report)?),
            ..Outgoing::default()
        });
        Ok(Some(report))
    }

    /// What each segment adds to a change of the whole population; `known` are segments that have been composed before.
    async fn segment_contributions(
        &self,
        model: &Model,
        reference: &Reference,
        frame: &Frame,
        report: &WindowReport,
        mut known: BTreeMap<String, Contents>,
    ) -> Result<Vec<ContributionRow>, RoleError> {
        let mut parts = Vec::new();
        for (segment, normal) in &reference.segments {
            let population = Population { segment: Some(segment.clone()), ..frame.population.clone() };
            let contents = match known.remove(segment) {
                Some(contents) => contents,
                None => self.panes.compose(&population, frame.start, frame.end()).await?,
            };
            let outcomes = self.normal_outcomes(model, reference, &population).await?;
            parts.push((segment, &normal.profile, outcomes, contents));
        }
        let sides: Vec<SegmentSides<'_>> = parts
            .iter()
            .map(|(name, normal, outcomes, contents)| SegmentSides {
                name,
                normal,
                normal_outcomes: outcomes.as_ref(),
                contents,
            })
            .collect();
        let outcome_anchors = reference.outcome_anchors(model);
        Ok(segment_contributions(&reference.anchors, outcome_anchors, &sides, &report.drift, &report.performance))
    }

    /// What a whole population's window holds of each group whose fairness is judged.
    async fn groups(
        &self,
        model: &Model,
        reference: &Reference,
        frame: &Frame,
    ) -> Result<BTreeMap<String, Contents>, RoleError> {
        let mut groups = BTreeMap::new();
        if frame.population.segment.is_some() {
            return Ok(groups);
        }
        for segment in reference.segments.keys().filter(|segment| model.fairness.group_of(segment).is_some()) {
            let population = Population { segment: Some(segment.clone()), ..frame.population.clone() };
            groups.insert(segment.clone(), self.panes.compose(&population, frame.start, frame.end()).await?);
        }
        Ok(groups)
    }

    /// The reference's performance: its own outcomes, or, for a reference taken from the stream, those that have come
    /// for its events since.
    async fn normal_outcomes(
        &self,
        model: &Model,
        reference: &Reference,
        population: &Population,
    ) -> Result<Option<OutcomeCounts>, RoleError> {
        let Some(normal) = reference.population(population.segment.as_deref()) else { return Ok(None) };
        if normal.outcomes.is_some() {
            return Ok(normal.outcomes.clone());
        }
        let Some((first, last)) = reference.times.filter(|_| reference.from_stream) else { return Ok(None) };
        let to = last.floor(model.pane).plus(model.pane);
        let contents = self.panes.compose(population, first.floor(model.pane), to).await?;
        let wanted = model.performance.min_coverage * contents.profile.predictions as f64;
        Ok(contents.outcomes.filter(|known| known.outcomes() > 0 && known.outcomes() as f64 >= wanted))
    }

    /// Whether this pane was forgotten before: to count into it now would make a window of its leftovers.
    fn is_forgotten(&self, model: &Model, population: &Population, start: Timestamp) -> bool {
        let Some(watermark) = self.watermarks.get(&model.name).and_then(Watermarks::combined) else { return false };
        start < oldest_pane(model, watermark) && self.panes.touched(population, start, start.plus(model.pane)).is_none()
    }

    /// Forgets what lies beyond the retention, here and on the compacted topic.
    fn expire(&mut self, model: &Model, watermark: Timestamp, now: Timestamp) {
        let oldest = watermark.minus(model.retention);
        let forgotten = self.panes.expire(&model.name, oldest_pane(model, watermark), now.minus(SETTLING));
        for (population, start, source) in forgotten {
            let key = partial_key(&PaneKey { population, start }, &source);
            self.outgoing.push(Outgoing {
                topic: self.pane_topic.name.clone(),
                partition: Some(self.source.partition),
                key: Some(key.into_bytes()),
                ..Outgoing::default()
            });
        }
        self.series.expire(model, &self.panes, oldest_pane(model, watermark));
        let panes = &self.panes;
        let has_panes = |frame: &Frame| panes.touched(&frame.population, frame.start, frame.end()).is_some();
        self.windows.expire(&model.name, oldest, has_panes);
    }
}

/// Panes that start before this are in no window within the retention.
fn oldest_pane(model: &Model, watermark: Timestamp) -> Timestamp {
    let longest = model.windows.iter().map(|size| size.length).max().unwrap_or_default();
    watermark.minus(model.retention).minus(longest)
}

#[async_trait]
impl Machine for EvaluateMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        self.moved = true;
        let mut is_up_to_date = false;
        for record in records.iter() {
            // A tombstone is our own: the pane was forgotten here before.
            let Some(payload) = record.payload else { continue };
            let decoded = decode::<PaneRecord>(payload).map_err(|error| RoleError::Record {
                source_partition: self.source.clone(),
                offset: record.offset,
                reason: error.to_string(),
            })?;
            if !is_up_to_date && !self.models.contains_key(decoded.model()) {
                let (models, revision) = &self.monitored;
                refuse_if_outdated(models.as_ref(), *revision).await?;
                is_up_to_date = true;
            }
            match decoded {
                PaneRecord::Partial(partial) => self.take_partial(partial, now)?,
                PaneRecord::Watermark(watermark) => {
                    self.watermarks.entry(watermark.model.clone()).or_default().update(watermark);
                }
                PaneRecord::Raw(raw) => self.raw.push(&raw).await?,
                PaneRecord::Reference(reference) => self.take_reference(reference)?,
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint::default();
        let moved = std::mem::take(&mut self.moved);
        if !moved && !std::mem::take(&mut self.waiting) {
            return Ok(checkpoint);
        }
        self.settle_raw(now).await?;
        for model in self.models.clone().values() {
            let Some(reference) = self.references.get(&model.name) else {
                self.waiting = true;
                continue;
            };
            let watermarks = self.watermarks.entry(model.name.clone()).or_default();
            let before = watermarks.combined();
            let Some(watermark) = watermarks.advance(&self.topics.predictions) else { continue };
            self.detect(model, &reference, watermark, now).await?;
            self.report_due(model, &reference, watermark, now).await?;
            if before != Some(watermark) {
                self.expire(model, watermark, now);
            }
        }
        self.raw.checkpoint(&mut checkpoint.writes);
        self.panes.checkpoint(&mut checkpoint.writes);
        self.version_references.checkpoint(&mut checkpoint.writes);
        self.series.checkpoint(&mut checkpoint.writes)?;
        self.windows.checkpoint(&mut checkpoint.writes);
        checkpoint.outgoing.append(&mut self.outgoing);
        self.alerts.checkpoint(&mut checkpoint.writes, &mut checkpoint.outgoing)?;
        if moved || !checkpoint.is_empty() {
            checkpoint.writes.push(Write::put(WATERMARKS, encode(&self.watermarks)?));
            checkpoint.writes.push(self.requests.store()?);
        }
        Ok(checkpoint)
    }
}
