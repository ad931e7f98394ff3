//! The bus and the query engine behind the seams of HTTP.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{EventSink, SinkError, Sql, SqlAnswer, SqlFormat, SqlProblem, TailSource};
use crate::bus::{BusError, Outgoing, Producer, Records, Tail};
use crate::event::SourcePartition;
use crate::query::{Parameters, QueryEngine, QueryError, Snapshot, format};

#[async_trait]
impl EventSink for Producer {
    async fn publish(&self, records: Vec<Outgoing>, within: Duration) -> Result<(), SinkError> {
        self.publish_within(records, within).await.map_err(|error| match error {
            refused @ BusError::Produce { .. } => SinkError::Refused(refused.to_string()),
            other => SinkError::Unavailable(other.to_string()),
        })
    }
}

#[async_trait]
impl Sql for QueryEngine {
    async fn query(&self, snapshot: Arc<Snapshot>, sql: String, wanted: SqlFormat) -> Result<SqlAnswer, SqlProblem> {
        let answer = QueryEngine::query(self, &snapshot, &sql, &Parameters::default()).await?;
        let body = match wanted {
            SqlFormat::Json => format::to_json(&answer)?,
            SqlFormat::Csv => format::to_csv(&answer)?,
            SqlFormat::ArrowStream => format::to_arrow_stream(&answer)?,
        };
        Ok(SqlAnswer { body, truncated: answer.truncated })
    }
}

impl From<QueryError> for SqlProblem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::Timeout(_) => Self::TimedOut { detail },
            _ if error.is_callers_fault() => Self::Refused { code: error.code().to_owned(), detail },
            _ => Self::Failed { code: error.code().to_owned(), detail },
        }
    }
}

impl TailSource for Tail {
    fn poll(&mut self, max: usize, timeout: Duration) -> Result<Vec<(SourcePartition, Records)>, BusError> {
        Tail::poll(self, max, timeout)
    }

    fn is_caught_up(&self) -> bool {
        Tail::is_caught_up(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use crate::clock::Span;
    use crate::query::QueryLimits;

    const LIMITS: QueryLimits = QueryLimits { memory: 64 << 20, timeout: Span::from_secs(10), max_rows: 1_000 };

    async fn ask(sql: &str, format: SqlFormat) -> Result<SqlAnswer, SqlProblem> {
        let engine = QueryEngine::new(LIMITS).unwrap();
        Sql::query(&engine, Arc::new(samples::story()), sql.to_owned(), format).await
    }

    #[tokio::test]
    async fn the_engine_answers_over_the_snapshot_in_each_format() {
        let sql = "SELECT model, count(*) AS windows FROM windows GROUP BY model";
        let json = ask(sql, SqlFormat::Json).await.unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
        assert_eq!(rows, serde_json::json!([{"model": "car_loan", "windows": 26}]));
        let csv = ask(sql, SqlFormat::Csv).await.unwrap();
        assert_eq!(String::from_utf8(csv.body).unwrap(), "model,windows\ncar_loan,26\n");
        assert!(!ask(sql, SqlFormat::ArrowStream).await.unwrap().body.is_empty());
    }

    #[tokio::test]
    async fn a_wrong_query_keeps_the_engines_code() {
        let refused = |code: &str, problem: SqlProblem| match problem {
            SqlProblem::Refused { code: found, .. } => assert_eq!(found, code),
            other => panic!("{other:?}"),
        };
        refused("query_syntax", ask("SELEC 1", SqlFormat::Json).await.unwrap_err());
        refused("query_plan", ask("SELECT * FROM nowhere", SqlFormat::Json).await.unwrap_err());
        refused("query_read_only", ask("DROP TABLE windows", SqlFormat::Json).await.unwrap_err());
    }
}
