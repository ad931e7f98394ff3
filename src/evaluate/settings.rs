//! Where the SQL checks are and what they may use.

use std::path::PathBuf;

use crate::clock::Span;

#[derive(Clone, Debug)]
pub struct ChecksSettings {
    /// Folder of `.sql` files.
    pub directory: PathBuf,
    /// Longest time one check may run on one window.
    pub timeout: Span,
    /// Memory of all running checks, in bytes.
    pub memory: usize,
}
