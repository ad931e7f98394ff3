//! Prometheus metrics: registration by name, and the text format.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

use super::{Telemetry, TelemetryError};

/// The content type of [`encode`].
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

/// A registry that remembers what it holds, so that several parts can share a metric by its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    registry: Registry,
    counters: Shared<IntCounterVec>,
    gauges: Shared<GaugeVec>,
    histograms: Shared<HistogramVec>,
}

type Shared<C> = Arc<Mutex<BTreeMap<String, C>>>;

impl Metrics {
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The metric of this name, made and registered at its first use.
    fn shared<C: Collector + Clone + 'static>(
        &self,
        known: &Shared<C>,
        name: &str,
        make: impl FnOnce() -> prometheus::Result<C>,
    ) -> Result<C, TelemetryError> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = known.get(name) {
            return Ok(metric.clone());
        }
        let refused =
            |error: prometheus::Error| TelemetryError::Metric { name: name.to_owned(), reason: error.to_string() };
        let metric = make().map_err(refused)?;
        self.registry.register(Box::new(metric.clone())).map_err(refused)?;
        known.insert(name.to_owned(), metric.clone());
        Ok(metric)
    }
}

impl Telemetry {
    /// A counter shared by everyone who asks for `name`; the labels of the first registration stand.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, TelemetryError> {
        let make = || IntCounterVec::new(Opts::new(name, help), labels);
        self.metrics.shared(&self.metrics.counters, name, make)
    }

    /// A gauge shared by everyone who asks for `name`; the labels of the first registration stand.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, TelemetryError> {
        let make = || GaugeVec::new(Opts::new(name, help), labels);
        self.metrics.shared(&self.metrics.gauges, name, make)
    }

    /// A histogram with these upper bounds, shared by everyone who asks for `name`.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, TelemetryError> {
        let make = || HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels);
        self.metrics.shared(&self.metrics.histograms, name, make)
    }
}

/// Metric families in the Prometheus text format 0.0.4. Of families with the same name the first stands, since
/// a name may occur only once in an exposition.
pub fn encode(families: impl IntoIterator<Item = MetricFamily>) -> Result<String, TelemetryError> {
    let mut names = BTreeSet::new();
    let families: Vec<MetricFamily> = families
        .into_iter()
        .filter(|family| !family.get_metric().is_empty() && names.insert(family.name().to_owned()))
        .collect();
    let failed = |reason: String| TelemetryError::Encode(reason);
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_registered_twice_is_one_metric() {
        let telemetry = Telemetry::default();
        let first = telemetry.counter("plimsoll_things_total", "Things.", &["kind"]).unwrap();
        let second = telemetry.counter("plimsoll_things_total", "Things.", &["kind"]).unwrap();
        first.with_label_values(&["a"]).inc();
        second.with_label_values(&["a"]).inc();
        let text = encode(telemetry.metrics().gather()).unwrap();
        assert!(text.contains("plimsoll_things_total{kind=\"a\"} 2"), "{text}");
    }

    #[test]
    fn a_name_that_prometheus_does_not_allow_is_refused() {
        let error = Telemetry::default().counter("not a name", "Things.", &[]).unwrap_err();
        assert!(error.to_string().contains("'not a name'"), "{error}");
    }

    #[test]
    fn a_name_taken_by_another_type_of_metric_is_refused() {
        let telemetry = Telemetry::default();
        telemetry.counter("plimsoll_things", "Things.", &[]).unwrap();
        assert!(telemetry.gauge("plimsoll_things", "Things.", &[]).is_err());
    }

    #[test]
    fn of_families_with_one_name_the_first_is_written() {
        let (left, right) = (Telemetry::default(), Telemetry::default());
        left.gauge("plimsoll_x", "X.", &[]).unwrap().with_label_values::<&str>(&[]).set(1.0);
        right.gauge("plimsoll_x", "X.", &[]).unwrap().with_label_values::<&str>(&[]).set(2.0);
        let text = encode(left.metrics().gather().into_iter().chain(right.metrics().gather())).unwrap();
        assert_eq!(text.matches("# TYPE plimsoll_x gauge").count(), 1);
        assert!(text.contains("plimsoll_x 1"), "{text}");
    }
}
