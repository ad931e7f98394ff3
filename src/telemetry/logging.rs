//! Where log lines go: standard error, as text for people or as JSON for collectors.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::TelemetryError;

/// Plimsoll at `info`; the libraries only when something is wrong.
pub const DEFAULT_FILTER: &str = "info,tansu=warn,tansu_broker=warn,tansu_storage=warn,slatedb=warn,object_store=warn,\
                                  datafusion=warn,rdkafka=warn,librdkafka=warn,hyper=warn,tower_http=warn";

/// Sets up the process's logging once. An empty filter means [`DEFAULT_FILTER`].
pub fn init_logging(filter: &str, json: bool) -> Result<(), TelemetryError> {
    let filter = parse(filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = if json {
        registry.with(lines.json()).try_init()
    } else {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()
    };
    outcome.map_err(|error| TelemetryError::Logging(error.to_string()))
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let wanted = if filter.trim().is_empty() { DEFAULT_FILTER } else { filter };
    EnvFilter::builder()
        .parse(wanted)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_filter_is_understood() {
        assert!(parse("").is_ok());
        assert!(parse("plimsoll=debug,info").is_ok());
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let error = parse("plimsoll=loud").unwrap_err();
        assert!(error.to_string().contains("'plimsoll=loud'"), "{error}");
    }
}
