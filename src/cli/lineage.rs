//! `plimsoll lineage`: where a version of a registered model comes from.

use std::fmt::Write;

use anyhow::Context;
use clap::Args;

use super::ask::{Service, get};
use crate::registry::openlineage::LineageDataset;
use crate::registry::{DataVersion, Lineage};

#[derive(Clone, Debug, Args)]
pub struct LineageArgs {
    /// Name of the registered model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Number of the version
    #[arg(value_name = "VERSION")]
    pub version: u32,
    #[command(flatten)]
    pub service: Service,
    /// Write all of it as JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: LineageArgs) -> anyhow::Result<()> {
    let answer =
        get(&args.service, &["v1", "models", &args.model, "versions", &args.version.to_string(), "lineage"]).await?;
    if args.json {
        return super::answer(&format!("{}\n", answer.trim_end()));
    }
    let lineage: Lineage = serde_json::from_str(&answer).context("the answer is no lineage")?;
    super::answer(&written(&lineage))
}

fn written(lineage: &Lineage) -> String {
    let mut text = format!("{} version {}, stage {}", lineage.model, lineage.version, lineage.stage.name());
    if !lineage.aliases.is_empty() {
        let _ = write!(text, ", alias {}", lineage.aliases.join(", "));
    }
    text.push('\n');
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<13}{value}");
    };
    let unknown = "not known";
    line("registered", &format!("{} by {}", lineage.created_at, lineage.created_by));
    line("files", &lineage.source);
    line("run", lineage.run_id.as_deref().unwrap_or(unknown));
    line("code", lineage.code.version.as_deref().unwrap_or(unknown));
    if let Some(entry_point) = &lineage.code.entry_point {
        line("entry point", entry_point);
    }
    if lineage.data.is_empty() {
        line("data", unknown);
    }
    for data in &lineage.data {
        line("data", &data_version(data));
    }
    if let Some(offsets) = &lineage.offsets {
        line("offsets", &offsets.to_string());
    }
    if let Some(request) = &lineage.retraining {
        line("answers", &format!("retraining request {request}"));
    }
    for (key, value) in &lineage.params {
        line("parameter", &format!("{key} = {value}"));
    }
    for metric in &lineage.metrics {
        let value = metric.value.map_or("no number".to_owned(), |value| value.to_string());
        line("metric", &format!("{} = {value}", metric.key));
    }
    for run in &lineage.upstream {
        let (depth, job, state) = (run.depth, format!("{}/{}", run.namespace, run.job), run.state.name());
        line("upstream", &format!("{depth} {job} ({state})"));
        run.inputs.iter().for_each(|data| line("", &format!("read {}", dataset(data))));
        run.outputs.iter().for_each(|data| line("", &format!("made {}", dataset(data))));
    }
    text
}

fn dataset(data: &LineageDataset) -> String {
    let version = data.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    format!("{}/{}{version}", data.namespace, data.name)
}

fn data_version(data: &DataVersion) -> String {
    let context = data.context.as_ref().map(|context| format!(" ({context})")).unwrap_or_default();
    match &data.name {
        Some(name) => format!("{} {name}, digest {}{context}", data.kind, data.digest),
        None => format!("{} {}{context}", data.kind, data.digest),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lineage_is_written_line_by_line_and_says_what_is_not_known() {
        let lineage: Lineage = serde_json::from_value(json!({
            "model": "m", "version": 3, "stage": "staging", "aliases": ["candidate"], "created_by": "ada",
            "created_at": "2026-01-01T00:00:00Z", "source": "s3://bucket/m", "run_id": "r1", "logged_model": null,
            "code": {"version": null, "entry_point": null},
            "data": [{"kind": "dvc", "name": null, "digest": "d41d8cd98f00b204e9800998ecf8427e", "source": null, "context": null}],
            "offsets": null, "retraining": "q1", "params": {"lr": "0.1"}, "metrics": [],
            "upstream": [{"depth": 1, "run_id": "u", "namespace": "airflow", "job": "features", "state": "COMPLETE",
                "code": null, "inputs": [], "outputs": [{"namespace": "s3://b", "name": "loans", "version": "7"}]}]
        }))
        .unwrap();
        let expected = "m version 3, stage Staging, alias candidate
  registered   2026-01-01T00:00:00Z by ada
  files        s3://bucket/m
  run          r1
  code         not known
  data         dvc d41d8cd98f00b204e9800998ecf8427e
  answers      retraining request q1
  parameter    lr = 0.1
  upstream     1 airflow/features (COMPLETE)
               made s3://b/loans, version 7
";
        assert_eq!(written(&lineage), expected);
    }
}
