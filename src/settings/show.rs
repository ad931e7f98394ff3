//! The effective settings as TOML, without secrets.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::Settings;
use super::detectors;
use super::gates;
use super::openlineage;
use super::redact::{HIDDEN, hide_userinfo, is_secret};
use super::serving;
use super::units::format_bytes;
use super::webhooks;
use crate::api::HttpSettings;
use crate::bus::{BrokerSource, BusSettings};
use crate::model::{
    Columns, DriftPolicy, FairnessPolicy, FeatureKind, FeatureSpec, Mapping, Metric, Model, MultivariateMethod,
    PerformancePolicy, QualityPolicy, ReferenceSource, RetrainingPolicy, Task, Tolerance,
};
use crate::notify::EmailSettings;

/// What [`super::parse`] reads back as the same settings, but for secrets, which are shown as `***`.
#[must_use]
pub fn show(settings: &Settings) -> String {
    let mut document = DocumentMut::new();
    let root = document.as_table_mut();
    put(root, "data", path(&settings.data));
    put(root, "checkpoint", text(settings.checkpoint));
    put_table(root, "kafka", kafka(&settings.bus));

    let mut state = Table::new();
    put(&mut state, "url", hide_userinfo(&settings.state.url));
    put(&mut state, "cache", format_bytes(settings.state.cache));
    put_table(root, "state", state);

    let mut registry = Table::new();
    put(&mut registry, "artifacts", hide_userinfo(&settings.artifacts.url));
    put(&mut registry, "max_artifact", format_bytes(settings.artifacts.max_file));
    put_table(&mut registry, "gates", gates::table(&settings.gates));
    put_table(&mut registry, "openlineage", openlineage::table(&settings.openlineage));
    put_table(&mut registry, "webhooks", webhooks::table(&settings.webhooks));
    put_table(root, "registry", registry);

    put_table(root, "http", http(&settings.http));
    put_table(root, "serving", serving::table(&settings.serving));
    if let Some(settings) = &settings.email {
        let mut notify = Table::new();
        notify.set_implicit(true);
        put_table(&mut notify, "email", email(settings));
        put_table(root, "notify", notify);
    }

    let mut checks = Table::new();
    put(&mut checks, "directory", path(&settings.checks.directory));
    put(&mut checks, "timeout", text(settings.checks.timeout));
    put(&mut checks, "memory", size(settings.checks.memory));
    put_table(root, "checks", checks);

    let mut ingest = Table::new();
    put(&mut ingest, "max_message", size(settings.ingest.max_message_bytes));
    put(&mut ingest, "max_segments", count(settings.ingest.max_segments));
    put_table(root, "ingest", ingest);

    let models: ArrayOfTables = settings.models.iter().map(model).collect();
    root.insert("model", Item::ArrayOfTables(models));
    document.to_string()
}

fn kafka(bus: &BusSettings) -> Table {
    let mut table = Table::new();
    match &bus.brokers {
        BrokerSource::External(brokers) => put(&mut table, "brokers", brokers.clone()),
        BrokerSource::Embedded { listen, .. } => {
            put(&mut table, "brokers", "embedded");
            put(&mut table, "listen", text(listen));
        }
    }
    put(&mut table, "prefix", bus.prefix.clone());
    put(&mut table, "predictions", texts(&bus.predictions));
    put(&mut table, "outcomes", texts(&bus.outcomes));
    put(&mut table, "partitions", i64::from(bus.partitions));
    put(&mut table, "replication", i64::from(bus.replication));
    if let Some(instance) = &bus.instance {
        put(&mut table, "instance", instance.clone());
    }
    if !bus.properties.is_empty() {
        put_table(&mut table, "properties", properties(&bus.properties));
    }
    table
}

fn properties(properties: &BTreeMap<String, String>) -> Table {
    let mut table = Table::new();
    for (name, value) in properties {
        let shown = if is_secret(name) { HIDDEN.to_owned() } else { hide_userinfo(value) };
        put(&mut table, name, shown);
    }
    table
}

fn http(http: &HttpSettings) -> Table {
    let mut table = Table::new();
    put(&mut table, "listen", text(http.listen));
    put(&mut table, "max_body", size(http.max_body));
    put(&mut table, "threads", i64::try_from(http.threads).unwrap_or(i64::MAX));
    if http.token.is_some() {
        put(&mut table, "token", HIDDEN);
    }
    table
}

fn email(email: &EmailSettings) -> Table {
    let mut table = Table::new();
    put(&mut table, "url", hide_userinfo(&email.url));
    put(&mut table, "from", text(&email.from));
    put(&mut table, "to", texts(&email.to));
    if let Some(username) = &email.username {
        put(&mut table, "username", username.clone());
    }
    if email.password.is_some() {
        put(&mut table, "password", HIDDEN);
    }
    table
}

fn model(model: &Model) -> Table {
    let mut table = Table::new();
    put(&mut table, "name", model.name.clone());
    put(&mut table, "task", task(model.task));
    put(&mut table, "positive", model.positive.clone());
    put(&mut table, "panes", text(model.pane));
    put(&mut table, "windows", texts(&model.windows));
    put(&mut table, "lateness", text(model.lateness));
    put(&mut table, "label_horizon", text(model.label_horizon));
    put(&mut table, "retention", text(model.retention));
    put(&mut table, "max_future", text(model.max_future));
    put(&mut table, "dedup", text(model.dedup));
    put(&mut table, "idle_timeout", text(model.idle_timeout));
    put(&mut table, "segments", texts(&model.segments));
    put(&mut table, "false_alarms_per_year", model.false_alarms_per_year);
    put(&mut table, "reference", reference(&model.reference));
    if !model.mapping.is_default() {
        put_table(&mut table, "mapping", mapping(&model.mapping));
    }
    put_table(&mut table, "columns", columns(&model.columns));
    if !model.features.is_empty() {
        put_table(&mut table, "features", features(&model.features));
    }
    put_table(&mut table, "drift", drift(&model.drift));
    put_table(&mut table, "performance", performance(&model.performance));
    put_table(&mut table, "quality", quality(&model.quality));
    if !model.fairness.attributes.is_empty() {
        put_table(&mut table, "fairness", fairness(&model.fairness));
    }
    if !model.detectors.is_empty() {
        put_table(&mut table, "detectors", detectors::table(&model.detectors));
    }
    put_table(&mut table, "retraining", retraining(&model.retraining));
    table
}

fn task(task: Task) -> &'static str {
    match task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    }
}

fn reference(reference: &ReferenceSource) -> InlineTable {
    let (key, value) = match reference {
        ReferenceSource::File(file) => ("file", Value::from(path(file))),
        ReferenceSource::First(first) => ("first", Value::from(count(*first))),
        ReferenceSource::Registered => return InlineTable::new(),
    };
    InlineTable::from_iter([(key, value)])
}

fn mapping(mapping: &Mapping) -> Table {
    let fields = [
        ("id", &mapping.id),
        ("time", &mapping.time),
        ("version", &mapping.version),
        ("variant", &mapping.variant),
        ("features", &mapping.features),
        ("prediction", &mapping.prediction),
        ("label", &mapping.label),
        ("score", &mapping.score),
        ("latency_ms", &mapping.latency_ms),
        ("error", &mapping.error),
    ];
    let mut table = Table::new();
    for (key, pointer) in fields {
        if let Some(pointer) = pointer {
            put(&mut table, key, pointer.clone());
        }
    }
    table
}

fn columns(columns: &Columns) -> Table {
    let mut table = Table::new();
    put(&mut table, "id", columns.id.clone());
    put(&mut table, "time", columns.time.clone());
    put(&mut table, "label", columns.label.clone());
    put(&mut table, "score", columns.score.clone());
    put(&mut table, "outcome", columns.outcome.clone());
    if let Some(version) = &columns.version {
        put(&mut table, "version", version.clone());
    }
    for (key, prefix) in [("scores", &columns.scores), ("attributions", &columns.attributions)] {
        if let Some(prefix) = prefix {
            put(&mut table, key, prefix.clone());
        }
    }
    put(&mut table, "ignore", texts(&columns.ignore));
    table
}

fn features(features: &BTreeMap<String, FeatureSpec>) -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    for (name, spec) in features {
        let mut feature = Table::new();
        match spec.kind {
            Some(FeatureKind::Numeric) => put(&mut feature, "type", "numeric"),
            Some(FeatureKind::Categorical) => put(&mut feature, "type", "categorical"),
            None => {}
        }
        for (key, bound) in [("min", spec.min), ("max", spec.max)] {
            if let Some(bound) = bound {
                put(&mut feature, key, bound);
            }
        }
        if spec.required {
            put(&mut feature, "required", true);
        }
        if !spec.values.is_empty() {
            put(&mut feature, "values", texts(&spec.values));
        }
        put_table(&mut table, name, feature);
    }
    table
}

fn drift(policy: &DriftPolicy) -> Table {
    let mut table = Table::new();
    put(&mut table, "decide", texts(&policy.decide));
    for (method, floor) in &policy.floors {
        put(&mut table, method.name(), *floor);
    }
    if let Some(wanted) = policy.reconstruction.wanted {
        put(&mut table, "reconstruction", wanted);
    }
    if policy.reconstruction.wanted != Some(false) {
        put(&mut table, MultivariateMethod::PcaReconstruction.name(), policy.reconstruction.floor);
    }
    put(&mut table, MultivariateMethod::AttributionNdcg.name(), policy.attribution_ndcg);
    put(&mut table, "alpha", policy.alpha);
    put(&mut table, "min_samples", count(policy.min_samples));
    put(&mut table, "windows", i64::from(policy.windows));
    table
}

fn performance(policy: &PerformancePolicy) -> Table {
    let mut table = Table::new();
    for (metric, tolerance) in &policy.tolerances {
        let (key, value) = match tolerance {
            Tolerance::Relative(share) => ("rise_share", *share),
            Tolerance::Absolute(rise) if metric.is_loss() || *metric == Metric::Bias => ("rise", *rise),
            Tolerance::Absolute(drop) => ("drop", *drop),
        };
        put(&mut table, metric.name(), InlineTable::from_iter([(key, value)]));
    }
    put(&mut table, "alpha", policy.alpha);
    put(&mut table, "min_samples", count(policy.min_samples));
    put(&mut table, "min_coverage", policy.min_coverage);
    put(&mut table, "windows", i64::from(policy.windows));
    table
}

fn quality(policy: &QualityPolicy) -> Table {
    let mut table = Table::new();
    for (rule, floor) in &policy.floors {
        put(&mut table, rule.name(), *floor);
    }
    put(&mut table, "alpha", policy.alpha);
    put(&mut table, "min_samples", count(policy.min_samples));
    put(&mut table, "windows", i64::from(policy.windows));
    table
}

fn fairness(policy: &FairnessPolicy) -> Table {
    let mut table = Table::new();
    put(&mut table, "attributes", texts(&policy.attributes));
    for (metric, threshold) in &policy.thresholds {
        put(&mut table, metric.name(), *threshold);
    }
    put(&mut table, "alpha", policy.alpha);
    put(&mut table, "min_samples", count(policy.min_samples));
    put(&mut table, "windows", i64::from(policy.windows));
    table
}

fn retraining(policy: &RetrainingPolicy) -> Table {
    let mut table = Table::new();
    put(&mut table, "enabled", policy.enabled);
    put(&mut table, "windows", i64::from(policy.windows));
    put(&mut table, "cooldown", text(policy.cooldown));
    table
}

fn put(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key, toml_edit::value(value));
}

fn put_table(table: &mut Table, key: &str, inner: Table) {
    table.insert(key, Item::Table(inner));
}

fn text(value: impl Display) -> String {
    value.to_string()
}

fn texts<T: Display>(values: &[T]) -> Array {
    values.iter().map(ToString::to_string).collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn size(bytes: usize) -> String {
    format_bytes(bytes as u64)
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
