//! Where gates are, and how strict they are.

use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Folder of `.sql` files, read anew at every run.
    pub directory: PathBuf,
    /// Whether a person must agree before a version that passed is staged.
    pub approval: bool,
    /// Whether a version must have passed before anybody can stage it, put it into production or make it the champion.
    pub enforce: bool,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self { directory: PathBuf::from("sql/gates"), approval: false, enforce: false }
    }
}
