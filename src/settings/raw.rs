//! What the file says, as it stands there, with the place of every key and value.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml_edit::{Document, Item, Key, TableLike, Value};

use super::error::{Place, SettingsError};

pub(super) type Entries = BTreeMap<String, Entry>;

/// A key of a table and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key_place: Place,
    pub node: Node,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Raw,
}

#[derive(Clone, Debug)]
pub(super) enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime,
    List(Vec<Node>),
    Table(Entries),
}

/// Turns byte offsets into lines and columns.
struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
}

/// Reads TOML; the only error is one of syntax.
pub(super) fn parse(text: &str, file: &Arc<str>) -> Result<Entries, SettingsError> {
    let lines = Lines::new(text, file);
    match Document::parse(text) {
        Ok(document) => Ok(entries(document.as_table(), &lines, &Place::File(file.clone()))),
        Err(error) => {
            let place = error.span().map_or_else(|| Place::File(file.clone()), |span| lines.place(span.start));
            let message = format!("is not valid TOML: {}", error.message().trim_end().replace('\n', ", "));
            Err(SettingsError { place, key: String::new(), message })
        }
    }
}

impl Raw {
    /// How an error message calls what it found.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Puts `text` at the dotted path, over whatever the file says there.
pub(super) fn overlay(entries: &mut Entries, path: &[&str], text: &str, place: &Place) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let node = Node { place: place.clone(), value: Raw::Text(text.to_owned()) };
        entries.insert((*first).to_owned(), Entry { key_place: place.clone(), node });
        return;
    }
    let inner = entries.entry((*first).to_owned()).or_insert_with(|| Entry {
        key_place: place.clone(),
        node: Node { place: place.clone(), value: Raw::Table(Entries::new()) },
    });
    // Anything but a table is an error of the file, which is told when it is read.
    if let Raw::Table(inner) = &mut inner.node.value {
        overlay(inner, rest, text, place);
    }
}

/// Makes `a.b = 1` inside a table the same as `"a.b" = 1`, for names that contain dots.
pub(super) fn flatten(entries: Entries) -> Entries {
    let mut flat = Entries::new();
    for (name, entry) in entries {
        let Raw::Table(inner) = entry.node.value else {
            flat.insert(name, entry);
            continue;
        };
        for (rest, entry) in flatten(inner) {
            flat.insert(format!("{name}.{rest}"), entry);
        }
    }
    flat
}

fn entries(table: &dyn TableLike, lines: &Lines<'_>, around: &Place) -> Entries {
    let mut entries = Entries::new();
    for (name, item) in table.iter() {
        let key_place = table.key(name).and_then(Key::span).map(|span| lines.place(span.start));
        let item_place = item.span().map(|span| lines.place(span.start));
        let key_place = key_place.or_else(|| item_place.clone()).unwrap_or_else(|| around.clone());
        let place = item_place.unwrap_or_else(|| key_place.clone());
        if let Some(node) = item_node(item, lines, place) {
            entries.insert(name.to_owned(), Entry { key_place, node });
        }
    }
    entries
}

fn item_node(item: &Item, lines: &Lines<'_>, place: Place) -> Option<Node> {
    let value = match item {
        Item::None => return None,
        Item::Value(value) => return Some(value_node(value, lines, &place)),
        Item::Table(table) => Raw::Table(entries(table, lines, &place)),
        Item::ArrayOfTables(tables) => {
            let nodes = tables.iter().map(|table| {
                let place = table.span().map_or_else(|| place.clone(), |span| lines.place(span.start));
                Node { value: Raw::Table(entries(table, lines, &place)), place }
            });
            Raw::List(nodes.collect())
        }
    };
    Some(Node { place, value })
}

fn value_node(value: &Value, lines: &Lines<'_>, around: &Place) -> Node {
    let place = value.span().map_or_else(|| around.clone(), |span| lines.place(span.start));
    let value = match value {
        Value::String(text) => Raw::Text(text.value().clone()),
        Value::Integer(integer) => Raw::Integer(*integer.value()),
        Value::Float(float) => Raw::Float(*float.value()),
        Value::Boolean(boolean) => Raw::Boolean(*boolean.value()),
        Value::Datetime(_) => Raw::Datetime,
        Value::Array(array) => Raw::List(array.iter().map(|value| value_node(value, lines, &place)).collect()),
        Value::InlineTable(table) => Raw::Table(entries(table, lines, &place)),
    };
    Node { place, value }
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, file: &Arc<str>) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.clone(), text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        Place::Line { file: self.file.clone(), line, column: before.chars().count() + 1 }
    }
}
