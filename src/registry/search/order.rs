//! Orders: `metrics.loss ASC`, several of which are taken one after the other.

use std::cmp::Ordering;

use super::fields::field_of;
use super::{Field, LONGEST, SearchError, Searchable};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    fields: Vec<(Field, bool)>,
}

impl Order {
    pub fn parse<T: Searchable>(texts: &[String]) -> Result<Self, SearchError> {
        let mut fields = Vec::new();
        for text in texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
            let wrong = |reason: String| SearchError(format!("Invalid order_by clause '{text}': {reason}"));
            if text.len() > LONGEST || fields.len() == 100 {
                return Err(SearchError("Invalid order_by: it is too long".to_owned()));
            }
            let (name, descending) = match text.rsplit_once(char::is_whitespace) {
                Some((name, word)) if word.eq_ignore_ascii_case("desc") => (name, true),
                Some((name, word)) if word.eq_ignore_ascii_case("asc") => (name, false),
                _ => (text, false),
            };
            let name: String = name.trim().chars().filter(|c| !matches!(c, '`' | '"')).collect();
            if name.contains(char::is_whitespace) && !name.contains('.') && !name.eq_ignore_ascii_case("run name") {
                return Err(wrong("write a field, and ASC or DESC".to_owned()));
            }
            let field = field_of(&name).map_err(wrong)?;
            T::field_type(&field)?;
            fields.push((field, descending));
        }
        Ok(Self { fields })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Rows without a value go last, whichever the direction.
    #[must_use]
    pub fn compare<T: Searchable>(&self, a: &T, b: &T) -> Ordering {
        for (field, descending) in &self.fields {
            let order = match (a.value(field), b.value(field)) {
                (Some(a), Some(b)) if *descending => b.order(&a),
                (Some(a), Some(b)) => a.order(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}
