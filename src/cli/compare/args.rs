//! The flags of `plimsoll compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::detector::DetectorKind;
use crate::drift::Preset;
use crate::model::{FairnessMetric, Method, Task, WindowSize};

/// Compare two data sets: drift, data quality and performance, without a broker.
///
/// The reference fixes the bins; every row of both files is counted. Ends with 0 when nothing is found, with 1 when
/// anything drifted, decayed or broke a rule, and with 2 when the files or the flags are wrong, so that it can guard a
/// pipeline.
#[derive(Args, Clone, Debug)]
#[allow(clippy::doc_markdown, reason = "help texts are for the terminal")]
pub struct CompareArgs {
    /// What is normal: Parquet (.parquet), CSV (.csv) or NDJSON (.ndjson, .jsonl)
    #[arg(long, value_name = "FILE")]
    pub reference: PathBuf,

    /// What is to be judged, in any of these formats
    #[arg(long, value_name = "FILE")]
    pub current: PathBuf,

    /// What the model does; needed for its performance
    #[arg(long, value_enum, default_value_t = TaskName::Binary)]
    pub task: TaskName,

    /// Column with the predicted label, or the predicted value of a regression
    #[arg(long, value_name = "COLUMN")]
    pub prediction: Option<String>,

    /// Column with the probability of the positive class
    #[arg(long, value_name = "COLUMN")]
    pub score: Option<String>,

    /// Columns with the probability of each class of a multiclass model: what begins with this, then the class, such as
    /// proba_
    #[arg(long, value_name = "PREFIX", requires = "target")]
    pub scores: Option<String>,

    /// Columns with what each feature contributed to the prediction, to compare how the features rank by it: what begins
    /// with this, then the feature, such as shap_
    #[arg(long, value_name = "PREFIX")]
    pub attributions: Option<String>,

    /// Column with the true label or value; where the current data have none yet, leave it empty there, and read what
    /// the metrics are estimated to be
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,

    /// The positive class of a binary model
    #[arg(long, value_name = "LABEL", default_value = "1")]
    pub positive: String,

    /// Column whose values are judged each by itself too; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub segment: Vec<String>,

    /// Column whose values are groups that the predictions must treat alike; may be repeated
    #[arg(long, value_name = "COLUMN", requires = "prediction")]
    pub protected: Vec<String>,

    /// What is tolerated between groups, such as equal_opportunity_difference=0.1; may be repeated [default:
    /// demographic_parity_ratio=0.8]
    #[arg(long, value_name = "METRIC=VALUE", value_parser = disparity, requires = "protected")]
    pub disparity: Vec<(FairnessMetric, f64)>,

    /// Column with the time of each row; for windows, and for detectors the order of the rows
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,

    /// Judge windows of this size instead of the whole file, such as 7d or 7d/1d
    #[arg(long, value_name = "SIZE", requires = "time")]
    pub window: Option<WindowSize>,

    /// Sequential detector over the rows of the current data, such as error=adwin or amount=kswin: of error, loss or a
    /// numeric column; a drift that it finds fails the data; may be repeated
    #[arg(long, value_name = "SERIES=DETECTOR", value_parser = detector)]
    pub detector: Vec<(String, DetectorKind)>,

    /// Column to leave out, such as an id; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub ignore: Vec<String>,

    /// Choose test and threshold of each column as another tool does: evidently, nannyml, sagemaker, azure or vertex
    #[arg(long, value_name = "TOOL", value_parser = preset, conflicts_with_all = ["decide", "floor"])]
    pub preset: Option<Preset>,

    /// Method that decides on drift; may be repeated [default: psi]
    #[arg(long, value_name = "METHOD", value_parser = method)]
    pub decide: Vec<Method>,

    /// Smallest effect of a deciding method that counts as drift, such as psi=0.2; may be repeated
    #[arg(long, value_name = "METHOD=VALUE", value_parser = floor)]
    pub floor: Vec<(Method, f64)>,

    /// False discovery rate over the columns
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = open_unit)]
    pub alpha: f64,

    /// Whether all features together are judged by how rows are reconstructed from the reference's principal components
    /// [default: with up to 50 features, and without a preset]
    #[arg(long, value_name = "BOOL")]
    pub reconstruction: Option<bool>,

    /// Fewer rows than this are insufficient
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub min_samples: u64,

    /// How to write the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Write the result to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TaskName {
    Binary,
    Multiclass,
    Regression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Markdown,
    Html,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Binary => Self::Binary,
            TaskName::Multiclass => Self::Multiclass,
            TaskName::Regression => Self::Regression,
        }
    }
}

fn method(text: &str) -> Result<Method, String> {
    text.parse().map_err(|()| format!("write one of {}", Method::ALL.map(Method::name).join(", ")))
}

fn preset(text: &str) -> Result<Preset, String> {
    text.parse().map_err(|()| format!("write one of {}", Preset::ALL.map(Preset::name).join(", ")))
}

fn floor(text: &str) -> Result<(Method, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write METHOD=VALUE, such as psi=0.2")?;
    let value: f64 = value.parse().map_err(|_| format!("'{value}' is no number"))?;
    if !(value > 0.0 && value.is_finite()) {
        return Err(format!("{value} must be above zero"));
    }
    Ok((method(name)?, value))
}

fn detector(text: &str) -> Result<(String, DetectorKind), String> {
    let (series, name) = text.rsplit_once('=').ok_or("write SERIES=DETECTOR, such as error=adwin")?;
    let kind =
        name.parse().map_err(|()| format!("write one of {}", DetectorKind::ALL.map(DetectorKind::name).join(", ")))?;
    Ok((series.to_owned(), kind))
}

fn disparity(text: &str) -> Result<(FairnessMetric, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write METRIC=VALUE, such as demographic_parity_ratio=0.8")?;
    let metric: FairnessMetric = name
        .parse()
        .map_err(|()| format!("write one of {}", FairnessMetric::ALL.map(FairnessMetric::name).join(", ")))?;
    Ok((metric, open_unit(value)?))
}

fn open_unit(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(format!("{value} must lie between 0 and 1")) }
}
