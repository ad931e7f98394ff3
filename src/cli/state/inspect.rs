//! `plimsoll state inspect`: offsets, formats, sizes and what waits.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Selection, look_at};
use crate::cli::answer;
use crate::query::format::{Alignment, TextTable};
use crate::runner::Findings;
use crate::state::{Deployment, StateError, StatePartition, StateRoot, StateSize};

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    #[command(flatten)]
    selection: Selection,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

struct Row {
    partition: StatePartition,
    size: StateSize,
    findings: Result<Findings, StateError>,
}

pub(super) async fn run(args: &InspectArgs, root: &StateRoot) -> anyhow::Result<ExitCode> {
    let deployment = root.deployment().await?;
    let mut rows = Vec::new();
    for partition in args.selection.of(root).await? {
        let size = root.size(&partition).await?;
        let findings = look_at(root, &partition).await;
        rows.push(Row { partition, size, findings });
    }
    match args.format {
        Format::Json => answer(&format!("{:#}\n", as_json(root, deployment.as_ref(), &rows)))?,
        Format::Table => answer(&as_text(root, deployment.as_ref(), &rows))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(root: &StateRoot, deployment: Option<&Deployment>, rows: &[Row]) -> Value {
    let partitions: Vec<Value> = rows.iter().map(row_as_json).collect();
    json!({ "place": root.place(), "deployment": deployment, "partitions": partitions })
}

fn row_as_json(row: &Row) -> Value {
    let Row { partition, size, findings } = row;
    let mut value = json!({
        "role": partition.role,
        "topic": partition.source.topic,
        "partition": partition.source.partition,
        "objects": size.objects,
        "bytes": size.bytes,
    });
    match findings {
        Ok(findings) => {
            value["format"] = findings.format.into();
            value["next_offset"] = findings.next_offset.into();
            value["rows"] = json!(findings.rows);
        }
        Err(error) => value["error"] = error.to_string().into(),
    }
    value
}

fn as_text(root: &StateRoot, deployment: Option<&Deployment>, rows: &[Row]) -> String {
    let whose = match deployment {
        Some(Deployment { deployment, cluster, prefix, created_at, .. }) => {
            let cluster = cluster.as_deref().unwrap_or("unknown");
            format!("deployment {deployment}, made {created_at}, kafka cluster {cluster}, prefix {prefix}")
        }
        None => "not yet claimed by a service".to_owned(),
    };
    let left = ["role", "topic"].map(|name| (name.to_owned(), Alignment::Left));
    let right = ["partition", "format", "next offset", "outbox", "objects", "bytes"];
    let right = right.map(|name| (name.to_owned(), Alignment::Right));
    let last = [("holds".to_owned(), Alignment::Left)];
    let mut table = TextTable::new(left.into_iter().chain(right).chain(last));
    for row in rows {
        table.push(cells(row));
    }
    format!("{}: {whose}\n{table}", root.place())
}

fn cells(Row { partition, size, findings }: &Row) -> Vec<String> {
    let (format, next, outbox, holds) = match findings {
        Ok(findings) => {
            let counted = findings.rows.iter().filter(|(kind, _)| !["meta", "outbox"].contains(kind));
            let holds: Vec<String> = counted.map(|(kind, rows)| format!("{rows} {kind}")).collect();
            let next = findings.next_offset.map_or_else(String::new, |next| next.to_string());
            let outbox = findings.rows.get("outbox").copied().unwrap_or(0);
            (findings.format.to_string(), next, outbox.to_string(), holds.join(", "))
        }
        Err(error) => (String::new(), String::new(), String::new(), error.to_string()),
    };
    let source = &partition.source;
    vec![
        partition.role.clone(),
        source.topic.clone(),
        source.partition.to_string(),
        format,
        next,
        outbox,
        size.objects.to_string(),
        size.bytes.to_string(),
        holds,
    ]
}
