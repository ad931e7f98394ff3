//! Waiting until everything that was published has been worked through.

use std::time::Duration;

use super::{App, Part};
use crate::bus::BusError;

const PAUSE: Duration = Duration::from_millis(100);

impl App {
    /// Returns when each role's group has committed the ends of its topics, in the order in which records flow: what a
    /// role has committed, it has also published. The view lags behind by at most one poll.
    pub async fn settle(&self) -> Result<(), BusError> {
        let events = self.topics.predictions.iter().chain(&self.topics.outcomes).cloned().collect();
        let stages = [
            (Part::Ingest, events),
            (Part::Join, vec![self.topics.joins.clone()]),
            (Part::Evaluate, vec![self.topics.panes.clone()]),
            (Part::Notify, vec![self.topics.alerts.clone()]),
        ];
        for (part, topics) in stages {
            if !self.parts.contains(&part) {
                continue;
            }
            let group = format!("{}.{}", self.bus.prefix, part.name());
            for topic in topics {
                while !self.has_read(&group, &topic).await? {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    async fn has_read(&self, group: &str, topic: &str) -> Result<bool, BusError> {
        let ends = self.admin.end_offsets(topic).await?;
        let committed = self.admin.committed(group, topic).await?;
        let is_read = |(end, committed): (&i64, &Option<i64>)| committed.unwrap_or(0) >= *end;
        Ok(ends.iter().zip(&committed).all(is_read))
    }
}
