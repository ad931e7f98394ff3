//! Names of artifacts, which must not lead anywhere else.

use std::fmt;

use super::ArtifactError;

/// A relative path below the place of all artifacts; the root has no parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactPath {
    parts: Vec<String>,
}

const LONGEST: usize = 1_024;
const LONGEST_PART: usize = 200;

impl ArtifactPath {
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as it stands in a URL, once decoded.
    pub fn parse(text: &str) -> Result<Self, ArtifactError> {
        let refused = |reason| ArtifactError::Path { path: text.chars().take(200).collect(), reason };
        if text.len() > LONGEST {
            return Err(refused("it is too long"));
        }
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if trimmed.is_empty() {
            return if text.is_empty() { Ok(Self::root()) } else { Err(refused("it is absolute")) };
        }
        // Somebody behind us might decode it once more.
        let lower = trimmed.to_ascii_lowercase();
        if ["%2e", "%2f", "%5c", "%25", "%00"].iter().any(|coded| lower.contains(coded)) {
            return Err(refused("it is encoded twice"));
        }
        if trimmed.contains('\\') || trimmed.chars().any(char::is_control) {
            return Err(refused("it holds a backslash or a control character"));
        }
        if trimmed.starts_with('/') {
            return Err(refused("it is absolute"));
        }
        let parts: Vec<String> = trimmed.split('/').map(str::to_owned).collect();
        if parts.iter().any(|part| part == "." || part == "..") {
            return Err(refused("it climbs out of its folder"));
        }
        if parts.iter().any(|part| part.is_empty() || part.len() > LONGEST_PART) {
            return Err(refused("one of its parts is empty or too long"));
        }
        Ok(Self { parts })
    }

    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self { parts: self.parts.iter().chain(&other.parts).cloned().collect() }
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.parts
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("/"))
    }
}
