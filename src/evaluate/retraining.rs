//! Asking for retraining: when decay holds, once per version and not again within the cool-down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::panes::PaneStore;
use crate::bus::Outgoing;
use crate::clock::Timestamp;
use crate::event::{
    Fingerprint, PerformanceRow, RetrainingData, RetrainingRequest, Verdict, WindowReport, key_of, to_json,
};
use crate::model::Model;
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{Store, Write};

const ROW: &[u8] = b"meta/retraining";

/// When each version of each model was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Requests {
    asked: BTreeMap<String, BTreeMap<String, Timestamp>>,
}

impl Requests {
    pub(super) async fn open(store: &dyn Store) -> Result<Self, RoleError> {
        Ok(store.get(ROW).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default())
    }

    pub(super) fn store(&self) -> Result<Write, RoleError> {
        Ok(Write::put(ROW, encode(self)?))
    }

    /// The request that decay since `since`, seen in `report`, leads to; none when it has been asked already.
    pub(super) fn ask(
        &mut self,
        model: &Model,
        report: &WindowReport,
        since: Timestamp,
        alerts: Vec<Fingerprint>,
        panes: &PaneStore,
        topics: &[String],
    ) -> Option<RetrainingRequest> {
        let asked = self.asked.entry(model.name.clone()).or_default();
        let version = &report.population.version;
        let requested_at = report.window_end;
        let cools_down = |at: &Timestamp| requested_at < at.plus(model.retraining.cooldown);
        if !model.retraining.enabled || asked.contains_key(version) || asked.values().any(cools_down) {
            return None;
        }
        asked.insert(version.clone(), requested_at);
        let offsets = panes.offsets(&report.population, since, report.window_end, topics);
        Some(RetrainingRequest {
            id: format!("{:016x}", xxh3_64(key_of(&[&model.name, version, &since.to_string()]).as_bytes())),
            model: model.name.clone(),
            version: version.clone(),
            reason: reason(report, since),
            alerts,
            data: RetrainingData { from: since, to: report.window_end, offsets },
            champion: report.performance.clone(),
            requested_at,
        })
    }
}

/// The request as a record on `plimsoll.retraining`.
pub(super) fn record(topic: &str, request: &RetrainingRequest) -> Result<Outgoing, RoleError> {
    Ok(Outgoing {
        topic: topic.to_owned(),
        key: Some(request.model.clone().into_bytes()),
        payload: Some(to_json(request)?),
        ..Outgoing::default()
    })
}

fn reason(report: &WindowReport, since: Timestamp) -> String {
    let decayed: Vec<String> =
        report.performance.iter().filter(|row| row.verdict == Verdict::Decay).map(describe).collect();
    format!("decay since {since}: {}", decayed.join(", "))
}

/// `accuracy 0.9161 (reference 0.9436)`.
pub(super) fn describe(row: &PerformanceRow) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
    format!("{} {} (reference {})", row.metric, number(row.value), number(row.reference))
}
