//! Alerts: pending → firing → resolved, at most one open per fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::good_windows::GoodWindows;
use super::trace::{Standing, Trace};
use crate::bus::Outgoing;
use crate::clock::Timestamp;
use crate::event::{Alert, AlertState, Fingerprint, Population, Severity, WindowReport, to_json};
use crate::model::WindowSize;
use crate::runner::RoleError;
use crate::state::{Store, Write, prefix_end};

const PREFIX: &[u8] = b"alert/";

/// Alerts and the verdicts they rest on, by fingerprint.
#[derive(Default)]
pub(super) struct Alerts {
    topic: String,
    records: BTreeMap<Fingerprint, AlertRecord>,
    changed: BTreeSet<Fingerprint>,
    outgoing: Vec<Outgoing>,
}

/// One alert, and a trace for each thing that can raise it: the features of a drift alert, or one for all else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct AlertRecord {
    alert: Option<Alert>,
    traces: BTreeMap<String, Trace>,
    #[serde(default)]
    good_windows: GoodWindows,
    /// Of the alert that was last told of, in whichever episode: it never falls, so that a late repeat is known for one.
    #[serde(default)]
    revision: u32,
    /// End of the last window that was judged.
    #[serde(default)]
    last_end: Option<Timestamp>,
    /// None when its condition never held, and for segments.
    #[serde(default)]
    held: Option<Held>,
    /// Start of the newest bad window that the open alert has seen.
    #[serde(default)]
    last_bad: Option<Timestamp>,
}

/// Until when a condition held the last time, in event time. A segment's windows that begin before are told by the whole
/// population's alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Held {
    Still,
    Until(Timestamp),
}

impl AlertRecord {
    fn standing_at(&self, windows: u32, time: Timestamp) -> Standing {
        self.traces.values().map(|trace| trace.standing_at(windows, time)).fold(Standing::Clear, worse)
    }

    /// Whether the last standing that was not unsettled was a bad one; none when that is beyond what is kept. It rests on
    /// the verdicts alone, so that alerts do not depend on the order in which windows were judged.
    fn was_bad(&self, windows: u32) -> Option<bool> {
        let ends: BTreeSet<Timestamp> = self.traces.values().flat_map(Trace::ends).collect();
        let settled = ends.into_iter().rev().find_map(|end| match self.standing_at(windows, end) {
            Standing::Bad { .. } => Some(true),
            Standing::Clear => Some(false),
            Standing::Unsettled { .. } => None,
        });
        settled.or_else(|| self.traces.values().all(Trace::is_whole).then_some(false))
    }

    /// What [`Self::held`] is to be after a window, by the verdicts alone. One that ends after all others moves it on.
    fn held_after(&self, windows: u32, end: Timestamp, is_last: bool) -> Option<Held> {
        if !is_last {
            return self.find_held(windows);
        }
        match (self.standing_at(windows, Timestamp::MAX), self.held) {
            (Standing::Bad { .. }, _) => Some(Held::Still),
            (Standing::Clear, Some(Held::Still)) => Some(Held::Until(end)),
            (_, known) => known,
        }
    }

    fn find_held(&self, windows: u32) -> Option<Held> {
        let ends: BTreeSet<Timestamp> = self.traces.values().flat_map(Trace::ends).collect();
        let mut held = Held::Still;
        for end in ends.into_iter().rev() {
            match self.standing_at(windows, end) {
                Standing::Bad { .. } => return Some(held),
                Standing::Clear => held = Held::Until(end),
                Standing::Unsettled { .. } => {}
            }
        }
        self.held.filter(|_| !self.traces.values().all(Trace::is_whole))
    }

    fn is_open(&self) -> bool {
        self.alert.as_ref().is_some_and(|alert| alert.state != AlertState::Resolved)
    }

    fn next_revision(&mut self) -> u32 {
        let known = self.alert.as_ref().map_or(0, |alert| alert.revision);
        self.revision = self.revision.max(known) + 1;
        self.revision
    }
}

impl Held {
    fn outlasts(self, time: Timestamp) -> bool {
        match self {
            Self::Still => true,
            Self::Until(end) => time < end,
        }
    }
}

/// What an alert is about.
#[derive(Clone, Debug)]
pub(super) struct Cause<'a> {
    pub(super) kind: &'a str,
    pub(super) subject: &'a str,
    pub(super) severity: Severity,
    /// Consecutive bad windows before it fires.
    pub(super) windows: u32,
}

/// How an alert stands after a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raised {
    pub(super) fingerprint: Fingerprint,
    pub(super) standing: Standing,
    /// Whether this very window is bad: only that opens an alert.
    pub(super) is_bad_now: bool,
    /// The parts whose condition holds, such as the drifting features.
    pub(super) parts: Vec<String>,
}

impl Cause<'_> {
    fn fingerprint(&self, population: &Population) -> Fingerprint {
        Fingerprint::of(population, self.kind, self.subject)
    }
}

impl Alerts {
    pub(super) async fn open(topic: &str, store: &dyn Store) -> Result<Self, RoleError> {
        let mut alerts = Self { topic: topic.to_owned(), ..Self::default() };
        for (_, value) in store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            let (fingerprint, record): (Fingerprint, AlertRecord) =
                serde_json::from_slice(&value).map_err(|error| RoleError::Failed(error.to_string()))?;
            alerts.records.insert(fingerprint, record);
        }
        Ok(alerts)
    }

    /// One cause, one alert: whether the whole population's alert says already what this segment's would. It tells all
    /// windows that begin before its condition was over, also those from before it held: what a segment had open then is
    /// folded into it, whichever of them is judged first. What a segment has open goes on.
    pub(super) fn is_told_by_the_whole(&self, cause: &Cause<'_>, report: &WindowReport) -> bool {
        let Some(everybody) = everybody(&report.population) else { return false };
        let held = self.records.get(&cause.fingerprint(&everybody)).and_then(|whole| whole.held);
        let own = self.records.get(&cause.fingerprint(&report.population));
        held.is_some_and(|held| held.outlasts(report.window_start)) && !own.is_some_and(AlertRecord::is_open)
    }

    /// Whether the whole population's alert on the cause was open at the time of this window of a segment.
    pub(super) fn is_open_for_the_whole(&self, cause: &Cause<'_>, report: &WindowReport) -> bool {
        let whole = everybody(&report.population).and_then(|everybody| self.alert(cause, &everybody));
        whole.is_some_and(|whole| overlaps(whole, report))
    }

    /// Whether this population's alert on the cause names the part, and was open at the time of this window: windows of
    /// another size may have found it.
    pub(super) fn tells(&self, cause: &Cause<'_>, report: &WindowReport, part: &str) -> bool {
        let alert = self.alert(cause, &report.population).filter(|alert| overlaps(alert, report));
        alert.is_some_and(|alert| parts_of(alert).iter().any(|named| named == part))
    }

    fn alert(&self, cause: &Cause<'_>, population: &Population) -> Option<&Alert> {
        self.records.get(&cause.fingerprint(population))?.alert.as_ref()
    }

    /// Every open alert of a population.
    pub(super) fn firing(&self, population: &Population) -> Vec<Fingerprint> {
        let open = self.records.values().filter_map(|record| record.alert.as_ref());
        open.filter(|alert| alert.population == *population && alert.state == AlertState::Firing)
            .map(|alert| alert.fingerprint.clone())
            .collect()
    }

    /// Notes the verdicts of one window, by part, and says how the cause stands over all its parts.
    pub(super) fn note(
        &mut self,
        cause: &Cause<'_>,
        report: &WindowReport,
        verdicts: Vec<(String, Option<bool>)>,
    ) -> Raised {
        let fingerprint = cause.fingerprint(&report.population);
        self.changed.insert(fingerprint.clone());
        let record = self.records.entry(fingerprint.clone()).or_default();
        let is_bad_now = verdicts.iter().any(|(_, bad)| *bad == Some(true));
        let (size, start) = (report.window_size, report.window_start);
        let is_last = record.last_end.is_none_or(|last| last < report.window_end);
        record.last_end = record.last_end.max(Some(report.window_end));
        // A part that was never bad needs no trace until it is.
        let (traced, untraced): (Vec<_>, Vec<_>) =
            verdicts.into_iter().partition(|(part, bad)| *bad == Some(true) || record.traces.contains_key(part));
        for (part, bad) in traced {
            let begun = || record.good_windows.trace_of(&part);
            record.traces.entry(part.clone()).or_insert_with(begun).note(size, start, bad);
        }
        record.good_windows.note(size, start, &untraced);
        if report.population.segment.is_none() {
            record.held = record.held_after(cause.windows, report.window_end, is_last);
        }
        let mut raised = Raised { fingerprint, standing: Standing::Clear, is_bad_now, parts: Vec::new() };
        for (part, trace) in &record.traces {
            let standing = trace.standing(cause.windows);
            if matches!(standing, Standing::Bad { .. }) {
                raised.parts.push(part.clone());
            }
            raised.standing = worse(raised.standing, standing);
        }
        raised
    }

    /// How the cause's only part stands when `windows` bad windows are asked for.
    pub(super) fn standing(&self, fingerprint: &Fingerprint, windows: u32) -> Standing {
        self.records.get(fingerprint).map_or(Standing::Clear, |record| record.standing_at(windows, Timestamp::MAX))
    }

    /// Moves the alert to where its standing puts it. Evidence and summary are those of the report that moved it, and
    /// change while it fires only when other parts are bad than before. The whole population's takes the place of those
    /// of its segments.
    pub(super) fn settle(
        &mut self,
        cause: &Cause<'_>,
        report: &WindowReport,
        raised: &Raised,
        describe: impl FnOnce() -> (String, serde_json::Value),
    ) -> Result<(), RoleError> {
        self.settle_own(cause, report, raised, describe)?;
        if report.population.segment.is_none() {
            self.fold_segments(cause, report)?;
        }
        Ok(())
    }

    fn settle_own(
        &mut self,
        cause: &Cause<'_>,
        report: &WindowReport,
        raised: &Raised,
        describe: impl FnOnce() -> (String, serde_json::Value),
    ) -> Result<(), RoleError> {
        let Some(record) = self.records.get_mut(&raised.fingerprint) else { return Ok(()) };
        let is_open = record.is_open();
        if !is_open && (!raised.is_bad_now || raised.standing == Standing::Clear) {
            return Ok(());
        }
        record.last_bad = record.last_bad.filter(|_| is_open);
        if raised.is_bad_now {
            record.last_bad = record.last_bad.max(Some(report.window_start));
        }
        let last = record.alert.as_ref().map_or(0, |alert| alert.revision);
        record.revision = record.revision.max(last);
        let mut open = record.alert.take().filter(|_| is_open);
        let was_bad = match raised.standing {
            Standing::Unsettled { .. } => record.was_bad(cause.windows),
            _ => None,
        };
        if let Some(refuted) = open.take_if(|alert| alert.state == AlertState::Firing && was_bad == Some(false)) {
            let mut alert = Alert {
                state: AlertState::Resolved,
                resolved_at: Some(report.window_end),
                revision: record.next_revision(),
                ..refuted
            };
            if let Some(evidence) = alert.evidence.as_object_mut() {
                evidence.insert("refuted_by".to_owned(), window_evidence(report));
            }
            self.outgoing.push(record_of(&self.topic, &alert)?);
        }
        let (state, since) = match (&open, raised.standing) {
            (_, Standing::Bad { since }) => (AlertState::Firing, since),
            (_, Standing::Unsettled { since }) if was_bad == Some(true) => (AlertState::Firing, since),
            (Some(alert), Standing::Unsettled { .. }) => (alert.state, alert.started_at),
            (None, Standing::Unsettled { since }) => (AlertState::Pending, since),
            (Some(alert), Standing::Clear) if alert.state == AlertState::Pending => {
                // It never fired: it leaves no trace in the tables.
                self.outgoing.push(tombstone(&self.topic, &alert.fingerprint));
                return Ok(());
            }
            (Some(alert), Standing::Clear) => (AlertState::Resolved, alert.started_at),
            (None, Standing::Clear) => return Ok(()),
        };
        let is_bad = matches!(raised.standing, Standing::Bad { .. });
        if let Some(alert) = &open
            && alert.state == state
            && (!is_bad || parts_of(alert) == raised.parts)
        {
            record.alert = open;
            return Ok(());
        }
        let (summary, mut evidence) = match &open {
            Some(alert) if state == AlertState::Resolved => (alert.summary.clone(), alert.evidence.clone()),
            _ => describe(),
        };
        if let Some(object) = evidence.as_object_mut() {
            object.insert("parts".to_owned(), raised.parts.clone().into());
        }
        let fired = open.as_ref().and_then(|alert| alert.fired_at);
        let alert = Alert {
            fingerprint: raised.fingerprint.clone(),
            kind: cause.kind.to_owned(),
            subject: cause.subject.to_owned(),
            population: report.population.clone(),
            severity: cause.severity,
            state,
            started_at: open.as_ref().filter(|alert| alert.state == AlertState::Firing).map_or(since, |a| a.started_at),
            fired_at: fired.or((state == AlertState::Firing).then_some(report.window_end)),
            resolved_at: (state == AlertState::Resolved).then_some(report.window_end),
            revision: record.next_revision(),
            summary,
            evidence,
        };
        record.alert = Some(alert.clone());
        self.tell(&alert)
    }

    /// One cause, one alert: the whole population's takes the place of those that its segments opened before it was over.
    fn fold_segments(&mut self, cause: &Cause<'_>, report: &WindowReport) -> Result<(), RoleError> {
        let whole = cause.fingerprint(&report.population);
        let Some(held) = self.records.get(&whole).and_then(|record| record.held) else { return Ok(()) };
        let is_part = |record: &&AlertRecord| {
            let Some(alert) = record.alert.as_ref().filter(|_| record.is_open()) else { return false };
            (alert.kind.as_str(), everybody(&alert.population).as_ref()) == (cause.kind, Some(&report.population))
                // What features show by themselves explains how they go together.
                && (alert.subject == cause.subject || cause.subject.is_empty())
                && record.last_bad.is_none_or(|start| held.outlasts(start))
        };
        let parts: Vec<Alert> = self.records.values().filter(is_part).filter_map(|part| part.alert.clone()).collect();
        for mut alert in parts {
            let fingerprint = alert.fingerprint.clone();
            self.changed.insert(fingerprint.clone());
            if alert.state == AlertState::Pending {
                self.outgoing.push(tombstone(&self.topic, &fingerprint));
                self.records.entry(fingerprint).or_default().alert = None;
                continue;
            }
            alert.state = AlertState::Resolved;
            alert.resolved_at = Some(report.window_end);
            alert.revision = self.records.entry(fingerprint.clone()).or_default().next_revision();
            if let Some(evidence) = alert.evidence.as_object_mut() {
                evidence.insert("told_by".to_owned(), whole.as_str().into());
            }
            self.tell(&alert)?;
            self.records.entry(fingerprint).or_default().alert = Some(alert);
        }
        Ok(())
    }

    fn tell(&mut self, alert: &Alert) -> Result<(), RoleError> {
        let state = alert.state.name();
        tracing::info!(fingerprint = %alert.fingerprint, state, summary = alert.summary, "alert");
        self.outgoing.push(record_of(&self.topic, alert)?);
        Ok(())
    }

    pub(super) fn checkpoint(
        &mut self,
        writes: &mut Vec<Write>,
        outgoing: &mut Vec<Outgoing>,
    ) -> Result<(), RoleError> {
        outgoing.append(&mut self.outgoing);
        for fingerprint in std::mem::take(&mut self.changed) {
            let Some(record) = self.records.get(&fingerprint) else { continue };
            let key = [PREFIX, fingerprint.as_str().as_bytes()].concat();
            let value =
                serde_json::to_vec(&(&fingerprint, record)).map_err(|error| RoleError::Failed(error.to_string()))?;
            writes.push(Write::put(key, value));
        }
        Ok(())
    }
}

/// The population that a segment is part of; none for the whole.
fn everybody(population: &Population) -> Option<Population> {
    population.segment.as_ref()?;
    Some(Population { segment: None, ..population.clone() })
}

fn overlaps(alert: &Alert, report: &WindowReport) -> bool {
    alert.started_at < report.window_end && alert.resolved_at.is_none_or(|at| report.window_start < at)
}

fn worse(a: Standing, b: Standing) -> Standing {
    match (a, b) {
        (Standing::Bad { since: x }, Standing::Bad { since: y }) => Standing::Bad { since: x.min(y) },
        (Standing::Bad { since }, _) | (_, Standing::Bad { since }) => Standing::Bad { since },
        (Standing::Unsettled { since: x }, Standing::Unsettled { since: y }) => Standing::Unsettled { since: x.min(y) },
        (Standing::Unsettled { since }, _) | (_, Standing::Unsettled { since }) => Standing::Unsettled { since },
        (Standing::Clear, Standing::Clear) => Standing::Clear,
    }
}

fn parts_of(alert: &Alert) -> Vec<String> {
    let parts = alert.evidence.get("parts").and_then(serde_json::Value::as_array);
    parts.into_iter().flatten().filter_map(|part| part.as_str().map(str::to_owned)).collect()
}

fn record_of(topic: &str, alert: &Alert) -> Result<Outgoing, RoleError> {
    Ok(Outgoing {
        topic: topic.to_owned(),
        key: Some(alert.fingerprint.as_str().into()),
        payload: Some(to_json(alert)?),
        ..Outgoing::default()
    })
}

fn tombstone(topic: &str, fingerprint: &Fingerprint) -> Outgoing {
    Outgoing { topic: topic.to_owned(), key: Some(fingerprint.as_str().into()), ..Outgoing::default() }
}

/// Sizes of windows appear in evidence as they are configured.
pub(super) fn window_evidence(report: &WindowReport) -> serde_json::Value {
    let size: WindowSize = report.window_size;
    let (start, end): (Timestamp, Timestamp) = (report.window_start, report.window_end);
    serde_json::json!({ "start": start, "end": end, "size": size, "revision": report.revision })
}

#[cfg(test)]
mod tests;
