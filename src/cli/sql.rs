//! `plimsoll sql`: asks a running service.

use anyhow::Context;
use clap::{Args, ValueEnum};
use reqwest::header::ACCEPT;
use serde_json::{Map, Value, json};

use crate::query::format::{Alignment, TextTable};
use crate::query::tables::{self, Table};

#[derive(Clone, Debug, Args)]
pub struct SqlArgs {
    /// One SELECT over the tables that --tables shows
    #[arg(required_unless_present = "tables", value_name = "QUERY")]
    pub query: Option<String>,
    /// Where the service listens
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "PLIMSOLL_URL")]
    pub url: String,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Bearer token, if the service asks for one
    #[arg(long, env = "PLIMSOLL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Show every table and its columns; needs no service
    #[arg(long, conflicts_with = "query")]
    pub tables: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

pub async fn run(args: SqlArgs) -> anyhow::Result<()> {
    if args.tables {
        return super::answer(&catalogue());
    }
    let query = args.query.as_deref().unwrap_or_default();
    let answer = ask(&args, query).await?;
    match args.format {
        Format::Table => super::answer(&rows_as_table(&answer)?.to_string()),
        Format::Json | Format::Csv => super::answer(&format!("{}\n", answer.trim_end())),
    }
}

async fn ask(args: &SqlArgs, query: &str) -> anyhow::Result<String> {
    let url = format!("{}/v1/sql", args.url.trim_end_matches('/'));
    let accept = if args.format == Format::Csv { "text/csv" } else { "application/json" };
    let mut request = reqwest::Client::new().post(&url).header(ACCEPT, accept).json(&json!({ "sql": query }));
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    super::ask::answered(&args.url, request).await
}

fn rows_as_table(body: &str) -> anyhow::Result<TextTable> {
    let rows: Vec<Map<String, Value>> = serde_json::from_str(body).context("the answer is no list of rows")?;
    let Some(first) = rows.first() else { return Ok(TextTable::default()) };
    let names: Vec<String> = first.keys().cloned().collect();
    let columns = names.iter().map(|name| {
        let is_number = rows.iter().filter_map(|row| row.get(name)).all(|value| value.is_number() || value.is_null());
        (name.clone(), if is_number { Alignment::Right } else { Alignment::Left })
    });
    let mut table = TextTable::new(columns);
    for row in &rows {
        table.push(names.iter().map(|name| cell(row.get(name))).collect());
    }
    Ok(table)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn catalogue() -> String {
    tables::catalogue().map(explained).join("\n")
}

/// A table's name and meaning, and its columns indented below.
fn explained(table: &dyn Table) -> String {
    let names = ["column", "type", "null", "meaning"].map(|name| (name.to_owned(), Alignment::Left));
    let mut columns = TextTable::new(names);
    for column in table.columns() {
        let null = if column.nullable { "yes" } else { "" };
        let data_type = tables::sql_type(&column.data_type);
        columns.push(vec![column.name.to_owned(), data_type, null.to_owned(), column.description.to_owned()]);
    }
    let lines: String = columns.lines().flat_map(|line| ["  ".to_owned(), line, "\n".to_owned()]).collect();
    format!("{}: {}\n{lines}", table.name(), table.description())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_names_every_table_and_column() {
        let shown = catalogue();
        for table in tables::catalogue() {
            assert!(shown.contains(&format!("{}: {}", table.name(), table.description())));
            for column in table.columns() {
                assert!(shown.contains(column.description), "{}", column.name);
            }
        }
    }

    #[test]
    fn rows_become_a_table_with_numbers_to_the_right() {
        let table =
            rows_as_table(r#"[{"feature":"a","psi":0.5,"detail":null},{"feature":"bb","psi":12,"detail":null}]"#);
        assert_eq!(
            table.unwrap().to_string(),
            "feature | psi | detail\n--------+-----+-------\na       | 0.5 |\nbb      |  12 |\n(2 rows)\n"
        );
        assert_eq!(rows_as_table("[]").unwrap().to_string(), "(0 rows)\n");
    }

    #[tokio::test]
    async fn a_service_that_is_away_is_named() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let args = SqlArgs {
            query: Some("SELECT 1".into()),
            url: format!("http://{free}"),
            format: Format::Json,
            token: None,
            tables: false,
        };
        let error = run(args).await.unwrap_err().to_string();
        assert!(error.contains("is `plimsoll up` running?"), "{error}");
    }
}
