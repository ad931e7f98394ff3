//! The ingest role: events become pane counts and join rows.

mod settings;

pub use settings::IngestSettings;
