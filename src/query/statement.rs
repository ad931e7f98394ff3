//! The door: one statement per query, and only statements that read.

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::QueryError;

/// Longer queries are machine-made, and a very long chain of operators would exhaust the planner's stack.
const MAX_LENGTH: usize = 16 * 1024;
const MAX_NESTING: usize = 50;

/// The statement in `sql`, if it is the only one and reads.
pub(super) fn parse(sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > MAX_LENGTH {
        return Err(QueryError::TooLong { length: sql.len(), limit: MAX_LENGTH });
    }
    let mut statements = parse_all(sql).map_err(|error| QueryError::from_planning(&error))?;
    let count = statements.len();
    let Some(statement) = statements.pop() else { return Err(QueryError::Empty) };
    if count > 1 {
        return Err(QueryError::ManyStatements(count));
    }
    if !reads(&statement) {
        return Err(QueryError::ReadOnly(verb(&statement)));
    }
    Ok(statement)
}

fn parse_all(sql: &str) -> Result<Vec<Statement>, DataFusionError> {
    let mut parser =
        DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).with_recursion_limit(MAX_NESTING).build()?;
    Ok(parser.parse_statements()?.into())
}

/// A list of what is allowed: whatever a later parser learns stays refused until it is named here.
fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(sql) => matches!(
            sql.as_ref(),
            SqlStatement::Query(_)
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
        ),
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    }
}

/// The first words of the statement, such as `CREATE TABLE`; enough to say what was refused.
fn verb(statement: &Statement) -> String {
    let text = statement.to_string();
    let words: Vec<&str> =
        text.split_whitespace().take(2).take_while(|word| word.chars().all(|c| c.is_ascii_uppercase())).collect();
    if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
}
