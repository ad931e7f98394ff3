//! What is wrong with the settings, where, and what would be right.

use std::fmt;
use std::sync::Arc;

/// Where a value was written. Ordered as errors are printed: file, then environment, then flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(Arc<str>),
    /// Line and column count from 1.
    Line { file: Arc<str>, line: usize, column: usize },
    /// An environment variable.
    Variable(String),
    /// A `--set` flag, by its key.
    Flag(String),
}

/// One wrong setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    pub place: Place,
    /// Dotted path such as `model[0].windows[1]`; empty when the error is not about one key.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors {
    pub file: String,
    pub errors: Vec<SettingsError>,
}

/// Collects errors while the settings are read, so that all of them are told at once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<SettingsError>,
}

impl Place {
    /// Whether the value stands in the file, where it has a type; elsewhere everything is text.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_) | Self::Line { .. })
    }
}

impl SettingsErrors {
    pub(super) fn single(file: &str, message: String) -> Self {
        let error = SettingsError { place: Place::File(file.into()), key: String::new(), message };
        Self { file: file.to_owned(), errors: vec![error] }
    }
}

impl Problems {
    pub(super) fn report(&mut self, place: &Place, key: impl Into<String>, message: impl Into<String>) {
        self.errors.push(SettingsError { place: place.clone(), key: key.into(), message: message.into() });
    }

    /// Whether nothing was reported of `key` or of anything inside it.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        !self.errors.iter().any(|error| {
            error.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// `value` if nothing was reported.
    pub(super) fn settle<T>(mut self, file: &str, value: T) -> Result<T, SettingsErrors> {
        if self.errors.is_empty() {
            return Ok(value);
        }
        self.errors.sort_by(|a, b| a.place.cmp(&b.place));
        Err(SettingsErrors { file: file.to_owned(), errors: self.errors })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line { file, line, .. } => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(key) => write!(f, "--set {key}"),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named_by_flag = matches!(&self.place, Place::Flag(key) if *key == self.key);
        if self.key.is_empty() || named_by_flag {
            return write!(f, "{}: {}", self.place, self.message);
        }
        write!(f, "{}: {}: {}", self.place, self.key, self.message)
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
