//! The seams of the edges, filled with the real bus and query engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::{EventSink, SinkError, Sql, SqlAnswer, SqlFormat, SqlProblem, TailSource};
use crate::bus::{BusError, Outgoing, Producer, Records, Tail};
use crate::event::SourcePartition;
use crate::query::{Parameters, QueryEngine, QueryError, Snapshot, format};

#[derive(Debug)]
pub(super) struct BusSink(pub(super) Arc<Producer>);

#[async_trait]
impl EventSink for BusSink {
    async fn publish(&self, records: Vec<Outgoing>, within: Duration) -> Result<(), SinkError> {
        self.0.publish_within(records, within).await.map_err(|error| match error {
            BusError::Unreachable { .. } => SinkError::Unavailable(error.to_string()),
            other => SinkError::Refused(other.to_string()),
        })
    }
}

#[derive(Debug)]
pub(super) struct Tables(pub(super) QueryEngine);

#[async_trait]
impl Sql for Tables {
    async fn query(&self, snapshot: Arc<Snapshot>, sql: String, format: SqlFormat) -> Result<SqlAnswer, SqlProblem> {
        let answer = self.0.query(&snapshot, &sql, &Parameters::default()).await.map_err(|error| problem(&error))?;
        let body = match format {
            SqlFormat::Json => format::to_json(&answer),
            SqlFormat::Csv => format::to_csv(&answer),
            SqlFormat::ArrowStream => format::to_arrow_stream(&answer),
        };
        let body = body.map_err(|error| SqlProblem::Failed { detail: error.to_string() })?;
        Ok(SqlAnswer { body, truncated: answer.truncated })
    }
}

fn problem(error: &QueryError) -> SqlProblem {
    let detail = error.to_string();
    match error {
        QueryError::Timeout(_) => SqlProblem::TimedOut { detail },
        _ => SqlProblem::Refused { code: error.code().to_owned(), detail },
    }
}

#[derive(Debug)]
pub(super) struct BusTail(pub(super) Tail);

impl TailSource for BusTail {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<(SourcePartition, Records)>, BusError> {
        self.0.poll(max, timeout)
    }

    fn is_caught_up(&self) -> bool {
        self.0.is_caught_up()
    }
}
