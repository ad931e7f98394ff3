//! One `[[model]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::detectors;
use super::error::Problems;
use super::policy;
use super::raw::{Node, Raw};
use super::reader::Section;
use super::values;
use crate::clock::Span;
use crate::model::{Columns, FeatureKind, FeatureSpec, Mapping, Model, ReferenceSource, Task, WindowSize};

const KEYS: [&str; 23] = [
    "name",
    "task",
    "positive",
    "panes",
    "windows",
    "lateness",
    "label_horizon",
    "retention",
    "max_future",
    "dedup",
    "idle_timeout",
    "segments",
    "reference",
    "mapping",
    "columns",
    "features",
    "false_alarms_per_year",
    "drift",
    "performance",
    "quality",
    "fairness",
    "detectors",
    "retraining",
];
const MAPPING_KEYS: [&str; 10] =
    ["id", "time", "version", "variant", "features", "prediction", "label", "score", "latency_ms", "error"];
const COLUMNS_KEYS: [&str; 9] =
    ["id", "time", "label", "score", "outcome", "version", "scores", "attributions", "ignore"];
const REFERENCE_ADVICE: &str = "write { file = \"reference.parquet\" } or { first = 10000 }";

/// Shorter panes would be more numerous than the events in them.
const SHORTEST_PANE: Span = Span::from_secs(1);

pub(super) fn models(root: &Section<'_>, problems: &mut Problems) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for section in root.tables("model", problems) {
        let model = model(&section, problems);
        if !model.name.is_empty() && models.iter().any(|other| other.name == model.name) {
            let message = format!("'{}' is the name of an earlier model: names are unique", model.name);
            section.report("name", message, problems);
        }
        models.push(model);
    }
    models
}

/// What a registered model says of itself: the keys of a `[[model]]` but its name and its reference.
pub(super) fn registered(name: &str, section: &Section<'_>, problems: &mut Problems) -> Model {
    let keys = KEYS.into_iter().filter(|key| !["name", "reference"].contains(key));
    section.reject_unknown(&keys.collect::<Vec<_>>(), problems);
    named(name, ReferenceSource::Registered, section, problems)
}

fn model(section: &Section<'_>, problems: &mut Problems) -> Model {
    section.reject_unknown(&KEYS, problems);
    section.require("name", "write the name that events carry in \"model\"", problems);
    section.require("reference", REFERENCE_ADVICE, problems);

    let name = section.value("name", problems, values::text).unwrap_or_default();
    let reference = reference(section, problems).unwrap_or(ReferenceSource::First(1));
    named(&name, reference, section, problems)
}

fn named(name: &str, reference: ReferenceSource, section: &Section<'_>, problems: &mut Problems) -> Model {
    section.require("task", "write \"binary\", \"multiclass\" or \"regression\"", problems);
    let task = section.value("task", problems, task).unwrap_or(Task::Binary);
    let mut model = Model::new(name, task, reference);

    set(&mut model.positive, section.value("positive", problems, values::scalar));
    set(&mut model.lateness, section.value("lateness", problems, values::span));
    set(&mut model.label_horizon, section.value("label_horizon", problems, values::span));
    set(&mut model.max_future, section.value("max_future", problems, values::span));
    set(&mut model.dedup, section.value("dedup", problems, values::span));
    set(&mut model.idle_timeout, section.value("idle_timeout", problems, values::positive_span));
    windows(&mut model, section, problems);
    retention(&mut model, section, problems);

    model.features = features(&section.table("features", problems), problems);
    segments(&mut model, section, problems);
    model.mapping = mapping(&section.table("mapping", problems), problems);
    model.columns = columns(&section.table("columns", problems), problems);
    model.false_alarms_per_year =
        section.value("false_alarms_per_year", problems, values::above_zero).unwrap_or(model.false_alarms_per_year);
    model.drift = policy::drift(&section.table("drift", problems), problems);
    model.performance = policy::performance(&section.table("performance", problems), model.task, problems);
    model.quality = policy::quality(&section.table("quality", problems), problems);
    fairness(&mut model, section, problems);
    model.detectors = detectors::detectors(&section.table("detectors", problems), &model, problems);
    model.retraining = policy::retraining(&section.table("retraining", problems), problems);
    model
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn task(node: &Node) -> Result<Task, String> {
    match values::text(node)?.as_str() {
        "binary" => Ok(Task::Binary),
        "multiclass" => Ok(Task::Multiclass),
        "regression" => Ok(Task::Regression),
        other => Err(format!("'{other}' is not a task: write \"binary\", \"multiclass\" or \"regression\"")),
    }
}

fn reference(section: &Section<'_>, problems: &mut Problems) -> Option<ReferenceSource> {
    let node = section.node("reference")?;
    if !matches!(node.value, Raw::Table(_)) {
        section.report(
            "reference",
            format!("must be a table, not {}: {REFERENCE_ADVICE}", node.value.kind()),
            problems,
        );
        return None;
    }
    let table = section.table("reference", problems);
    table.reject_unknown(&["file", "first", "range", "trailing"], problems);
    for later in ["range", "trailing"].into_iter().filter(|later| table.has(later)) {
        table.report(later, format!("is not available in this version: {REFERENCE_ADVICE}"), problems);
    }
    let file = table.value("file", problems, values::text);
    let first = table.value("first", problems, values::count);
    match (file, first) {
        (Some(_), Some(_)) => {
            section.report("reference", format!("names two sources: {REFERENCE_ADVICE}"), problems);
            None
        }
        (Some(file), None) => Some(ReferenceSource::File(PathBuf::from(file))),
        (None, Some(first)) => Some(ReferenceSource::First(first)),
        (None, None) => {
            if section.are_sound(&["reference"], problems) {
                section.report("reference", format!("names no source: {REFERENCE_ADVICE}"), problems);
            }
            None
        }
    }
}

/// Panes and the windows that are made of them.
fn windows(model: &mut Model, section: &Section<'_>, problems: &mut Problems) {
    set(&mut model.pane, section.value("panes", problems, pane));
    let pane = section.are_sound(&["panes"], problems).then_some(model.pane);
    let read = |node: &Node| window(node, pane);
    if let Some(windows) = section.some("windows", problems, read) {
        model.windows = windows;
        return;
    }
    let Some(pane) = pane.filter(|_| !section.has("windows")) else { return };
    if let Some(size) = model.windows.iter().find(|size| !is_whole(**size, pane)) {
        let message = format!("the default window {size} is not a whole number of panes of {pane}: name windows");
        section.report("panes", message, problems);
    }
}

fn pane(node: &Node) -> Result<Span, String> {
    let pane = values::span(node)?;
    if pane < SHORTEST_PANE {
        return Err(format!("must be at least {SHORTEST_PANE}"));
    }
    Ok(pane)
}

fn window(node: &Node, pane: Option<Span>) -> Result<WindowSize, String> {
    let Raw::Text(text) = &node.value else {
        return Err(format!("must be a window such as \"7d\" or \"7d/1d\", not {}", node.value.kind()));
    };
    let size: WindowSize = text.parse().map_err(|error: crate::model::WindowSizeError| error.to_string())?;
    match pane {
        Some(pane) if !is_whole(size, pane) => Err(format!(
            "'{text}' is not a whole number of panes of {pane}: length and slide must be multiples of panes"
        )),
        _ => Ok(size),
    }
}

fn is_whole(size: WindowSize, pane: Span) -> bool {
    [size.length, size.slide].iter().all(|span| span.millis() % pane.millis() == 0)
}

/// Late events and late outcomes revise windows, so windows are kept until neither can come.
fn retention(model: &mut Model, section: &Section<'_>, problems: &mut Problems) {
    let longest = model.windows.iter().map(|size| size.length).max().unwrap_or(Span::ZERO);
    let with_late_events = plus(longest, model.lateness);
    let with_outcomes = plus(longest, model.label_horizon);
    let default = model.retention.max(with_outcomes).max(with_late_events);
    model.retention = section.value("retention", problems, values::positive_span).unwrap_or(default);

    let retention = model.retention;
    if retention < with_late_events && section.are_sound(&["retention", "windows", "lateness", "panes"], problems) {
        let message = format!(
            "{retention} is shorter than the longest window {longest} with lateness {}: \
             write {with_late_events} or more",
            model.lateness
        );
        section.report("retention", message, problems);
    }
    if retention < model.label_horizon && section.are_sound(&["retention", "label_horizon"], problems) {
        let horizon = model.label_horizon;
        let message = format!(
            "{retention} is shorter than label_horizon {horizon}, within which outcomes revise windows: \
             write {horizon} or more"
        );
        section.report("retention", message, problems);
    }
}

fn plus(a: Span, b: Span) -> Span {
    Span::from_millis(a.millis().saturating_add(b.millis()))
}

fn features(section: &Section<'_>, problems: &mut Problems) -> BTreeMap<String, FeatureSpec> {
    let mut features = BTreeMap::new();
    for name in section.keys() {
        if name.trim().is_empty() {
            section.report(name, "a feature needs a name", problems);
            continue;
        }
        let spec = feature(&section.table(name, problems), problems);
        features.insert(name.to_owned(), spec);
    }
    features
}

fn feature(section: &Section<'_>, problems: &mut Problems) -> FeatureSpec {
    section.reject_unknown(&["type", "min", "max", "required", "values"], problems);
    let mut spec = FeatureSpec {
        kind: section.value("type", problems, feature_kind),
        min: section.value("min", problems, values::number),
        max: section.value("max", problems, values::number),
        required: section.value("required", problems, values::boolean).unwrap_or_default(),
        values: section.some("values", problems, values::scalar).unwrap_or_default(),
    };
    if let (Some(min), Some(max)) = (spec.min, spec.max)
        && min > max
    {
        section.report("min", format!("{min} is above max {max}"), problems);
    }
    for bound in ["min", "max"] {
        if spec.kind == Some(FeatureKind::Categorical) && section.has(bound) {
            section.report(bound, "is only for numeric features: remove it, or write type = \"numeric\"", problems);
        }
    }
    if !spec.values.is_empty() {
        spec.kind = spec.kind.or(Some(FeatureKind::Categorical));
    }
    if spec.kind == Some(FeatureKind::Numeric) && section.has("values") {
        let message = "is only for categorical features: remove it, or write type = \"categorical\"";
        section.report("values", message, problems);
    }
    spec
}

fn feature_kind(node: &Node) -> Result<FeatureKind, String> {
    match values::text(node)?.as_str() {
        "numeric" => Ok(FeatureKind::Numeric),
        "categorical" => Ok(FeatureKind::Categorical),
        other => Err(format!("'{other}' is not a type: write \"numeric\" or \"categorical\"")),
    }
}

fn segments(model: &mut Model, section: &Section<'_>, problems: &mut Problems) {
    let kinds: BTreeMap<&str, Option<FeatureKind>> =
        model.features.iter().map(|(name, spec)| (name.as_str(), spec.kind)).collect();
    let read = |node: &Node| {
        let name = values::text(node)?;
        match kinds.get(name.as_str()) {
            Some(Some(FeatureKind::Numeric)) => {
                Err(format!("'{name}' is numeric: only categorical features split the population"))
            }
            _ => Ok(name),
        }
    };
    let segments = section.list("segments", problems, read);
    set(&mut model.segments, segments);
}

fn fairness(model: &mut Model, section: &Section<'_>, problems: &mut Problems) {
    let table = section.table("fairness", problems);
    model.fairness = policy::fairness(&table, problems);
    if section.has("fairness") && model.task != Task::Binary && section.are_sound(&["task"], problems) {
        section.report("fairness", "is judged of binary models only: remove it", problems);
    }
    if !section.are_sound(&["segments"], problems) {
        return;
    }
    for attribute in model.fairness.attributes.iter().filter(|attribute| !model.segments.contains(attribute)) {
        let message = format!("'{attribute}' is not among the model's segments, which are counted apart: add it there");
        table.report("attributes", message, problems);
    }
}

fn mapping(section: &Section<'_>, problems: &mut Problems) -> Mapping {
    section.reject_unknown(&MAPPING_KEYS, problems);
    let mut pointer = |key: &str| section.value(key, problems, json_pointer);
    Mapping {
        id: pointer("id"),
        time: pointer("time"),
        version: pointer("version"),
        variant: pointer("variant"),
        features: pointer("features"),
        prediction: pointer("prediction"),
        label: pointer("label"),
        score: pointer("score"),
        latency_ms: pointer("latency_ms"),
        error: pointer("error"),
    }
}

fn json_pointer(node: &Node) -> Result<String, String> {
    let text = values::text(node)?;
    // RFC 6901: '~' only begins the escapes ~0 and ~1.
    let is_escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !text.starts_with('/') || !is_escaped {
        return Err(format!("'{text}' is not a JSON Pointer: write the field's path, such as \"/payload/id\""));
    }
    Ok(text)
}

fn columns(section: &Section<'_>, problems: &mut Problems) -> Columns {
    section.reject_unknown(&COLUMNS_KEYS, problems);
    let mut columns = Columns::default();
    set(&mut columns.id, section.value("id", problems, values::text));
    set(&mut columns.time, section.value("time", problems, values::text));
    set(&mut columns.label, section.value("label", problems, values::text));
    set(&mut columns.score, section.value("score", problems, values::text));
    set(&mut columns.outcome, section.value("outcome", problems, values::text));
    columns.version = section.value("version", problems, values::text);
    columns.scores = section.value("scores", problems, values::text);
    columns.attributions = section.value("attributions", problems, values::text);
    set(&mut columns.ignore, section.list("ignore", problems, values::text));

    let named = [
        ("id", &columns.id),
        ("time", &columns.time),
        ("label", &columns.label),
        ("score", &columns.score),
        ("outcome", &columns.outcome),
    ];
    for (index, (key, name)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..index].iter().find(|(_, earlier)| earlier == name) {
            let message = format!("'{name}' is the column of {other} already: each has a column of its own");
            section.report(if section.has(key) { key } else { other }, message, problems);
        }
    }
    columns
}
