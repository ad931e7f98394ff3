//! `plimsoll compare`: two data sets, as a gate for pipelines.

mod args;
mod detect;
mod expected;
mod fairness;
mod json;
mod layout;
mod loaded;
mod performance;
mod preset;
mod print;
mod read;
mod report;
mod root_cause;
mod table;
mod together;

use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

pub use args::CompareArgs;
use args::Format;
use layout::Layout;
use report::{Comparison, Policies};

use crate::codec::files::DataFile;
use crate::model::{DriftPolicy, QualityPolicy, Task};

/// The current data must not pass.
const FOUND: u8 = 1;

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let comparison = compare(args)?;
    let text = match args.format {
        Format::Text => print::text(&comparison),
        Format::Json => json::write(&comparison),
        Format::Markdown => print::markdown(&comparison),
        Format::Html => print::page(&comparison),
    };
    match &args.out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?,
        None => super::answer(&text)?,
    }
    Ok(if comparison.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn compare(args: &CompareArgs) -> anyhow::Result<Comparison> {
    let is_regression = Task::from(args.task) == Task::Regression;
    let labels = args.prediction.iter().chain(&args.target).filter(|_| !is_regression);
    let texts: Vec<&str> = args.segment.iter().chain(&args.protected).chain(labels).map(String::as_str).collect();
    let reference = DataFile::open(&args.reference)?.with_text_columns(&texts);
    let current = DataFile::open(&args.current)?.with_text_columns(&texts);
    let layout = Layout::resolve(args, &reference, &current)?;

    let bar = progress(args, layout.compared.len() as u64, "columns of the reference");
    let side = read::read_reference(&reference, &layout, &bar)?;
    bar.finish_and_clear();
    let bar = progress(args, current.rows().unwrap_or_default(), "rows of the current data");
    let found = read::read_current(&current, &layout, args.window, &side, &bar)?;
    bar.finish_and_clear();
    let mut performance = performance::judge(args, &layout, (&reference, &current), &side)?;
    let mut fairness = fairness::judge(args, &layout, &current)?;
    let detections = detect::detect(args, &layout, &reference, &current)?;

    let policies = Policies {
        drift: DriftPolicy {
            decide: if args.decide.is_empty() { DriftPolicy::default().decide } else { args.decide.clone() },
            floors: args.floor.iter().copied().collect(),
            alpha: args.alpha,
            min_samples: args.min_samples,
            ..DriftPolicy::default()
        },
        preset: args.preset,
        quality: QualityPolicy { alpha: args.alpha, min_samples: args.min_samples, ..QualityPolicy::default() },
    };
    // The components are fitted on the reference, then its rows and the current ones are measured by them.
    let bar = progress(args, 2 * side.rows + found.rows, "rows of all features together");
    let mut together = together::judge(args, &policies.drift, &layout, (&reference, &current), &side, &bar)?;
    bar.finish_and_clear();
    let beside = report::Beside { performance: &mut performance, fairness: &mut fairness, together: &mut together };
    let parts = report::judge(&layout, &policies, &side, &found, beside);
    Ok(Comparison {
        reference: reference.name().to_owned(),
        current: current.name().to_owned(),
        n_reference: side.rows,
        n_current: found.rows,
        window: args.window,
        verdict: report::worst(parts.iter().map(|part| part.verdict).chain(report::of_detections(&detections))),
        parts,
        detections,
    })
}

fn progress(args: &CompareArgs, length: u64, what: &'static str) -> ProgressBar {
    if args.quiet || length == 0 {
        return ProgressBar::hidden();
    }
    // Draws on standard error, and nothing at all where that is no terminal.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}");
    let bar = ProgressBar::new(length).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
