//! Messages on their way to receivers over HTTP: in order for each, tried again with growing pauses, given up in the end.
//!
//! A message is queued in the same atomic write as the offset of what it tells of, and leaves the queue when its receiver
//! has accepted it, or for good when it is given up, so that a crash in between repeats it.

mod delivery;
mod queue;
mod results;

pub(super) use delivery::Delivery;
pub(super) use queue::{Deliveries, Key, Way, send_in_order};
pub(super) use results::Results;
