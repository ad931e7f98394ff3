//! How often drift is found where there is none, and how often where there is.
//!
//!     cargo bench --bench quiet [-- WINDOWS]
//!
//! The first table is the share of windows without any change in which any of 20 features drifts by the default policy
//! (PSI of 0.1, alpha 0.01 over the features), on six kinds of data. It exits with 1 when a share is above alpha by more
//! than its binomial error allows. The second table is the share of windows in which one changed feature is found, by
//! the default policy and by KS and χ² alone at the same false-alarm rate.

use std::process::ExitCode;

use arrow::array::{Float64Array, StringArray};
use plimsoll::drift::judge;
use plimsoll::model::{DriftPolicy, Method};
use plimsoll::profile::{
    Anchors, CategoryAnchors, ColumnAnchors, ColumnProfile, NumericAnchors, Profile, ValueAnchors, Values,
};

const FEATURES: usize = 20;
const REFERENCE_SIZES: [usize; 2] = [1_000, 10_000];
const WINDOW_SIZES: [usize; 7] = [50, 100, 200, 500, 1_000, 2_000, 5_000];
/// The classes of a skewed categorical column: shares fall as 1/rank².
const CLASSES: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Lognormal,
    Uniform,
    Integer,
    Tied,
    Categorical,
}

/// What is done to a window's values.
#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    /// Added to every value, in standard deviations.
    Mean(f64),
    /// Times every value.
    Scale(f64),
    /// This share of the rows has the second category instead of what it had.
    Category(f64),
}

/// xorshift64*, enough for a simulation and the same everywhere.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Box & Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn class(&mut self) -> usize {
        let total: f64 = (1..=CLASSES).map(|rank| (rank as f64).powi(-2)).sum();
        let mut left = self.uniform() * total;
        for rank in 1..CLASSES {
            left -= (rank as f64).powi(-2);
            if left < 0.0 {
                return rank - 1;
            }
        }
        CLASSES - 1
    }

    fn number(&mut self, kind: Kind) -> f64 {
        match kind {
            Kind::Normal | Kind::Categorical => self.normal(),
            Kind::Uniform => self.uniform(),
            Kind::Integer => (self.normal() * 5.0).round(),
            Kind::Tied if self.uniform() < 0.6 => 0.0,
            Kind::Lognormal | Kind::Tied => self.normal().exp(),
        }
    }
}

enum Column {
    Numbers(Vec<f64>),
    Classes(Vec<usize>),
}

fn draw(random: &mut Random, kind: Kind, rows: usize, change: Change) -> Column {
    if kind == Kind::Categorical {
        let class = |random: &mut Random| match change {
            Change::Category(share) if random.uniform() < share => 1,
            _ => random.class(),
        };
        return Column::Classes((0..rows).map(|_| class(random)).collect());
    }
    let number = |random: &mut Random| {
        let value = random.number(kind);
        match change {
            Change::Mean(shift) => value + shift,
            Change::Scale(factor) => value * factor,
            Change::None | Change::Category(_) => value,
        }
    };
    Column::Numbers((0..rows).map(|_| number(random)).collect())
}

impl Column {
    fn anchors(&self) -> ValueAnchors {
        match self {
            Self::Numbers(values) => ValueAnchors::Numeric(NumericAnchors::fit(values.iter().copied())),
            Self::Classes(classes) => {
                let names: Vec<String> = classes.iter().map(|class| name(*class)).collect();
                ValueAnchors::Categorical(CategoryAnchors::fit(names.iter().map(String::as_str)))
            }
        }
    }

    fn count(&self, anchors: &ValueAnchors) -> ColumnProfile {
        let mut profile = ColumnProfile::empty(anchors);
        match self {
            Self::Numbers(values) => {
                let everybody: Vec<usize> = (0..values.len()).collect();
                profile.count(anchors, &Values::numeric(&Float64Array::from(values.clone())), &everybody);
            }
            Self::Classes(classes) => {
                let everybody: Vec<usize> = (0..classes.len()).collect();
                let names: StringArray = classes.iter().map(|class| Some(name(*class))).collect();
                profile.count(anchors, &Values::categorical(&names), &everybody);
            }
        }
        profile
    }
}

fn name(class: usize) -> String {
    format!("class {class:02}")
}

/// A reference of 20 columns of one kind.
fn reference(random: &mut Random, kind: Kind, rows: usize) -> (Anchors, Profile) {
    let drawn: Vec<Column> = (0..FEATURES).map(|_| draw(random, kind, rows, Change::None)).collect();
    let named =
        |(index, column): (usize, &Column)| ColumnAnchors { name: format!("x{index:02}"), values: column.anchors() };
    let anchors = Anchors { epoch: 0, columns: drawn.iter().enumerate().map(named).collect(), projection: None };
    let columns = drawn.iter().zip(&anchors.columns).map(|(column, anchors)| column.count(&anchors.values)).collect();
    (anchors, Profile { columns, ..Profile::default() })
}

/// The share of windows in which any feature drifts by a policy; only the first feature has changed.
fn alarms(policy: &DriftPolicy, kind: Kind, sizes: (usize, usize), change: Change, windows: usize) -> f64 {
    // Another reference every 25 windows, for the luck of one reference is shared by all windows.
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ ((sizes.0 as u64) << 32 | sizes.1 as u64) ^ (kind as u64) << 20);
    let mut alarmed = 0;
    let (mut anchors, mut profile) = reference(&mut random, kind, sizes.0);
    for window in 0..windows {
        if window > 0 && window % 25 == 0 {
            (anchors, profile) = reference(&mut random, kind, sizes.0);
        }
        let columns = anchors.columns.iter().enumerate().map(|(index, column)| {
            let change = if index == 0 { change } else { Change::None };
            draw(&mut random, kind, sizes.1, change).count(&column.values)
        });
        let current = Profile { columns: columns.collect(), ..Profile::default() };
        let rows = judge(policy, &anchors, &profile, &current);
        alarmed += usize::from(rows.iter().any(|row| row.decides && row.verdict.name() == "drift"));
    }
    alarmed as f64 / windows as f64
}

/// Three standard deviations of a share of alpha above alpha.
fn tolerated(alpha: f64, windows: usize) -> f64 {
    alpha + 3.0 * (alpha * (1.0 - alpha) / windows as f64).sqrt()
}

/// A method that decides by its p-value alone, at the alpha of the default policy.
fn classic(method: Method) -> DriftPolicy {
    DriftPolicy { decide: vec![method], floors: [(method, 1e-12)].into(), min_samples: 1, ..DriftPolicy::default() }
}

#[allow(clippy::print_stdout, reason = "its purpose is the tables")]
fn main() -> ExitCode {
    let windows = std::env::args().find_map(|text| text.parse().ok()).unwrap_or(1_000).max(1);
    // Windows of every size are judged: what is `insufficient` for being small would be quiet for nothing.
    let policy = DriftPolicy { min_samples: 1, ..DriftPolicy::default() };
    let limit = tolerated(policy.alpha, windows);
    let kinds = [Kind::Normal, Kind::Lognormal, Kind::Uniform, Kind::Integer, Kind::Tied, Kind::Categorical];

    println!("false alarms: share of {windows} windows without change in which any of {FEATURES} features drifts");
    println!("(default decision; alpha {}, at most {limit:.4} with its binomial error)\n", policy.alpha);
    println!("{:<12} {:>9} {}", "data", "reference", WINDOW_SIZES.map(|n| format!("{:>8}", format!("n={n}"))).concat());
    let mut is_quiet = true;
    for kind in kinds {
        for n_reference in REFERENCE_SIZES {
            let shares = WINDOW_SIZES.map(|n| alarms(&policy, kind, (n_reference, n), Change::None, windows));
            is_quiet &= shares.iter().all(|share| *share <= limit);
            let shares = shares.map(|share| format!("{share:>8.4}")).concat();
            println!("{:<12} {n_reference:>9} {shares}", format!("{kind:?}").to_lowercase());
        }
    }

    println!("\npower: share of {windows} windows of n rows in which the one changed of {FEATURES} features is found");
    println!("(reference of 10000 rows; ks and chi_square decide by their p-value alone, with the same correction)\n");
    println!("{:<34} {:>6} {:>8} {:>8} {:>8}", "change", "n", "default", "ks", "chi2");
    let changes = [
        (Kind::Normal, "mean of normal", Change::Mean(0.2)),
        (Kind::Normal, "mean of normal", Change::Mean(0.5)),
        (Kind::Normal, "scale of normal", Change::Scale(1.25)),
        (Kind::Normal, "scale of normal", Change::Scale(1.5)),
        (Kind::Lognormal, "scale of lognormal", Change::Scale(1.5)),
        (Kind::Categorical, "category", Change::Category(0.1)),
        (Kind::Categorical, "category", Change::Category(0.3)),
    ];
    let fewer = (windows / 5).max(1);
    for (kind, what, change) in changes {
        for n in [200, 500, 1_000, 5_000] {
            let power = |policy: &DriftPolicy| alarms(policy, kind, (10_000, n), change, fewer);
            let ks =
                if kind == Kind::Categorical { "-".to_owned() } else { format!("{:.3}", power(&classic(Method::Ks))) };
            let (default, chi) = (power(&policy), power(&classic(Method::ChiSquare)));
            println!("{:<34} {n:>6} {default:>8.3} {ks:>8} {chi:>8.3}", format!("{what}: {change:?}"));
        }
    }
    if is_quiet {
        return ExitCode::SUCCESS;
    }
    println!("\na share of false alarms is above {limit:.4}");
    ExitCode::FAILURE
}
