//! Runs one read-only query over one snapshot, within limits.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;

use super::provider::{CATALOG, SCHEMA, snapshot_catalog};
use super::{Parameters, QueryError, Snapshot, statement};
use crate::clock::Span;

/// Functions that make a huge value out of a short query, in one step that no limit can interrupt.
const DENIED_FUNCTIONS: [&str; 3] = ["repeat", "lpad", "rpad"];

#[derive(Clone, Copy, Debug)]
pub struct QueryLimits {
    /// Bytes that all queries of one engine may use together.
    pub memory: usize,
    /// Longest time of one query, planning included.
    pub timeout: Span,
    /// Rows of one answer; what follows is cut off.
    pub max_rows: usize,
}

/// Answers queries; cheap to clone, and all clones share the memory limit.
#[derive(Clone, Debug)]
pub struct QueryEngine {
    limits: QueryLimits,
    /// Functions, rules and the shared memory pool; each query gets a copy with its own tables.
    state: Arc<SessionState>,
}

#[derive(Clone, Debug)]
pub struct QueryAnswer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether rows were cut off at the limit.
    pub truncated: bool,
}

impl QueryEngine {
    pub fn new(limits: QueryLimits) -> Result<Self, QueryError> {
        let state = session_state(limits).map_err(|error| QueryError::from_planning(&error))?;
        Ok(Self { limits, state: Arc::new(state) })
    }

    /// The answer to `sql` over the tables of `snapshot`.
    pub async fn query(
        &self,
        snapshot: &Snapshot,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<QueryAnswer, QueryError> {
        let answer = self.answer(snapshot, sql, parameters);
        tokio::time::timeout(self.limits.timeout.as_std(), answer)
            .await
            .map_err(|_| QueryError::Timeout(self.limits.timeout))?
    }

    /// Finds every error that `sql` has before it sees a row.
    pub async fn validate(&self, sql: &str, parameters: &Parameters) -> Result<(), QueryError> {
        let state = self.state_over(&Snapshot::default());
        let plan = logical_plan(&state, sql, parameters).await?;
        state.create_physical_plan(&plan).await.map_err(|error| QueryError::from_planning(&error))?;
        Ok(())
    }

    async fn answer(&self, snapshot: &Snapshot, sql: &str, parameters: &Parameters) -> Result<QueryAnswer, QueryError> {
        let state = self.state_over(snapshot);
        let plan = logical_plan(&state, sql, parameters).await?;
        let physical = DataFrame::new(state.clone(), plan)
            .create_physical_plan()
            .await
            .map_err(|error| QueryError::from_planning(&error))?;
        let stream = datafusion::physical_plan::execute_stream(physical, state.task_ctx())
            .map_err(|error| QueryError::from_execution(&error))?;
        self.collect(stream).await.map_err(|error| QueryError::from_execution(&error))
    }

    fn state_over(&self, snapshot: &Snapshot) -> SessionState {
        let mut state = self.state.as_ref().clone();
        state.register_catalog_list(snapshot_catalog(snapshot.clone()));
        state.mark_start_execution();
        state
    }

    /// Reads up to the row limit; what is held counts against the memory limit.
    async fn collect(&self, mut stream: SendableRecordBatchStream) -> Result<QueryAnswer, DataFusionError> {
        let held = MemoryConsumer::new("answer").register(&self.state.runtime_env().memory_pool);
        let mut answer = QueryAnswer { schema: stream.schema(), batches: Vec::new(), truncated: false };
        let mut room = self.limits.max_rows;
        while let Some(batch) = stream.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            if room == 0 {
                answer.truncated = true;
                break;
            }
            held.try_grow(batch.get_array_memory_size())?;
            answer.truncated = batch.num_rows() > room;
            let taken = batch.num_rows().min(room);
            answer.batches.push(batch.slice(0, taken));
            room -= taken;
            if answer.truncated {
                break;
            }
        }
        Ok(answer)
    }
}

impl QueryAnswer {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The same answer with at most `rows` rows.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        let mut room = rows;
        let mut batches = Vec::new();
        for batch in &self.batches {
            let taken = batch.num_rows().min(room);
            batches.push(batch.slice(0, taken));
            room -= taken;
        }
        Self { schema: Arc::clone(&self.schema), batches, truncated: self.truncated || self.rows() > rows }
    }
}

fn session_state(limits: QueryLimits) -> Result<SessionState, DataFusionError> {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    let mut state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    for name in DENIED_FUNCTIONS {
        state.deregister_udf(name)?;
    }
    Ok(state)
}

async fn logical_plan(state: &SessionState, sql: &str, parameters: &Parameters) -> Result<LogicalPlan, QueryError> {
    let statement = statement::parse(sql)?;
    let plan = state.statement_to_plan(statement).await.map_err(|error| QueryError::from_planning(&error))?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|error| QueryError::ReadOnly(error.message().into_owned()))?;
    plan.with_param_values(parameters.to_param_values()).map_err(|error| QueryError::from_planning(&error))
}
