//! `plimsoll reference`: profiles of reference data sets.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::app::load_reference;
use crate::event::Verdict;
use crate::model::{Metric, Model, ReferenceSource};
use crate::profile::{Reference, encode};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum ReferenceCommand {
    /// Count a data set into a profile, which then serves as `reference = { file = "….profile" }`
    Build {
        /// Model of the configuration
        #[arg(long)]
        model: String,
        /// Data set to read [default: the model's reference file]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Profile to write [default: the data set's name with .profile]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(command: ReferenceCommand, settings: &Settings) -> anyhow::Result<()> {
    let ReferenceCommand::Build { model: name, file, out } = command;
    let Some(model) = settings.models.iter().find(|model| model.name == name) else {
        let known: Vec<&str> = settings.models.iter().map(|model| model.name.as_str()).collect();
        bail!("the configuration has no model '{name}'; its models are: {}", known.join(", "));
    };
    let file = match (file, &model.reference) {
        (Some(file), _) => file,
        (None, ReferenceSource::File(file)) => file.clone(),
        (None, ReferenceSource::First(_) | ReferenceSource::Registered) => {
            bail!("model '{name}' has no reference file: name one with --file")
        }
    };
    let out = out.unwrap_or_else(|| file.with_extension("profile"));
    if out == file {
        bail!("{} is a profile already", file.display());
    }
    let reference = load_reference(&file, model, settings.ingest.max_segments)?;
    let bytes = encode(&reference)?;
    std::fs::write(&out, &bytes).with_context(|| format!("{} cannot be written", out.display()))?;
    print_summary(&reference, model);
    println!("{}: {} bytes", out.display(), bytes.len());
    Ok(())
}

fn print_summary(reference: &Reference, model: &Model) {
    println!("{}: {} rows", reference.model, reference.rows);
    if let Some((first, last)) = reference.times {
        println!("from {first} to {last}");
    }
    for (column, profile) in reference.anchors.columns.iter().zip(&reference.whole.profile.columns) {
        let kind = format!("{:?}", column.values.kind()).to_lowercase();
        println!("  {:<28} {kind:<12} {:>5} bins, {} missing", column.name, column.values.bins(), profile.missing);
    }
    let Some(outcomes) = &reference.whole.outcomes else {
        println!("  no outcomes: performance cannot be judged against it ({})", Verdict::Insufficient);
        return;
    };
    let anchors = reference.outcome_anchors(model);
    for metric in Metric::of(model.task) {
        if let Some(estimate) = outcomes.estimate(metric, anchors) {
            let watched = if model.performance.tolerances.contains_key(&metric) { ", watched" } else { "" };
            println!("  {metric:<28} {:.4} [{:.4}, {:.4}]{watched}", estimate.value, estimate.lower, estimate.upper);
        }
    }
}
