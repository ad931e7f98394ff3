//! How fast statistics are counted, merged and computed, beside the budgets that they have to keep.
//!
//!     cargo bench --bench statistics [-- --numpy PYTHON]
//!
//! Every figure is that of the fastest of many rounds of about a millisecond, on one thread: what else the machine does
//! makes a round slower, never faster. With `--numpy` the same column is counted by NumPy's `searchsorted` and `bincount`
//! in the same run, and both must find the same counts. Ends with 1 when a budget is not kept.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow::array::{Float64Array, StringArray};
use plimsoll::detector::{DetectorKind, DetectorSettings, SplitMix64};
use plimsoll::drift::{contributions, judge};
use plimsoll::model::{DriftPolicy, Method, QualityPolicy};
use plimsoll::profile::{
    Anchors, CategoryAnchors, ColumnAnchors, ColumnProfile, NumericAnchors, Profile, Rows, ValueAnchors, Values, encode,
};
use plimsoll::quality;

/// Rows of a column that is counted again and again.
const ROWS: usize = 65_536;
/// Rows from which the bins are made.
const REFERENCE_ROWS: usize = 100_000;
/// Columns of the profiles: so many numbers and so many categories.
const NUMERIC: usize = 15;
const CATEGORICAL: usize = 5;
/// How long each figure is measured in a pass.
const PATIENCE: Duration = Duration::from_millis(200);
const ROUNDS: u32 = 20;
/// Passes over all figures, seconds apart: a machine that is shared may be slow for as long as one takes.
const PASSES: usize = 5;

/// A figure beside its budget.
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    budget: Option<Budget>,
}

#[derive(Clone, Copy)]
enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

impl Budget {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Line {
    fn keep_better(&mut self, value: f64) {
        self.value = if self.unit.ends_with("/s") { self.value.max(value) } else { self.value.min(value) };
    }
}

/// Seconds of the fastest round.
fn fastest(mut round: impl FnMut()) -> f64 {
    let (start, mut best, mut rounds) = (Instant::now(), f64::INFINITY, 0);
    while rounds < ROUNDS || start.elapsed() < PATIENCE {
        let begun = Instant::now();
        round();
        best = best.min(begun.elapsed().as_secs_f64());
        rounds += 1;
    }
    best
}

fn normal(random: &mut SplitMix64) -> f64 {
    (0..12).map(|_| random.next_uniform()).sum::<f64>() - 6.0
}

fn draw(random: &mut SplitMix64, kind: &str) -> f64 {
    match kind {
        "normal" => normal(random),
        "lognormal" => normal(random).exp(),
        "half zeros" if random.next_uniform() < 0.5 => 0.0,
        "uniform" | "half zeros" => random.next_uniform(),
        _ => (normal(random) * 20.0).round(),
    }
}

fn profile_updates() -> Vec<Line> {
    let everybody: Vec<usize> = (0..ROWS).collect();
    let mut lines = Vec::new();
    for kind in ["normal", "lognormal", "uniform", "half zeros", "integers"] {
        let mut random = SplitMix64::new(1);
        let anchors = NumericAnchors::fit((0..REFERENCE_ROWS).map(|_| draw(&mut random, kind)));
        let bins = anchors.edges().len() + 1;
        let anchors = ValueAnchors::Numeric(anchors);
        let column = Float64Array::from_iter_values((0..ROWS).map(|_| draw(&mut random, kind)));
        let mut profile = ColumnProfile::empty(&anchors);
        let seconds = fastest(|| profile.count(&anchors, &Values::numeric(black_box(&column)), &everybody));
        // The budget is that of 500 bins; fewer make less work.
        let budget = (bins == 500).then_some(Budget::AtLeast(200.0));
        let what = format!("profile update, {kind} ({bins} bins)");
        lines.push(Line { what, value: ROWS as f64 / seconds / 1e6, unit: "M cells/s", budget });
        if kind == "normal" {
            let with_nulls: Float64Array = column.iter().enumerate().map(|(i, x)| x.filter(|_| i % 10 > 0)).collect();
            let seconds = fastest(|| profile.count(&anchors, &Values::numeric(black_box(&with_nulls)), &everybody));
            let what = "profile update, a tenth missing".to_owned();
            lines.push(Line { what, value: ROWS as f64 / seconds / 1e6, unit: "M cells/s", budget: None });
        }
    }
    lines
}

/// NumPy's speed on the normal column, after its counts have been compared with ours.
fn numpy(python: &str) -> anyhow::Result<Line> {
    let mut random = SplitMix64::new(1);
    let anchors = NumericAnchors::fit((0..REFERENCE_ROWS).map(|_| draw(&mut random, "normal")));
    let column: Vec<f64> = (0..ROWS).map(|_| draw(&mut random, "normal")).collect();
    let folder = tempfile::tempdir()?;
    let (edges_file, column_file) = (folder.path().join("edges"), folder.path().join("column"));
    write(&edges_file, anchors.edges())?;
    write(&column_file, &column)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/histogram.py");
    let output = Command::new(python).arg(script).arg(edges_file).arg(column_file).arg("200").output()?;
    if !output.status.success() {
        bail!("{python} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let (seconds, counts) = text.split_once('\n').context("NumPy said nothing")?;
    let counts: Vec<u64> = counts.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let values = ValueAnchors::Numeric(anchors);
    let mut profile = ColumnProfile::empty(&values);
    let everybody: Vec<usize> = (0..ROWS).collect();
    profile.count(&values, &Values::numeric(&Float64Array::from(column)), &everybody);
    if profile.bins != counts {
        bail!("NumPy counts the same column differently");
    }
    let value = ROWS as f64 / seconds.parse::<f64>()? / 1e6;
    let what = "numpy searchsorted + bincount, normal (same counts)".to_owned();
    Ok(Line { what, value, unit: "M cells/s", budget: None })
}

fn write(path: &Path, values: &[f64]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(std::fs::File::create(path)?.write_all(&bytes)?)
}

/// Anchors of 20 columns, and a profile of so many rows from the seed.
struct Model {
    anchors: Anchors,
}

impl Model {
    fn new() -> Self {
        let mut random = SplitMix64::new(2);
        let numeric = |index: usize| {
            let values = (0..REFERENCE_ROWS).map(|_| normal(&mut random)).collect::<Vec<_>>();
            (format!("x{index:02}"), ValueAnchors::Numeric(NumericAnchors::fit(values)))
        };
        let mut columns: Vec<(String, ValueAnchors)> = (0..NUMERIC).map(numeric).collect();
        for index in 0..CATEGORICAL {
            let names: Vec<String> = (0..20 * (index + 1)).map(|class| format!("class {class}")).collect();
            let values = ValueAnchors::Categorical(CategoryAnchors::fit(names.iter().map(String::as_str)));
            columns.push((format!("k{index:02}"), values));
        }
        let columns = columns.into_iter().map(|(name, values)| ColumnAnchors { name, values }).collect();
        Self { anchors: Anchors { columns, ..Anchors::default() } }
    }

    fn profile(&self, rows: usize, seed: u64, shift: f64) -> Profile {
        let mut random = SplitMix64::new(seed);
        let numbers: Vec<Float64Array> = (0..NUMERIC)
            .map(|_| Float64Array::from_iter_values((0..rows).map(|_| normal(&mut random) + shift)))
            .collect();
        let mut class = |classes: u32| format!("class {}", random.next_below(classes));
        let texts: Vec<StringArray> = (0..CATEGORICAL)
            .map(|index| (0..rows).map(|_| Some(class(20 * (u32::try_from(index).unwrap_or(0) + 1)))).collect())
            .collect();
        let values = numbers.iter().map(Values::numeric).chain(texts.iter().map(Values::categorical)).collect();
        let mut profile = Profile::empty(&self.anchors);
        let everybody: Vec<usize> = (0..rows).collect();
        profile.count(&self.anchors, &Rows::new(values, None, None), &everybody);
        profile
    }
}

fn profiles() -> anyhow::Result<Vec<Line>> {
    let model = Model::new();
    let (reference, current) = (model.profile(REFERENCE_ROWS, 3, 0.0), model.profile(10_000, 4, 0.1));
    let mut merged = reference.clone();
    let merge = fastest(|| (0..50).for_each(|_| black_box(&mut merged).merge(black_box(&current)))) / 50.0;
    let (drift, rules) = (DriftPolicy::default(), QualityPolicy::default());
    let specs = BTreeMap::new();
    let statistics = fastest(|| {
        black_box(judge(&drift, &model.anchors, &reference, black_box(&current)));
        black_box(quality::judge(&rules, &specs, &model.anchors, &reference, black_box(&current)));
        let sides = model.anchors.columns.iter().zip(&reference.columns).zip(&current.columns);
        for ((anchors, reference), current) in sides {
            black_box(contributions(Method::Psi, &anchors.values, reference, current));
        }
    });
    let day = model.profile(1_000_000, 5, 0.0);
    let line =
        |what: &str, value, unit, most| Line { what: what.to_owned(), value, unit, budget: Some(Budget::AtMost(most)) };
    Ok(vec![
        line("merge of two profiles of 20 features", merge * 1e6, "µs", 20.0),
        line("all statistics of a window of 20 features", statistics * 1e3, "ms", 1.0),
        line("encoded profile of 20 features, 10,000 rows", encode(&current)?.len() as f64 / 1e3, "KB", 40.0),
        line("encoded profile of 20 features, 1,000,000 rows", encode(&day)?.len() as f64 / 1e3, "KB", 40.0),
    ])
}

/// A long series without a change and one that changes every 2,000 values.
fn detectors() -> anyhow::Result<Vec<Line>> {
    const LENGTH: usize = 20_000;
    let mut lines = Vec::new();
    for kind in DetectorKind::ALL {
        for (series, every) in [("no change", usize::MAX), ("changes", 2_000)] {
            let mut random = SplitMix64::new(6);
            let values: Vec<f64> = (0..LENGTH)
                .map(|row| {
                    let share = if row / every % 2 == 0 { 0.2 } else { 0.5 };
                    let uniform = random.next_uniform();
                    match kind {
                        DetectorKind::Kswin | DetectorKind::Cusum => uniform + share,
                        _ => f64::from(u8::from(uniform < share)),
                    }
                })
                .collect();
            let mut detector = DetectorSettings::from(kind).build()?;
            let mut signals = 0_u64;
            let seconds = fastest(|| {
                for value in black_box(&values) {
                    signals += detector.update(*value) as u64;
                }
            });
            black_box(signals);
            let budget = match kind {
                DetectorKind::Adwin => Some(Budget::AtLeast(6.0)),
                DetectorKind::Kswin => Some(Budget::AtLeast(0.2)),
                _ => None,
            };
            let what = format!("{kind}, {series}");
            lines.push(Line { what, value: LENGTH as f64 / seconds / 1e6, unit: "M updates/s", budget });
        }
    }
    Ok(lines)
}

fn measured(python: Option<&String>) -> anyhow::Result<Vec<Line>> {
    let mut lines = profile_updates();
    if let Some(python) = python {
        lines.push(numpy(python)?);
    }
    lines.extend(profiles()?);
    lines.extend(detectors()?);
    Ok(lines)
}

#[allow(clippy::print_stdout, reason = "its purpose is the table")]
fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let python = arguments.iter().position(|argument| argument == "--numpy").and_then(|at| arguments.get(at + 1));
    let mut lines = measured(python)?;
    for _ in 1..PASSES {
        for (line, again) in lines.iter_mut().zip(measured(python)?) {
            line.keep_better(again.value);
        }
    }
    let mut is_kept = true;
    println!("{:<52} {:>10} {:<12} budget", "the fastest round, on one thread", "", "");
    for Line { what, value, unit, budget } in lines {
        let kept = budget.is_none_or(|budget| budget.is_kept(value));
        is_kept &= kept;
        let budget = match budget {
            Some(Budget::AtLeast(least)) => format!("≥ {least}"),
            Some(Budget::AtMost(most)) => format!("≤ {most}"),
            None => String::new(),
        };
        println!("{what:<52} {value:>10.2} {unit:<12} {budget:<8}{}", if kept { "" } else { "MISSED" });
    }
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
