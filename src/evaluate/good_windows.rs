//! What is remembered of parts that were never bad: enough to begin their trace when a late window shows them bad.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::trace::Trace;
use crate::clock::Timestamp;
use crate::model::WindowSize;

/// Newest windows kept per size: a trace that begins before them all has passed.
const KEPT: usize = 8;

/// The newest windows in which parts without a trace were judged, and found good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GoodWindows {
    by_size: BTreeMap<WindowSize, BTreeMap<Timestamp, Unjudged>>,
}

/// The parts of which nothing could be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Unjudged {
    All,
    Only(BTreeSet<String>),
}

impl GoodWindows {
    /// Notes one window; `verdicts` are those of the parts that have no trace.
    pub(super) fn note(&mut self, size: WindowSize, start: Timestamp, verdicts: &[(String, Option<bool>)]) {
        if verdicts.is_empty() {
            return;
        }
        let unjudged: BTreeSet<String> =
            verdicts.iter().filter(|(_, bad)| bad.is_none()).map(|(part, _)| part.clone()).collect();
        let unjudged = if unjudged.len() == verdicts.len() { Unjudged::All } else { Unjudged::Only(unjudged) };
        let windows = self.by_size.entry(size).or_default();
        windows.insert(start, unjudged);
        while windows.len() > KEPT {
            windows.pop_first();
        }
    }

    /// The trace of a part that was not bad in any of them.
    pub(super) fn trace_of(&self, part: &str) -> Trace {
        let mut trace = Trace::default();
        for (size, windows) in &self.by_size {
            for (start, unjudged) in windows {
                let is_judged = matches!(unjudged, Unjudged::Only(parts) if !parts.contains(part));
                trace.note(*size, *start, is_judged.then_some(false));
            }
        }
        trace
    }
}
