//! The shared library of ONNX Runtime.

use std::fmt;
use std::path::PathBuf;

use ort::environment::Environment;

use super::OnnxError;

/// Names the library where the configuration does not.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where the library is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// Somebody has named it: that it is not there is an error.
    Named(PathBuf),
    /// Wherever the system finds it, if it does.
    System,
}

/// One per process; clones share it.
#[derive(Clone)]
pub struct Runtime {
    pub(super) environment: Environment,
}

impl Library {
    /// The configured one, or the one of the environment.
    #[must_use]
    pub fn locate(configured: Option<PathBuf>, variable: Option<std::ffi::OsString>) -> Self {
        let named = configured.or_else(|| variable.filter(|path| !path.is_empty()).map(PathBuf::from));
        named.map_or(Self::System, Self::Named)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Named(path) if path.is_relative() && path.components().count() > 1 => {
                // Relative to the working directory, as every path of the configuration.
                std::path::absolute(path).unwrap_or_else(|_| path.clone())
            }
            Self::Named(path) => path.clone(),
            Self::System => {
                let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
                PathBuf::from(format!("{before}onnxruntime{after}"))
            }
        }
    }
}

impl Runtime {
    /// Loads the library. A process has one: the first that could be loaded stays.
    pub fn load(library: &Library) -> Result<Self, OnnxError> {
        let path = library.path();
        let failed = |reason: String| OnnxError::Library { library: path.display().to_string(), reason };
        let builder = ort::init_from(&path).map_err(|error| failed(error.to_string()))?;
        let environment = builder.with_name("plimsoll").with_telemetry(false).build();
        Ok(Self { environment: environment.map_err(|error| failed(error.to_string()))? })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_wins_over_the_environment_and_an_empty_variable_is_none() {
        let variable = |text: &str| Some(std::ffi::OsString::from(text));
        assert_eq!(Library::locate(Some("/a".into()), variable("/b")), Library::Named("/a".into()));
        assert_eq!(Library::locate(None, variable("/b")), Library::Named("/b".into()));
        assert_eq!(Library::locate(None, variable("")), Library::System);
    }

    #[test]
    fn a_library_that_is_not_there_is_an_error_that_says_what_to_do() {
        let error = Runtime::load(&Library::Named("/no/such/libonnxruntime.so".into())).unwrap_err().to_string();
        assert!(error.contains("/no/such/libonnxruntime.so") && error.contains("serving.onnxruntime"), "{error}");
    }
}
