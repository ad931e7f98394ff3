//! HTTP: events in, tables and the first page out.

mod settings;

pub use settings::HttpSettings;
