//! The evaluate role: panes become windows, windows become verdicts, verdicts become alerts and retraining requests.

pub mod checks;
mod settings;

pub use settings::ChecksSettings;
