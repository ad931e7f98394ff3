//! Versions that could not be served, as lines of the registry's audit.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bus::{Outgoing, Topics};
use crate::clock::Clock;
use crate::event::to_json;
use crate::registry::{Change, Command};
use crate::runner::Publisher;
use crate::serve::FailedLoad;

/// In whose name the audit is told.
const USER: &str = "plimsoll";
const REASON: &str = "it was to be served";

/// Gives a command for each failure, until `stop` or the last of them. The registry rejects it with its reason, or takes
/// the version back that was being rolled out.
pub(super) async fn tell(
    mut failures: UnboundedReceiver<FailedLoad>,
    publisher: Arc<dyn Publisher>,
    topics: Topics,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let tell_all = async {
        while let Some(failure) = failures.recv().await {
            let (model, version) = (failure.identity.model.clone(), failure.identity.version);
            let told = match record(failure, &topics, clock.as_ref()) {
                Ok(record) => publisher.publish(vec![record]).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = told {
                tracing::warn!(model, version, error, "the audit does not hear of a version that cannot be served");
            }
        }
    };
    tokio::select! {
        () = tell_all => {}
        () = stop.cancelled() => {}
    }
}

fn record(failure: FailedLoad, topics: &Topics, clock: &dyn Clock) -> Result<Outgoing, crate::event::FormatError> {
    let command = Command {
        id: Uuid::new_v4().simple().to_string(),
        at: clock.now(),
        user: USER.to_owned(),
        reason: REASON.to_owned(),
        expected_revision: None,
        gated: false,
        change: Change::FailLoad {
            name: failure.identity.model,
            version: failure.identity.version,
            problem: failure.reason,
            is_lasting: !failure.is_temporary,
        },
    };
    Ok(Outgoing {
        topic: topics.registry_commands.clone(),
        partition: Some(0),
        key: Some(command.id.clone().into_bytes()),
        payload: Some(to_json(&command)?),
        ..Outgoing::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::event::{SourcePartition, from_json};
    use crate::serve::Identity;

    #[test]
    fn a_failure_is_a_command_that_the_registry_reads_back() {
        let topics = Topics::named("plimsoll", &["predictions".to_owned()], &[]);
        let clock = ManualClock::default();
        let identity = Identity { model: "m".into(), version: 3 };
        let failure = FailedLoad { identity, reason: "it is damaged".into(), is_temporary: false };
        let sent = record(failure, &topics, &clock).unwrap();
        let place = SourcePartition { topic: sent.topic.clone(), partition: sent.partition.unwrap() };
        assert_eq!(place.to_string(), "plimsoll.registry-commands-0");
        let command: Command = from_json(&sent.payload.unwrap()).unwrap();
        assert_eq!(command.change.model(), Some(("m", Some(3))));
        assert_eq!((command.change.action(), command.at), ("fail_load".to_owned(), Timestamp::default()));
        assert!(matches!(command.change, Change::FailLoad { is_lasting: true, .. }));
    }
}
