//! What counts as drift and decay, and when retraining is asked for.

use std::collections::BTreeMap;

use super::error::Problems;
use super::raw::{Node, Raw};
use super::reader::Section;
use super::suggest::nearest;
use super::values;
use crate::model::{
    DriftPolicy, FairnessMetric, FairnessPolicy, Method, Metric, MultivariateMethod, PerformancePolicy, QualityPolicy,
    ReconstructionPolicy, RetrainingPolicy, Rule, Task, Tolerance,
};

/// As the method that it is the floor of.
const RECONSTRUCTION_FLOOR: &str = MultivariateMethod::PcaReconstruction.name();
const ATTRIBUTION_FLOOR: &str = MultivariateMethod::AttributionNdcg.name();

pub(super) fn drift(section: &Section<'_>, problems: &mut Problems) -> DriftPolicy {
    let mut known =
        vec!["decide", "alpha", "min_samples", "windows", "reconstruction", RECONSTRUCTION_FLOOR, ATTRIBUTION_FLOOR];
    known.extend(Method::ALL.map(Method::name));
    section.reject_unknown(&known, problems);

    let defaults = DriftPolicy::default();
    let mut floors = BTreeMap::new();
    for method in Method::ALL {
        if let Some(floor) = section.value(method.name(), problems, |node| floor(node, method)) {
            floors.insert(method, floor);
        }
    }
    DriftPolicy {
        decide: section.some("decide", problems, deciding_method).unwrap_or(defaults.decide),
        floors,
        alpha: section.value("alpha", problems, values::open_unit).unwrap_or(defaults.alpha),
        min_samples: section.value("min_samples", problems, values::count).unwrap_or(defaults.min_samples),
        windows: section.value("windows", problems, values::count).unwrap_or(defaults.windows),
        reconstruction: reconstruction(section, problems),
        attribution_ndcg: section
            .value(ATTRIBUTION_FLOOR, problems, values::open_unit)
            .unwrap_or(defaults.attribution_ndcg),
    }
}

fn reconstruction(section: &Section<'_>, problems: &mut Problems) -> ReconstructionPolicy {
    let wanted = section.value("reconstruction", problems, values::boolean);
    if wanted == Some(false) && section.has(RECONSTRUCTION_FLOOR) {
        section.report(RECONSTRUCTION_FLOOR, "contradicts reconstruction = false: remove one of them", problems);
    }
    let floor = section.value(RECONSTRUCTION_FLOOR, problems, values::above_zero);
    ReconstructionPolicy { wanted, floor: floor.unwrap_or(ReconstructionPolicy::default().floor) }
}

pub(super) fn performance(section: &Section<'_>, task: Task, problems: &mut Problems) -> PerformancePolicy {
    let mut known = vec!["alpha", "min_samples", "min_coverage", "windows"];
    known.extend(Metric::of(task).map(Metric::name));
    section.reject_unknown(&known, problems);

    let defaults = PerformancePolicy::of(task);
    let mut tolerances = BTreeMap::new();
    for metric in Metric::of(task).filter(|metric| section.has(metric.name())) {
        if let Some(tolerance) = tolerance(section, metric, problems) {
            tolerances.insert(metric, tolerance);
        }
    }
    PerformancePolicy {
        tolerances: if tolerances.is_empty() { defaults.tolerances } else { tolerances },
        alpha: section.value("alpha", problems, values::open_unit).unwrap_or(defaults.alpha),
        min_samples: section.value("min_samples", problems, values::count).unwrap_or(defaults.min_samples),
        min_coverage: section.value("min_coverage", problems, values::share).unwrap_or(defaults.min_coverage),
        windows: section.value("windows", problems, values::count).unwrap_or(defaults.windows),
    }
}

pub(super) fn quality(section: &Section<'_>, problems: &mut Problems) -> QualityPolicy {
    let with_floor = || Rule::ALL.into_iter().filter(|rule| rule.is_rate() || *rule == Rule::Volume);
    let mut known = vec!["alpha", "min_samples", "windows"];
    known.extend(with_floor().map(Rule::name));
    section.reject_unknown(&known, problems);

    let defaults = QualityPolicy::default();
    let mut floors = BTreeMap::new();
    for rule in with_floor() {
        if let Some(floor) = section.value(rule.name(), problems, |node| quality_floor(node, rule)) {
            floors.insert(rule, floor);
        }
    }
    QualityPolicy {
        floors,
        alpha: section.value("alpha", problems, values::open_unit).unwrap_or(defaults.alpha),
        min_samples: section.value("min_samples", problems, values::count).unwrap_or(defaults.min_samples),
        windows: section.value("windows", problems, values::count).unwrap_or(defaults.windows),
    }
}

pub(super) fn fairness(section: &Section<'_>, problems: &mut Problems) -> FairnessPolicy {
    let mut known = vec!["attributes", "alpha", "min_samples", "windows"];
    known.extend(FairnessMetric::ALL.map(FairnessMetric::name));
    section.reject_unknown(&known, problems);
    if section.keys().next().is_some() {
        section.require("attributes", "write the segments whose values are protected groups", problems);
    }

    let defaults = FairnessPolicy::default();
    let mut thresholds = BTreeMap::new();
    for metric in FairnessMetric::ALL {
        if let Some(threshold) = section.value(metric.name(), problems, values::open_unit) {
            thresholds.insert(metric, threshold);
        }
    }
    FairnessPolicy {
        attributes: section.some("attributes", problems, values::text).unwrap_or_default(),
        thresholds: if thresholds.is_empty() { defaults.thresholds } else { thresholds },
        alpha: section.value("alpha", problems, values::open_unit).unwrap_or(defaults.alpha),
        min_samples: section.value("min_samples", problems, values::count).unwrap_or(defaults.min_samples),
        windows: section.value("windows", problems, values::count).unwrap_or(defaults.windows),
    }
}

pub(super) fn retraining(section: &Section<'_>, problems: &mut Problems) -> RetrainingPolicy {
    section.reject_unknown(&["enabled", "windows", "cooldown"], problems);
    let defaults = RetrainingPolicy::default();
    RetrainingPolicy {
        enabled: section.value("enabled", problems, values::boolean).unwrap_or(defaults.enabled),
        windows: section.value("windows", problems, values::count).unwrap_or(defaults.windows),
        cooldown: section.value("cooldown", problems, values::span).unwrap_or(defaults.cooldown),
    }
}

fn deciding_method(node: &Node) -> Result<Method, String> {
    let name = values::text(node)?;
    name.parse().map_err(|()| {
        let near = nearest(&name, Method::ALL.map(Method::name)).map(|near| format!(", did you mean {near}"));
        let all = Method::ALL.map(Method::name).join(", ");
        format!("'{name}' is not a method{}: write one of {all}", near.unwrap_or_default())
    })
}

fn quality_floor(node: &Node, rule: Rule) -> Result<f64, String> {
    let floor = values::above_zero(node)?;
    match rule {
        Rule::Volume if floor <= 1.0 => {
            Err(format!("{floor} is no factor: write 2 for windows with less than half or more than twice the events"))
        }
        Rule::Volume => Ok(floor),
        _ if floor >= 1.0 => Err(format!("{floor} can never be reached: it is a share of the rows")),
        _ => Ok(floor),
    }
}

fn floor(node: &Node, method: Method) -> Result<f64, String> {
    let floor = values::above_zero(node)?;
    if let Some(largest) = method.largest_effect().filter(|largest| floor >= *largest) {
        return Err(format!("{floor} can never be reached: the {} of {method} is at most {largest}", method.effect()));
    }
    Ok(floor)
}

/// `{ drop = 0.02 }` for scores, `{ rise = 5.0 }` or `{ rise_share = 0.1 }` for losses.
fn tolerance(section: &Section<'_>, metric: Metric, problems: &mut Problems) -> Option<Tolerance> {
    let key = metric.name();
    let node = section.node(key)?;
    let (absolute, relative, example) = match metric {
        Metric::Bias => ("rise", None, "{ rise = 5.0 }"),
        _ if metric.is_loss() => ("rise", Some("rise_share"), "{ rise_share = 0.1 }"),
        _ => ("drop", None, "{ drop = 0.02 }"),
    };
    if !matches!(node.value, Raw::Table(_)) {
        let message = format!("must be a table, not {}: write {example}", node.value.kind());
        section.report(key, message, problems);
        return None;
    }
    let table = section.table(key, problems);
    let known: Vec<&str> = std::iter::once(absolute).chain(relative).collect();
    table.reject_unknown(&known, problems);
    if let Some(relative) = relative.filter(|relative| table.has(relative)) {
        if table.has(absolute) {
            table.report(relative, format!("contradicts {absolute}: write one of them"), problems);
        }
        return table.value(relative, problems, values::above_zero).map(Tolerance::Relative);
    }
    table.require(absolute, &format!("write how much worse it may become, such as {example}"), problems);
    let read = if metric.is_loss() || metric == Metric::Bias || metric == Metric::R2 {
        values::above_zero
    } else {
        values::open_unit
    };
    table.value(absolute, problems, read).map(Tolerance::Absolute)
}
