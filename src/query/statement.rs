//! The door: one statement per query, and only statements that read.

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::QueryError;

/// Planning recurses along chains of operators, joins and casts, and takes more than linear time on them: 1,500 tokens
/// stay far inside the stack of the query threads, and within seconds.
const MAX_TOKENS: usize = 1_500;
const MAX_BYTES: usize = 64 * 1024;
const MAX_NESTING: usize = 50;

/// The statement in `sql`, if it is the only one and reads.
pub(super) fn parse(sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > MAX_BYTES || tokens(sql)? > MAX_TOKENS {
        return Err(QueryError::TooLong { tokens: MAX_TOKENS, bytes: MAX_BYTES });
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

fn tokens(sql: &str) -> Result<usize, QueryError> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .map_err(|error| QueryError::Syntax(format!("{}{}", error.message, error.location)))?;
    Ok(tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count())
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
