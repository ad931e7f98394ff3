//! Which version answers a request that names none, while a rollout is under way.

use std::sync::Arc;

use super::served::Served;
use crate::event::OVERRIDE;
use crate::rollout::{Arm, Assignment};

/// The versions of a rollout, as they are served.
#[derive(Clone, Debug)]
pub struct Routing {
    pub assignment: Assignment,
    /// None as long as it cannot be loaded: the primary answers everything then.
    pub candidate: Option<Arc<Served>>,
}

/// What may answer a request.
#[derive(Clone, Debug)]
pub struct Routed {
    pub primary: Arc<Served>,
    pub routing: Option<Arc<Routing>>,
}

/// What answers it.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub served: Arc<Served>,
    /// As it is logged; none outside of rollouts.
    pub variant: Option<&'static str>,
    pub rollout: Option<String>,
    /// Answers too, unseen.
    pub shadow: Option<Arc<Served>>,
}

/// The client asks for an arm, and there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoArm {
    #[error("there is no rollout: leave x-plimsoll-variant out, or name a version in the path")]
    NoRollout,
    #[error("the new version is not loaded yet, or cannot be")]
    NotLoaded,
}

impl Routed {
    /// `wish` is the client's own choice; the hash of `key` decides otherwise.
    pub fn choose(&self, key: &str, wish: Option<Arm>) -> Result<Chosen, NoArm> {
        let Some(routing) = self.routing.as_deref() else {
            return match wish {
                Some(Arm::Canary) => Err(NoArm::NoRollout),
                _ => Ok(self.chosen(&self.primary, None)),
            };
        };
        let rollout = &routing.assignment.rollout;
        let candidate = routing.candidate.as_ref();
        let arm = wish.unwrap_or_else(|| routing.assignment.arm(key));
        match (wish, arm, candidate) {
            (Some(_), Arm::Canary, None) => Err(NoArm::NotLoaded),
            (Some(_), Arm::Canary, Some(candidate)) => Ok(self.chosen(candidate, Some((OVERRIDE, rollout)))),
            (Some(_), Arm::Stable, _) => Ok(self.chosen(&self.primary, Some((OVERRIDE, rollout)))),
            (None, Arm::Canary, Some(candidate)) => Ok(self.chosen(candidate, Some((arm.variant(), rollout)))),
            (None, ..) => {
                let is_mirrored = routing.assignment.is_mirrored(key);
                let shadow = candidate.filter(|_| is_mirrored).cloned();
                Ok(Chosen { shadow, ..self.chosen(&self.primary, Some((Arm::Stable.variant(), rollout))) })
            }
        }
    }

    fn chosen(&self, served: &Arc<Served>, part: Option<(&'static str, &String)>) -> Chosen {
        Chosen {
            served: Arc::clone(served),
            variant: part.map(|(variant, _)| variant),
            rollout: part.map(|(_, rollout)| rollout.clone()),
            shadow: None,
        }
    }
}

impl Chosen {
    /// Rows that are chosen alike run together.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.served.identity == other.served.identity
            && self.variant == other.variant
            && self.shadow.is_some() == other.shadow.is_some()
    }
}
