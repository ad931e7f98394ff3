//! Reads the keys of one table, collecting what is wrong instead of stopping at it.

use super::error::{Place, Problems};
use super::keys::unknown;
use super::raw::{Entries, Node, Raw};
use super::suggest::nearest;

/// A table and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    path: String,
    place: Place,
    entries: &'a Entries,
}

static NOTHING: Entries = Entries::new();

impl<'a> Section<'a> {
    pub(super) fn root(entries: &'a Entries, place: Place) -> Self {
        Self { path: String::new(), place, entries }
    }

    /// The dotted path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let key = if is_bare { key.to_owned() } else { format!("\"{key}\"") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().map(String::as_str)
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.get(key).map(|entry| &entry.node)
    }

    /// Whether nothing was reported of these keys, so that they may be compared with each other.
    pub(super) fn are_sound(&self, keys: &[&str], problems: &Problems) -> bool {
        keys.iter().all(|key| problems.is_sound(&self.path_of(key)))
    }

    /// Reports something wrong with the value of `key`, or with the table if the key is absent.
    pub(super) fn report(&self, key: &str, message: impl Into<String>, problems: &mut Problems) {
        let place = self.node(key).map_or(&self.place, |node| &node.place);
        problems.report(place, self.path_of(key), message);
    }

    /// Reports `key` if it is absent; `advice` says what to write.
    pub(super) fn require(&self, key: &str, advice: &str, problems: &mut Problems) {
        if !self.has(key) {
            problems.report(&self.place, self.path_of(key), format!("is missing: {advice}"));
        }
    }

    /// Reports keys that are not among `known`.
    pub(super) fn reject_unknown(&self, known: &[&str], problems: &mut Problems) {
        for (key, entry) in self.entries {
            if !known.contains(&key.as_str()) {
                let near = nearest(key, known.iter().copied());
                problems.report(&entry.key_place, self.path_of(key), unknown("key", near));
            }
        }
    }

    /// The value of `key`, if present and good; `read` says what is wrong with it otherwise.
    pub(super) fn value<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        read: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node(key)?;
        match read(node) {
            Ok(value) => Some(value),
            Err(message) => {
                problems.report(&node.place, self.path_of(key), message);
                None
            }
        }
    }

    /// The good elements of a list without repeats. One string is a list of one; outside the file commas separate.
    pub(super) fn list<T: PartialEq>(
        &self,
        key: &str,
        problems: &mut Problems,
        read: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let node = self.node(key)?;
        let mut values = Vec::new();
        for (path, node) in self.elements(key, node, problems)? {
            match read(&node) {
                Ok(value) if values.contains(&value) => {
                    problems.report(&node.place, path, "repeats an earlier element: write each once");
                }
                Ok(value) => values.push(value),
                Err(message) => problems.report(&node.place, path, message),
            }
        }
        Some(values)
    }

    /// As [`Section::list`], and not empty.
    pub(super) fn some<T: PartialEq>(
        &self,
        key: &str,
        problems: &mut Problems,
        read: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let values = self.list(key, problems, read)?;
        if values.is_empty() && self.are_sound(&[key], problems) {
            self.report(key, "is empty: write at least one element, or leave the key out for its default", problems);
        }
        Some(values)
    }

    /// The table under `key`; an empty one if it is absent or no table.
    pub(super) fn table(&self, key: &str, problems: &mut Problems) -> Section<'a> {
        let path = self.path_of(key);
        let Some(node) = self.node(key) else {
            return Section { path, place: self.place.clone(), entries: &NOTHING };
        };
        let Raw::Table(entries) = &node.value else {
            problems.report(&node.place, &path, format!("must be a table, not {}", node.value.kind()));
            return Section { path, place: node.place.clone(), entries: &NOTHING };
        };
        Section { path, place: node.place.clone(), entries }
    }

    /// The tables under `[[key]]`.
    pub(super) fn tables(&self, key: &str, problems: &mut Problems) -> Vec<Section<'a>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Raw::List(nodes) = &node.value else {
            self.report(key, format!("must be a list of tables: write [[{key}]] above each"), problems);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            match &node.value {
                Raw::Table(entries) => sections.push(Section { path, place: node.place.clone(), entries }),
                other => problems.report(&node.place, path, format!("must be a table, not {}", other.kind())),
            }
        }
        sections
    }

    fn elements(&self, key: &str, node: &Node, problems: &mut Problems) -> Option<Vec<(String, Node)>> {
        let path = self.path_of(key);
        match &node.value {
            Raw::List(nodes) => {
                let named = nodes.iter().enumerate().map(|(index, node)| (format!("{path}[{index}]"), node.clone()));
                Some(named.collect())
            }
            Raw::Text(text) if !node.place.is_file() => {
                let of = |text: &str| Node { place: node.place.clone(), value: Raw::Text(text.trim().to_owned()) };
                Some(text.split(',').map(|text| (path.clone(), of(text))).collect())
            }
            Raw::Text(_) => Some(vec![(path, node.clone())]),
            other => {
                problems.report(&node.place, path, format!("must be a list of strings, not {}", other.kind()));
                None
            }
        }
    }
}
