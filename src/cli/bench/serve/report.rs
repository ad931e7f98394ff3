//! The result, for people and for programs.

use serde::Serialize;

use super::distribution::Distribution;
use super::load::Answered;
use crate::cli::bench::Format;
use crate::cli::bench::usage::Usage;

/// What serving may add to the runtime's own call, in microseconds.
const OVERHEAD_P50: f64 = 150.0;
const OVERHEAD_P99: f64 = 1_000.0;
/// Requests of the stream per second of one core.
const STREAM: f64 = 20_000.0;
/// Rows of a file per second.
const BATCH: f64 = 500_000.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) optimised: bool,
    pub(super) brokers: String,
    pub(super) rate: u32,
    pub(super) connections: u32,
    /// The runtime's own call, at the same pace.
    pub(super) bare: Distribution,
    pub(super) http: Vec<Http>,
    pub(super) stream: Usage,
    pub(super) stream_per_core: f64,
    pub(super) file_rows: u64,
    pub(super) file_rows_per_second: f64,
}

/// Requests of one shape.
#[derive(Debug, Serialize)]
pub(super) struct Http {
    pub(super) shape: &'static str,
    #[serde(flatten)]
    pub(super) answered: Answered,
    pub(super) overhead_p50: f64,
    pub(super) overhead_p99: f64,
    /// Of the service, for each request.
    pub(super) cpu_micros: Option<f64>,
}

impl Http {
    pub(super) fn new(shape: &'static str, answered: Answered, bare: &Distribution, cpu_micros: Option<f64>) -> Self {
        Self {
            shape,
            overhead_p50: answered.latency.p50 - bare.p50,
            overhead_p99: answered.latency.p99 - bare.p99,
            cpu_micros,
            answered,
        }
    }

    fn lines(&self) -> [String; 2] {
        let Answered { requests, latency, late } = &self.answered;
        let cpu = self.cpu_micros.map_or(String::new(), |micros| format!(", {micros:.0} µs of processor each"));
        [
            format!(
                "{:<8} {requests} requests: p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, longest {:.0} µs; the client was late \
                 by {:.0} µs (p50) and {:.0} µs (p99){cpu}",
                self.shape, latency.p50, latency.p99, latency.p999, latency.longest, late.p50, late.p99
            ),
            format!(
                "         over the bare call: p50 {:.0} µs (budget {OVERHEAD_P50:.0}), p99 {:.0} µs (budget {OVERHEAD_P99:.0})",
                self.overhead_p50, self.overhead_p99
            ),
        ]
    }
}

impl Report {
    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Json => println!("{}", serde_json::to_string(self)?),
            Format::Text => println!("{}", self.text()),
        }
        Ok(())
    }

    /// Budgets that are not kept, in words.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut keep = |what: &str, found: f64, is_kept: bool| {
            if !is_kept {
                failures.push(format!("{what} is {found:.0}"));
            }
        };
        for http in &self.http {
            let shape = http.shape;
            keep(&format!("p50 over the bare call ({shape})"), http.overhead_p50, http.overhead_p50 <= OVERHEAD_P50);
            keep(&format!("p99 over the bare call ({shape})"), http.overhead_p99, http.overhead_p99 <= OVERHEAD_P99);
        }
        keep("requests of the stream per core", self.stream_per_core, self.stream_per_core >= STREAM);
        keep("rows of a file per second", self.file_rows_per_second, self.file_rows_per_second >= BATCH);
        failures
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "random forest of 100 trees, 10 features; {} requests/s on {} connections kept alive, answers logged to {}",
            self.rate, self.connections, self.brokers
        )];
        if !self.optimised {
            lines.push("This build is not optimised; `make bench-serve` makes one that is.".to_owned());
        }
        let Distribution { p50, p99, .. } = self.bare;
        lines.push(format!("bare     call of ONNX Runtime at the same pace: p50 {p50:.0} µs, p99 {p99:.0} µs"));
        lines.extend(self.http.iter().flat_map(Http::lines));
        lines.push(format!(
            "stream   {} requests without kafka: {:.0} per second of one core (budget {STREAM:.0})",
            self.stream.events, self.stream_per_core
        ));
        lines.push(format!(
            "file     {} rows through a logistic regression: {:.0} rows/s (budget {BATCH:.0})",
            self.file_rows, self.file_rows_per_second
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(p50: f64, p99: f64, stream: f64, rows: f64) -> Report {
        let latency = Distribution { p50, p99, ..Distribution::default() };
        let bare = Distribution { p50: 10.0, p99: 20.0, ..Distribution::default() };
        let answered = Answered { requests: 100, latency, late: Distribution::default() };
        Report {
            optimised: true,
            brokers: "embedded".into(),
            rate: 2_000,
            connections: 16,
            http: vec![Http::new("tensors", answered, &bare, Some(100.0))],
            bare,
            stream: Usage { events: 1, bytes: 1, seconds: 1.0, cpu_seconds: None },
            stream_per_core: stream,
            file_rows: 1,
            file_rows_per_second: rows,
        }
    }

    #[test]
    fn budgets_are_kept_at_their_limit_and_each_that_is_missed_is_named() {
        let kept = report(160.0, 1_020.0, 20_000.0, 500_000.0);
        assert_eq!(kept.failures(), Vec::<String>::new());
        assert!(kept.text().contains("p50 150 µs (budget 150)") && kept.text().contains("100 µs of processor"));
        let missed = report(161.0, 1_021.0, 19_999.0, 499_999.0).failures();
        assert_eq!(missed.len(), 4, "{missed:?}");
        assert_eq!(missed[0], "p50 over the bare call (tensors) is 151");
    }
}
