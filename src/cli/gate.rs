//! `plimsoll gate`: what a version must pass before it is staged.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::ask::{Service, get, post};
use crate::event::Severity;
use crate::registry::gates::{GateReport, GateState, GateVerdict, load_gates};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub enum GateCommand {
    /// List the gates in the configured folder
    List,
    /// Run the gates of a version; exits with 1 unless it passed them
    Run(VersionArgs),
    /// Show what the gates of a version said when they last ran
    Show(VersionArgs),
    /// Agree to a version that passed and waits for it
    Approve(VersionArgs),
    /// Turn down a version that passed and waits for approval
    Refuse(VersionArgs),
}

#[derive(Clone, Debug, Args)]
pub struct VersionArgs {
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

#[derive(Deserialize)]
struct Standing {
    model: String,
    version: u32,
    stage: String,
    state: Option<GateState>,
    report: Option<GateReport>,
}

pub async fn run(
    command: GateCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<ExitCode> {
    let (args, answer) = match command {
        GateCommand::List => return list(&settings()?),
        GateCommand::Run(args) => (args.clone(), post(&args.service, &args.path(&["gates"]), json!({})).await?),
        GateCommand::Show(args) => (args.clone(), get(&args.service, &args.path(&["gates"])).await?),
        GateCommand::Approve(args) => (args.clone(), args.approve(true).await?),
        GateCommand::Refuse(args) => (args.clone(), args.approve(false).await?),
    };
    let standing: Standing = serde_json::from_str(&answer).context("the answer is not about gates")?;
    super::answer(&if args.json { format!("{}\n", answer.trim_end()) } else { written(&standing) })?;
    let passed = standing.state == Some(GateState::Passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl VersionArgs {
    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<String> {
        let version = self.version.to_string();
        let path = ["v1", "models", &self.model, "versions", &version];
        path.iter().chain(rest).map(|part| (*part).to_owned()).collect()
    }

    async fn approve(&self, given: bool) -> anyhow::Result<String> {
        post(&self.service, &self.path(&["gates", "approval"]), json!({ "given": given })).await
    }
}

fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for gate in load_gates(&settings.gates.directory)? {
        let description = gate.description.unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<24}{:<10}{description}", gate.name, gate.severity.name());
    }
    super::answer(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn written(standing: &Standing) -> String {
    let Standing { model, version, stage, state, report } = standing;
    let said = state.map_or("have not run", GateState::name);
    let mut text = format!("{model} version {version}, stage {stage}: gates {said}\n");
    let Some(report) = report else { return text };
    let champion = report.champion.map_or("no champion".to_owned(), |champion| format!("champion {champion}"));
    let _ = writeln!(text, "  ran {}, {champion}", report.at);
    for gate in &report.gates {
        let told = if gate.severity == Severity::Critical { "" } else { " (told only)" };
        let _ = writeln!(text, "  {:<14}{}{told}", gate.verdict.name(), gate.name);
        if let Some(detail) = &gate.detail {
            let _ = writeln!(text, "                {detail}");
        }
        if gate.verdict != GateVerdict::Passed {
            for row in &gate.sample {
                let _ = writeln!(text, "                {row}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_with_the_rows_that_failed() {
        let standing: Standing = serde_json::from_value(json!({
            "model": "m", "version": 3, "stage": "None", "state": "failed",
            "report": {"at": "2026-01-01T00:00:00Z", "champion": 2, "approval": "not_needed", "gates": [
                {"name": "better", "severity": "critical", "verdict": "failed", "rows": 1, "sample": [{"lower": -0.1}],
                    "detail": null, "sha256": ""},
                {"name": "golden", "severity": "warning", "verdict": "inconclusive", "rows": 0, "sample": [],
                    "detail": "table golden_rows has no row of this version", "sha256": ""},
            ]},
        }))
        .unwrap();
        let expected = "m version 3, stage None: gates failed
  ran 2026-01-01T00:00:00Z, champion 2
  failed        better
                {\"lower\":-0.1}
  inconclusive  golden (told only)
                table golden_rows has no row of this version
";
        assert_eq!(written(&standing), expected);
    }
}
