//! Runs one read-only query over one snapshot, within limits.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;

use super::provider::{CATALOG, SCHEMA, snapshot_catalog};
use super::threads::QueryThreads;
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
    threads: Arc<QueryThreads>,
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
        let threads = QueryThreads::start().map_err(|error| QueryError::Internal(error.to_string()))?;
        Ok(Self { limits, state: Arc::new(state), threads: Arc::new(threads) })
    }

    /// The answer to `sql` over the tables of `snapshot`.
    pub async fn query(
        &self,
        snapshot: &Snapshot,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<QueryAnswer, QueryError> {
        let state = self.state_over(snapshot.clone());
        let (sql, parameters, max_rows) = (sql.to_owned(), parameters.clone(), self.limits.max_rows);
        let answer = async move { answer(&state, &sql, &parameters, max_rows).await };
        self.threads.run(self.limits.timeout, answer).await
    }

    /// Finds every error that `sql` has before it sees a row.
    pub async fn validate(&self, sql: &str, parameters: &Parameters) -> Result<(), QueryError> {
        let state = self.state_over(Snapshot::default());
        let (sql, parameters) = (sql.to_owned(), parameters.clone());
        let planned = async move { physical_plan(&state, &sql, &parameters).await.map(drop) };
        self.threads.run(self.limits.timeout, planned).await
    }

    fn state_over(&self, snapshot: Snapshot) -> SessionState {
        let mut state = self.state.as_ref().clone();
        state.register_catalog_list(snapshot_catalog(snapshot));
        state.mark_start_execution();
        state
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

async fn answer(
    state: &SessionState,
    sql: &str,
    parameters: &Parameters,
    max_rows: usize,
) -> Result<QueryAnswer, QueryError> {
    let plan = physical_plan(state, sql, parameters).await?;
    let stream = execute_stream(plan, state.task_ctx()).map_err(|error| QueryError::from_execution(&error))?;
    let memory = MemoryConsumer::new("answer").register(&state.runtime_env().memory_pool);
    collect(stream, &memory, max_rows).await.map_err(|error| QueryError::from_execution(&error))
}

/// Reads up to the row limit; what is held counts against the memory limit.
async fn collect(
    mut stream: SendableRecordBatchStream,
    memory: &MemoryReservation,
    max_rows: usize,
) -> Result<QueryAnswer, DataFusionError> {
    let mut answer = QueryAnswer { schema: stream.schema(), batches: Vec::new(), truncated: false };
    let mut room = max_rows;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > room {
            answer.batches.push(batch.slice(0, room));
            answer.truncated = true;
            break;
        }
        memory.try_grow(size_of(&batch)?)?;
        room -= batch.num_rows();
        answer.batches.push(batch);
    }
    Ok(answer)
}

/// Bytes of the rows themselves; batches may share buffers that are larger.
fn size_of(batch: &RecordBatch) -> Result<usize, ArrowError> {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size()).sum()
}

async fn physical_plan(
    state: &SessionState,
    sql: &str,
    parameters: &Parameters,
) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    let plan = logical_plan(state, sql, parameters).await?;
    state.create_physical_plan(&plan).await.map_err(|error| QueryError::from_planning(&error))
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
        // The tables are small and planning is most of a check's time: later passes find next to nothing.
        .set_usize("datafusion.optimizer.max_passes", 1)
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
