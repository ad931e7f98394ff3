//! The flags of `plimsoll replay`.

use std::path::PathBuf;

use clap::Args;

use super::Pace;
use crate::clock::{Span, Timestamp};
use crate::codec::files::column::parse_time;
use crate::codec::files::replay::{OutcomeChoice, ReplayOptions, Times};
use crate::model::Columns;

/// Publish a data file as events, in the order of event time.
///
/// Each row becomes a prediction event; where its outcome is known, an outcome event follows it by the delay. Columns
/// that are no id, time, prediction, outcome or version and are not ignored are features. Values stay what they are;
/// infinite numbers, which JSON has not, are sent as null. A file that is not in the order of time is sorted in memory,
/// up to 1 GiB.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Parquet (.parquet), CSV (.csv) or NDJSON (.ndjson, .jsonl), one row per prediction
    pub file: PathBuf,

    /// The model of the configuration that made the predictions
    #[arg(long, short)]
    pub model: String,

    /// A second file with the ids of the predictions and their outcomes
    #[arg(long, value_name = "FILE", conflicts_with = "no_outcomes")]
    pub outcomes: Option<PathBuf>,

    /// How long after its prediction an outcome is known, in event time, such as 14d
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub outcome_delay: Span,

    /// Publish no outcomes, even if the file has them
    #[arg(long)]
    pub no_outcomes: bool,

    /// Version to stamp on the predictions, instead of the file's
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,

    /// Variant to stamp on the predictions
    #[arg(long)]
    pub variant: Option<String>,

    /// Seconds of event time per second: 1 is real time, 86400 a day per second [default: as fast as possible]
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub speed: Option<f64>,

    /// Publish only the first predictions, with their outcomes
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Publish only events (outcomes too, by their own time) at this time or later, such as 2019-03-31T03:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,

    /// Publish only events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,

    /// Time of the first row, instead of a time column
    #[arg(long, value_name = "TIME", value_parser = time, requires = "interval")]
    pub start: Option<Timestamp>,

    /// Time between two rows, with --start
    #[arg(long, value_name = "SPAN", requires = "start")]
    pub interval: Option<Span>,

    /// Column with the ids [default: the model's columns.id]
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,

    /// Column with the times of the predictions [default: the model's columns.time]
    #[arg(long, value_name = "COLUMN")]
    pub time_column: Option<String>,

    /// Column with the predicted labels [default: the model's columns.label]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,

    /// Column with the predicted scores [default: the model's columns.score]
    #[arg(long, value_name = "COLUMN")]
    pub score_column: Option<String>,

    /// Column with the true labels [default: the model's columns.outcome]
    #[arg(long, value_name = "COLUMN", conflicts_with = "no_outcomes")]
    pub outcome_column: Option<String>,

    /// Column with the model's version [default: the model's columns.version]
    #[arg(long, value_name = "COLUMN")]
    pub version_column: Option<String>,

    /// Column that is no feature, beside the model's columns.ignore; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub ignore_column: Vec<String>,

    /// Show neither progress nor counts
    #[arg(long, short)]
    pub quiet: bool,
}

impl ReplayArgs {
    /// The model's columns as the flags override them.
    pub(super) fn columns(&self, configured: &Columns) -> Columns {
        let or = |flag: &Option<String>, name: &String| flag.clone().unwrap_or_else(|| name.clone());
        Columns {
            id: or(&self.id_column, &configured.id),
            time: or(&self.time_column, &configured.time),
            label: or(&self.label_column, &configured.label),
            score: or(&self.score_column, &configured.score),
            outcome: or(&self.outcome_column, &configured.outcome),
            version: self.version_column.clone().or_else(|| configured.version.clone()),
            scores: configured.scores.clone(),
            attributions: configured.attributions.clone(),
            ignore: configured.ignore.iter().chain(&self.ignore_column).cloned().collect(),
        }
    }

    pub(super) fn options(&self) -> ReplayOptions {
        ReplayOptions {
            times: match (self.start, self.interval) {
                (Some(start), Some(interval)) => Times::Spread { start, interval },
                _ => Times::Column,
            },
            version: self.version.clone(),
            variant: self.variant.clone(),
            outcomes: match (self.no_outcomes, &self.outcome_column) {
                (true, _) => OutcomeChoice::None,
                (false, Some(_)) => OutcomeChoice::Required,
                (false, None) => OutcomeChoice::IfPresent,
            },
            outcome_delay: self.outcome_delay,
            limit: self.limit,
            from: self.from,
            to: self.to,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.speed.map_or(Pace::AsFastAsPossible, Pace::Speed)
    }

    pub(super) fn replays_the_whole_file(&self) -> bool {
        self.limit.is_none() && self.from.is_none() && self.to.is_none()
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor.is_finite() => Ok(factor),
        _ => Err("write a number above zero: 1 is real time, 86400 a day per second".to_owned()),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).ok_or_else(|| "write RFC 3339 such as 2018-10-30T18:00:00Z".to_owned())
}
