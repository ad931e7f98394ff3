//! Shows a snapshot to DataFusion: a catalogue with one schema, whose tables turn rows into columns while they are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider, Session,
    TableProvider,
};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::Snapshot;
use super::tables::{self, Table};

pub(super) const CATALOG: &str = "plimsoll";
pub(super) const SCHEMA: &str = "public";

/// Rows that are turned into columns at once; DataFusion may stop or yield between two such steps.
const BATCH_ROWS: usize = 8_192;

#[derive(Debug)]
struct SnapshotSchema(Arc<Snapshot>);

#[derive(Debug)]
struct SnapshotTable {
    table: &'static dyn Table,
    snapshot: Arc<Snapshot>,
}

/// The groups of rows and the columns that one query reads from one table.
#[derive(Debug)]
struct SnapshotScan {
    table: &'static dyn Table,
    snapshot: Arc<Snapshot>,
    groups: Vec<usize>,
    projection: Vec<usize>,
    schema: SchemaRef,
}

pub(super) fn snapshot_catalog(snapshot: Snapshot) -> Arc<dyn CatalogProviderList> {
    let catalog = MemoryCatalogProvider::new();
    // A fresh in-memory catalogue accepts its first schema; DataFusion would answer "table not found" if it did not.
    let _ = catalog.register_schema(SCHEMA, Arc::new(SnapshotSchema(Arc::new(snapshot))));
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Arc::new(catalogs)
}

#[async_trait]
impl SchemaProvider for SnapshotSchema {
    fn table_names(&self) -> Vec<String> {
        tables::catalogue().iter().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = tables::find(name) else { return Ok(None) };
        Ok(Some(Arc::new(SnapshotTable { table, snapshot: Arc::clone(&self.0) })))
    }

    fn table_exist(&self, name: &str) -> bool {
        tables::find(name).is_some()
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        tables::schema(self.table)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters on the columns that name a window are used to skip whole windows; DataFusion applies them again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let keys: BTreeSet<String> =
            self.table.columns().into_iter().take(self.table.key_columns()).map(|column| column.name.into()).collect();
        filters
            .iter()
            .map(|filter| {
                let skips_windows = speaks_only_of(&keys, filter)?;
                Ok(if skips_windows {
                    TableProviderFilterPushDown::Inexact
                } else {
                    TableProviderFilterPushDown::Unsupported
                })
            })
            .collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&projection)?);
        let scan = SnapshotScan {
            table: self.table,
            snapshot: Arc::clone(&self.snapshot),
            groups: self.groups_that_match(state, filters)?,
            projection,
            schema: Arc::clone(&schema),
        };
        let exec = StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

impl SnapshotTable {
    fn groups_that_match(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all: Vec<usize> = (0..self.table.groups(&self.snapshot)).collect();
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all) };
        let names: BTreeSet<&str> = filter.column_refs().into_iter().map(|column| column.name.as_str()).collect();
        let columns = self.table.columns();
        let wanted: Vec<usize> =
            (0..self.table.key_columns()).filter(|index| names.contains(columns[*index].name)).collect();
        let keys = self.table.keys(&self.snapshot, &wanted)?;
        let predicate = state.create_physical_expr(filter, &DFSchema::try_from(keys.schema())?)?;
        let matches = predicate.evaluate(&keys)?.into_array(keys.num_rows())?;
        let matches = matches.as_boolean();
        Ok(all.into_iter().filter(|group| matches.is_valid(*group) && matches.value(*group)).collect())
    }
}

impl PartitionStream for SnapshotScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (table, snapshot, projection) = (self.table, Arc::clone(&self.snapshot), self.projection.clone());
        let batches = in_batches(table, &snapshot, &self.groups)
            .into_iter()
            .map(move |groups| Ok(table.batch(&snapshot, &groups, &projection)?));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

fn speaks_only_of(keys: &BTreeSet<String>, filter: &Expr) -> Result<bool> {
    let columns = filter.column_refs();
    if columns.is_empty() || filter.is_volatile() || !columns.iter().all(|column| keys.contains(&column.name)) {
        return Ok(false);
    }
    let reaches_outside = filter.exists(|part| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    })?;
    Ok(!reaches_outside)
}

/// Splits groups into runs of about [`BATCH_ROWS`] rows; a group is never split.
fn in_batches(table: &'static dyn Table, snapshot: &Snapshot, groups: &[usize]) -> Vec<Vec<usize>> {
    let mut batches = Vec::new();
    let (mut current, mut rows) = (Vec::new(), 0);
    for group in groups {
        current.push(*group);
        rows += table.rows(snapshot, *group);
        if rows >= BATCH_ROWS {
            batches.push(std::mem::take(&mut current));
            rows = 0;
        }
    }
    if rows > 0 {
        batches.push(current);
    }
    batches
}
