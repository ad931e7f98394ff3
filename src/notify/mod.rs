//! The notify role: firing and resolved alerts reach people, at least once, with a key against repeats.

mod settings;

pub use settings::EmailSettings;
