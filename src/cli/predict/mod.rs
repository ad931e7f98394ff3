//! `plimsoll predict`: a model's answers to every row of a file.

mod model;
mod output;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow::array::{Array, RecordBatch};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::ask::Service;
use crate::codec::files::DataFile;
use crate::codec::files::column::{as_numeric, as_text};
use crate::onnx::{DataType, LIBRARY_VARIABLE, Library, Limits, Runtime};
use crate::serve::{Column, Feature, Identity, InputError, Served};

use output::Output;

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// Name of a registered model of a running service: its version with the alias champion, else the newest in Production
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    model: Option<String>,
    /// Another version of it
    #[arg(long, value_name = "NUMBER", requires = "model")]
    version: Option<u32>,
    /// An ONNX file instead
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    file: Option<PathBuf>,
    /// Names of the features of a matrix in order, where the model does not tell them
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    features: Vec<String>,
    /// Rows to answer: .parquet, .csv or .ndjson
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where they go with their predictions: .parquet, .csv or .ndjson
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The shared library of ONNX Runtime [default: as the environment says, then where the system finds it]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Threads of the model
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    threads: usize,
    #[command(flatten)]
    service: Service,
}

/// What became of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    pub(super) rows: u64,
    /// Rows whose output is no number.
    pub(super) unanswered: u64,
    pub(super) taken: Duration,
}

/// Rows of a batch.
const BATCH: usize = 16_384;
/// Nobody waits for a single batch.
const BATCH_WITHIN: Duration = Duration::from_mins(10);

pub(super) async fn run(args: PredictArgs) -> anyhow::Result<()> {
    let library = Library::locate(args.onnxruntime.clone(), std::env::var_os(LIBRARY_VARIABLE));
    let runtime = Runtime::load(&library)?;
    let mut package = match (&args.file, &args.model) {
        (Some(file), _) => model::of_file(file)?,
        (None, Some(name)) => model::of_registry(&args.service, name, args.version).await?,
        (None, None) => bail!("name a model with --model or --file"),
    };
    if !args.features.is_empty() {
        package.1.columns = model::named(&args.features);
    }
    let (identity, package) = package;
    let limits = Limits { sessions: 1, threads: args.threads };
    let served = tokio::task::spawn_blocking(move || {
        Served::load(&runtime, identity, &package, limits, Instant::now() + BATCH_WITHIN)
    });
    let served = served.await?.context("the model cannot be used")?;
    let which = match &served.identity {
        Identity { model, version: 0 } => model.clone(),
        Identity { model, version } => format!("{model} version {version}"),
    };
    let (input, output) = (args.input, args.output.clone());
    let totals = tokio::task::spawn_blocking(move || answer_file(&served, &input, &output)).await??;
    let Totals { rows, unanswered, taken } = totals;
    let rate = rows as f64 / taken.as_secs_f64().max(1e-9);
    super::answer(&format!("{rows} rows answered by {which}, {rate:.0} rows/s: {}\n", args.output.display()))?;
    if unanswered > 0 {
        eprintln!("plimsoll: {unanswered} rows have no prediction, since the model's output is no number");
    }
    Ok(())
}

/// Answers every row of a file into another.
pub(super) fn answer_file(served: &Served, input: &Path, output: &Path) -> anyhow::Result<Totals> {
    let texts: Vec<&str> = served
        .layout()
        .features()
        .filter(|feature| feature.datatype == DataType::Bytes)
        .map(|feature| feature.name.as_str())
        .collect();
    let file = DataFile::open(input)?.with_text_columns(&texts);
    refuse_missing(served, &file)?;
    let bar = progress(file.rows());
    let begun = Instant::now();
    let (mut rows, mut unanswered) = (0_u64, 0_u64);
    let mut writer: Option<Output> = None;
    for batch in file.batches(BATCH)? {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        let answered = answer(served, &batch).with_context(|| format!("rows from {} on", rows + 1))?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(Output::create(output, &batch.schema(), &answered)?),
        };
        unanswered += writer.write(&batch, &answered)?;
        rows += batch.num_rows() as u64;
        bar.inc(batch.num_rows() as u64);
    }
    let Some(writer) = writer else { bail!("{} has no rows", input.display()) };
    writer.finish()?;
    bar.finish_and_clear();
    Ok(Totals { rows, unanswered, taken: begun.elapsed() })
}

type Answers = Vec<Result<crate::serve::Prediction, String>>;

fn answer(served: &Served, batch: &RecordBatch) -> anyhow::Result<Answers> {
    let tensors = served.layout().of_columns(batch.num_rows(), |feature| column(batch, feature))?;
    let outputs = served.run(&tensors, Instant::now() + BATCH_WITHIN)?;
    Ok(served.predictions(&outputs, batch.num_rows()))
}

fn column(batch: &RecordBatch, feature: &Feature) -> Result<Column, InputError> {
    let wrong = |reason: String| InputError::Value { feature: feature.name.clone(), reason };
    let values = batch.column_by_name(&feature.name).ok_or_else(|| wrong("is no column of the file".to_owned()))?;
    if feature.datatype == DataType::Bytes {
        let texts = as_text(values).map_err(|error| wrong(error.to_string()))?;
        return Ok(Column::Texts(texts.iter().map(|text| text.map(str::to_owned)).collect()));
    }
    let numbers = as_numeric(values).map_err(|error| wrong(error.to_string()))?;
    if numbers.null_count() == 0 {
        return Ok(Column::Numbers(numbers.values().iter().copied().map(Some).collect()));
    }
    Ok(Column::Numbers(numbers.iter().collect()))
}

/// Tells all that is missing at once.
fn refuse_missing(served: &Served, file: &DataFile) -> anyhow::Result<()> {
    let has = |feature: &&Feature| file.schema().column_with_name(&feature.name).is_none();
    let missing: Vec<&str> = served.layout().features().filter(has).map(|feature| feature.name.as_str()).collect();
    if !missing.is_empty() {
        bail!("{} lacks columns that the model takes: {}", file.name(), missing.join(", "));
    }
    Ok(())
}

fn progress(rows: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match rows {
        Some(rows) => (ProgressBar::new(rows), "{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} rows, {per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
