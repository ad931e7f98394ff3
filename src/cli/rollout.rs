//! `plimsoll rollout`: how a new version takes over.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ask::{Service, get, post};
use crate::clock::Span;
use crate::event::{Rollout, RolloutAnalysis, RolloutComparison, RolloutState};

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it lives as long as the program")]
pub enum RolloutCommand {
    /// Let a version take over step by step, in the place of the one that answers
    Start(StartArgs),
    /// Show how far the newest rollout of a model is, and what the windows say; exits with 1 after a rollback
    Status(StatusArgs),
    /// Stay in this step; a version that fails is rolled back all the same
    Pause(OrderArgs),
    /// Go on after a pause
    Resume(OrderArgs),
    /// Put the new version in the old one's place at once, whatever the verdict
    Promote(OrderArgs),
    /// Leave the old version in its place
    Abort(OrderArgs),
}

#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// Name of the registered model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Number of the new version
    #[arg(long)]
    pub version: u32,
    /// First let it answer unseen for this long, such as 10m
    #[arg(long, value_name = "BAKE")]
    pub shadow: Option<Span>,
    /// Percentage of the requests that it answers unseen
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, requires = "shadow")]
    pub shadow_weight: f64,
    /// Percentages of the requests that it answers, step by step, such as 5,25,50,100
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', conflicts_with = "ab")]
    pub canary: Vec<f64>,
    /// Let both answer in a fixed proportion, until somebody decides
    #[arg(long, value_name = "PERCENT", conflicts_with = "shadow")]
    pub ab: Option<f64>,
    /// How long each canary step lasts at least
    #[arg(long, default_value = "10m")]
    pub bake: Span,
    /// Predictions of either version without which there is no verdict
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub minimum_samples: u64,
    /// Canary steps after which it waits for `resume`, by their percentages
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    pub pause_after: Vec<f64>,
    /// How long beyond its bake time a step may be without a verdict before it is paused [default: 1h]
    #[arg(long)]
    pub patience: Option<Span>,
    /// How long after a rollback the version cannot be rolled out again [default: 1h]
    #[arg(long)]
    pub cool_down: Option<Span>,
    /// Divides the keys of requests in another way; the same salt divides them alike [default: the rollout's id]
    #[arg(long)]
    pub salt: Option<String>,
    /// Largest difference of the shares of errors [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    pub error_rate_increase: Option<f64>,
    /// Largest new p95 latency, by the old one [default: 1.5]
    #[arg(long, value_name = "RATIO")]
    pub latency_ratio: Option<f64>,
    /// Difference of the p95 latency that never matters, in milliseconds [default: 5]
    #[arg(long, value_name = "MS")]
    pub latency_floor_ms: Option<f64>,
    /// Largest PSI between the predictions of both versions, or off [default: 0.25]
    #[arg(long, value_name = "PSI", value_parser = number_or_off)]
    pub prediction_psi: Option<Psi>,
    /// Largest loss of accuracy, or growth of the mean absolute error as a share [default: 0.02]
    #[arg(long, value_name = "DROP")]
    pub metric_drop: Option<f64>,
    /// Outcomes of either version without which no step passes [default: none are asked for]
    #[arg(long, value_name = "N")]
    pub minimum_labels: Option<u64>,
    /// Why, for the audit
    #[arg(long, default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub service: Service,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Name of the registered model
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    pub service: Service,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub struct OrderArgs {
    /// Name of the registered model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Why, for the audit
    #[arg(long, default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub service: Service,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// A number, or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Psi(Option<f64>);

#[derive(Deserialize)]
struct Standing {
    rollout: Rollout,
    analysis: Option<RolloutAnalysis>,
    #[serde(default)]
    warnings: Vec<String>,
}

pub async fn run(command: RolloutCommand) -> anyhow::Result<ExitCode> {
    let (answer, format) = match command {
        RolloutCommand::Start(args) => (post(&args.service, &["v1", "rollouts"], body(&args)?).await?, args.format),
        RolloutCommand::Status(args) => (get(&args.service, &["v1", "rollouts", &args.model]).await?, args.format),
        RolloutCommand::Pause(args) => (args.order("pause").await?, args.format),
        RolloutCommand::Resume(args) => (args.order("resume").await?, args.format),
        RolloutCommand::Promote(args) => (args.order("promote").await?, args.format),
        RolloutCommand::Abort(args) => (args.order("abort").await?, args.format),
    };
    let standing: Standing = serde_json::from_str(&answer).context("the answer is not about a rollout")?;
    match format {
        Format::Json => super::answer(&format!("{}\n", answer.trim_end()))?,
        Format::Text => super::answer(&written(&standing))?,
    }
    let is_rolled_back = standing.rollout.state == RolloutState::RolledBack;
    Ok(if is_rolled_back { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl OrderArgs {
    async fn order(&self, order: &str) -> anyhow::Result<String> {
        post(&self.service, &["v1", "rollouts", &self.model, order], json!({ "reason": self.reason })).await
    }
}

fn number_or_off(text: &str) -> Result<Psi, String> {
    if text == "off" {
        return Ok(Psi(None));
    }
    text.parse().map(|number| Psi(Some(number))).map_err(|_| "write a number or off".to_owned())
}

/// The request, with the service's defaults left to the service.
fn body(args: &StartArgs) -> anyhow::Result<Value> {
    let mut steps = Vec::new();
    let samples = args.minimum_samples;
    if let Some(bake) = args.shadow {
        steps.push(json!({ "mode": "shadow", "weight": args.shadow_weight, "bake": bake, "minimum_samples": samples }));
    }
    if let Some(weight) = args.ab {
        steps.push(json!({ "mode": "ab", "weight": weight, "bake": args.bake, "minimum_samples": samples }));
    }
    for weight in &args.canary {
        let pause = args.pause_after.contains(weight);
        let step = json!({ "mode": "canary", "weight": weight, "bake": args.bake, "minimum_samples": samples, "pause": pause });
        steps.push(step);
    }
    if steps.is_empty() {
        anyhow::bail!("write --canary 5,25,50,100, --shadow 10m, both, or --ab 50");
    }
    if let Some(lost) = args.pause_after.iter().find(|weight| !args.canary.contains(weight)) {
        anyhow::bail!("--pause-after {lost}: --canary has no step of {lost} %");
    }
    let mut criteria = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            criteria.insert(name.to_owned(), value);
        }
    };
    put("error_rate_increase", args.error_rate_increase.map(Value::from));
    put("latency_ratio", args.latency_ratio.map(Value::from));
    put("latency_floor_ms", args.latency_floor_ms.map(Value::from));
    put("prediction_psi", args.prediction_psi.map(|psi| psi.0.into()));
    put("metric_drop", args.metric_drop.map(Value::from));
    put("minimum_labels", args.minimum_labels.map(Value::from));
    let mut body = json!({
        "model": args.model, "version": args.version, "reason": args.reason, "steps": steps, "criteria": criteria,
    });
    if let Some(salt) = &args.salt {
        body["salt"] = json!(salt);
    }
    for (name, span) in [("patience", args.patience), ("cool_down", args.cool_down)] {
        if let Some(span) = span {
            body[name] = json!(span);
        }
    }
    Ok(body)
}

fn written(standing: &Standing) -> String {
    let Standing { rollout, analysis, warnings } = standing;
    let Rollout { model, baseline, candidate, state, reason, .. } = rollout;
    let mut text = format!("{model}: version {baseline} → {candidate}, {}", state.name());
    if !reason.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {reason}");
    }
    text.push('\n');
    for (number, step) in rollout.plan.steps.iter().enumerate() {
        let (mode, weight, bake) = (step.mode.name(), step.weight, step.bake.to_string());
        let since = rollout.step_since;
        let mark = match number.cmp(&rollout.step) {
            std::cmp::Ordering::Less => "passed".to_owned(),
            std::cmp::Ordering::Equal if rollout.is_under_way() => format!("since {since}"),
            std::cmp::Ordering::Equal if *state == RolloutState::Promoted => "promoted".to_owned(),
            std::cmp::Ordering::Equal => "ended here".to_owned(),
            std::cmp::Ordering::Greater => String::new(),
        };
        let line = format!("  step {number}  {mode:<7}{weight:>5} %  bake {bake:<5} {mark}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if let Some(until) = rollout.cool_down_until {
        let _ = writeln!(text, "  cools down until {until}");
    }
    if let Some(analysis) = analysis {
        let RolloutAnalysis { verdict, looks, n_baseline, n_candidate, comparisons, .. } = analysis;
        let _ = writeln!(
            text,
            "  verdict {}: {looks} windows, {n_baseline} predictions of version {baseline}, {n_candidate} of {candidate}",
            verdict.name()
        );
        comparisons.iter().for_each(|row| push_comparison(&mut text, row));
    }
    warnings.iter().for_each(|warning| {
        let _ = writeln!(text, "  warning: {warning}");
    });
    text
}

fn push_comparison(text: &mut String, row: &RolloutComparison) {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let line = format!(
        "    {:<13}{:<17}{} → {}, effect {} of {}, p {} {}",
        row.verdict.name(),
        row.metric,
        number(row.baseline),
        number(row.candidate),
        number(row.effect),
        number(row.threshold),
        number(row.p_value),
        row.detail.as_ref().map(|detail| format!("({detail})")).unwrap_or_default(),
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::event::RolloutPlan;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: RolloutCommand,
    }

    fn start(line: &str) -> anyhow::Result<Value> {
        let line = Line::try_parse_from(std::iter::once("rollout").chain(line.split(' ')))?;
        match line.command {
            RolloutCommand::Start(args) => body(&args),
            _ => anyhow::bail!("not a start"),
        }
    }

    #[test]
    fn a_line_becomes_a_plan_that_the_service_takes() {
        let line = "start m --version 3 --shadow 1m --canary 5,25,100 --bake 10s --minimum-samples 50 --pause-after 25 \
                    --prediction-psi off --cool-down 2h --salt s";
        let mut body = start(line).unwrap();
        assert_eq!((&body["model"], &body["version"]), (&json!("m"), &json!(3)));
        let object = body.as_object_mut().unwrap();
        ["model", "version", "reason"].map(|key| object.remove(key).unwrap());
        let plan: RolloutPlan = serde_json::from_value(body).unwrap();
        assert_eq!(plan.check(), Ok(()));
        let steps: Vec<_> = plan.steps.iter().map(|step| (step.mode.name(), step.weight, step.pause)).collect();
        let wanted =
            [("shadow", 100.0, false), ("canary", 5.0, false), ("canary", 25.0, true), ("canary", 100.0, false)];
        assert_eq!(steps, wanted);
        assert_eq!((plan.steps[0].bake, plan.steps[1].bake), (Span::from_mins(1), Span::from_secs(10)));
        assert_eq!(
            (plan.criteria.prediction_psi, plan.cool_down, plan.salt.as_str()),
            (None, Span::from_hours(2), "s")
        );
    }

    #[test]
    fn a_line_that_is_no_plan_says_what_to_write() {
        let said = |line: &str| start(line).unwrap_err().to_string();
        assert!(said("start m --version 3").contains("--canary 5,25,50,100"));
        assert!(said("start m --version 3 --canary 5 --pause-after 6").contains("no step of 6 %"));
        assert!(said("start m --version 3 --canary 5 --ab 6").contains("cannot be used with"));
        assert!(said("start m --version 3 --ab 6 --prediction-psi no").contains("a number or off"));
    }

    #[test]
    fn a_status_tells_steps_verdict_and_warnings_line_by_line() {
        let standing = json!({
            "rollout": {
                "id": "r", "model": "m", "baseline": 1, "candidate": 2, "state": "running", "step": 1,
                "step_since": "2026-01-01T00:00:00Z", "resumed_at": null, "pause_made": false,
                "started_at": "2026-01-01T00:00:00Z", "started_by": "ada", "ended_at": null, "reason": "step 0 has passed",
                "analysis": null, "cool_down_until": null, "number": 1, "revision": 2,
                "plan": {"steps": [{"mode": "shadow", "weight": 100}, {"mode": "canary", "weight": 5, "bake": "10s"},
                    {"mode": "canary", "weight": 100, "bake": "10s"}]},
            },
            "analysis": {
                "verdict": "inconclusive", "from": "2026-01-01T00:00:00Z", "to": null, "looks": 1, "n_baseline": 190,
                "n_candidate": 10, "comparisons": [{
                    "metric": "error_rate", "baseline": 0.0, "candidate": 0.1, "effect": 0.1, "threshold": 0.01,
                    "p_value": 0.05, "level": 0.001, "n_baseline": 190, "n_candidate": 10, "verdict": "inconclusive",
                    "is_required": true, "detail": "too few",
                }],
            },
            "warnings": ["nobody asks"],
        });
        let expected = "m: version 1 → 2, running: step 0 has passed
  step 0  shadow   100 %  bake 10m   passed
  step 1  canary     5 %  bake 10s   since 2026-01-01T00:00:00Z
  step 2  canary   100 %  bake 10s
  verdict inconclusive: 1 windows, 190 predictions of version 1, 10 of 2
    inconclusive error_rate       0.0000 → 0.1000, effect 0.1000 of 0.0100, p 0.0500 (too few)
  warning: nobody asks
";
        assert_eq!(written(&serde_json::from_value(standing).unwrap()), expected);
    }
}
