//! What people have been told, so that a repeat on the topic is no repeat in their mail.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Alert, AlertState};

/// The latest episodes of one fingerprint that people were told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    episodes: Vec<Episode>,
}

/// An alert from firing to resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    started_at: Timestamp,
    resolved: bool,
}

/// After a crash the end of the topic is published again, which may hold several episodes.
const EPISODES: usize = 16;

impl Told {
    /// Whether people should hear of this; if so they count as told from now on.
    pub(super) fn is_news(&mut self, alert: &Alert) -> bool {
        let episode = self.episodes.iter_mut().find(|episode| episode.started_at == alert.started_at);
        match (alert.state, episode) {
            (AlertState::Firing, None) => {
                if self.episodes.len() == EPISODES {
                    self.episodes.remove(0);
                }
                self.episodes.push(Episode { started_at: alert.started_at, resolved: false });
                true
            }
            (AlertState::Resolved, Some(episode)) if !episode.resolved => {
                episode.resolved = true;
                true
            }
            (AlertState::Pending | AlertState::Firing | AlertState::Resolved, _) => false,
        }
    }
}
