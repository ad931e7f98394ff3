//! One JSON value, and what each field of an event takes it for.

use std::fmt;

use jiter::JsonValue;

use super::rejection::{Fault, Path};
use super::time;
use crate::event::Reason;
use crate::model::FeatureKind;

/// A JSON value whose inside, if it is an array or object, no field wants.
#[derive(Clone, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, as decimal text.
    Big(String),
    Float(f64),
    Text(&'a str),
    Array,
    Object,
}

/// A piece of an [`Arena`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    start: usize,
    end: usize,
}

/// The texts of one event, in one buffer that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Arena(String);

/// The value of one feature of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Cell {
    #[default]
    Missing,
    Number(f64),
    Text(Slice),
}

/// A number as the text of a category or label: the shortest that reads back the same, `1` for `1.0`.
#[derive(Clone, Copy, Debug)]
pub struct NumberText(pub f64);

impl fmt::Display for NumberText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns -0.0 into 0.0: one category, not two.
        write!(f, "{}", self.0 + 0.0)
    }
}

impl Arena {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, text: &str) -> Slice {
        let start = self.0.len();
        self.0.push_str(text);
        Slice { start, end: self.0.len() }
    }

    pub(super) fn get(&self, slice: Slice) -> &str {
        self.0.get(slice.start..slice.end).unwrap_or("")
    }

    fn push_number(&mut self, number: impl fmt::Display) -> Slice {
        use fmt::Write as _;
        let start = self.0.len();
        // Writing into a String cannot fail.
        let _ = write!(self.0, "{number}");
        Slice { start, end: self.0.len() }
    }

    fn push_bool(&mut self, value: bool) -> Slice {
        self.push(if value { "true" } else { "false" })
    }
}

impl Scalar<'_> {
    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether a producer says with this value that its prediction failed.
    pub(super) const fn tells_error(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    pub(super) fn number(&self, path: Path<'_>) -> Result<Option<f64>, Fault> {
        let number = match self {
            Self::Null => return Ok(None),
            Self::Int(int) => *int as f64,
            Self::Float(float) => *float,
            Self::Big(digits) => digits.parse().unwrap_or(f64::INFINITY),
            _ => return Err(Fault::wrong_type(path, "a number", self.kind())),
        };
        if number.is_finite() { Ok(Some(number)) } else { Err(Fault::not_finite(path)) }
    }

    /// A text or an integer; none for null.
    pub(super) fn identifier(&self, path: Path<'_>, arena: &mut Arena) -> Result<Option<Slice>, Fault> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(arena.push(text))),
            Self::Int(int) => Ok(Some(arena.push_number(int))),
            Self::Big(digits) => Ok(Some(arena.push(digits))),
            _ => Err(Fault::wrong_type(path, "a string or an integer", self.kind())),
        }
    }

    /// A text, a boolean or a whole number; none for null.
    pub(super) fn label(&self, path: Path<'_>, arena: &mut Arena) -> Result<Option<Slice>, Fault> {
        match self {
            Self::Bool(value) => Ok(Some(arena.push_bool(*value))),
            Self::Float(float) if float.is_infinite() => Err(Fault::not_finite(path)),
            Self::Float(float) if float.fract() == 0.0 => Ok(Some(arena.push_number(NumberText(*float)))),
            Self::Null | Self::Text(_) | Self::Int(_) | Self::Big(_) => self.identifier(path, arena),
            _ => Err(Fault::wrong_type(path, "a string, an integer or a boolean", self.kind())),
        }
    }

    /// A text, a boolean or any number; none for null.
    pub(super) fn category(&self, path: Path<'_>, arena: &mut Arena) -> Result<Option<Slice>, Fault> {
        match self {
            Self::Array | Self::Object => Err(Fault::wrong_type(path, "a string, a number or a boolean", self.kind())),
            Self::Float(float) if float.is_finite() => Ok(Some(arena.push_number(NumberText(*float)))),
            _ => self.label(path, arena),
        }
    }

    /// RFC 3339 or milliseconds since the epoch; none for null.
    pub(super) fn time(&self, path: Path<'_>) -> Result<Option<i64>, Fault> {
        let millis = match self {
            Self::Null => return Ok(None),
            Self::Text(text) => time::millis_of_text(text),
            Self::Int(int) => time::millis_of_integer(*int),
            Self::Float(float) if float.is_infinite() => return Err(Fault::not_finite(path)),
            Self::Float(float) => time::millis_of_float(*float),
            Self::Big(_) => None,
            _ => return Err(Fault::wrong_type(path, "RFC 3339 or epoch milliseconds", self.kind())),
        };
        let not_a_time = || {
            let detail = "not a time: write RFC 3339 such as 2018-10-30T18:00:00Z, or milliseconds since 1970";
            Fault::of_field(Reason::WrongType, path, detail.to_owned())
        };
        millis.map(Some).ok_or_else(not_a_time)
    }

    /// The value of a feature of this kind.
    pub(super) fn cell(&self, kind: FeatureKind, path: Path<'_>, arena: &mut Arena) -> Result<Cell, Fault> {
        match kind {
            FeatureKind::Numeric => Ok(self.number(path)?.map_or(Cell::Missing, Cell::Number)),
            FeatureKind::Categorical => Ok(self.category(path, arena)?.map_or(Cell::Missing, Cell::Text)),
        }
    }

    /// The value of a feature that nothing is known of: numbers are numeric, texts and booleans categorical.
    pub(super) fn cell_of_new_feature(&self, path: Path<'_>, arena: &mut Arena) -> Result<Cell, Fault> {
        match self {
            Self::Int(_) | Self::Big(_) | Self::Float(_) => self.cell(FeatureKind::Numeric, path, arena),
            _ => self.cell(FeatureKind::Categorical, path, arena),
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Big(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

impl<'a> From<&'a JsonValue<'_>> for Scalar<'a> {
    fn from(value: &'a JsonValue<'_>) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(value) => Self::Bool(*value),
            JsonValue::Int(int) => Self::Int(*int),
            JsonValue::BigInt(int) => Self::Big(int.to_string()),
            JsonValue::Float(float) => Self::Float(*float),
            JsonValue::Str(text) => Self::Text(text),
            JsonValue::Array(_) => Self::Array,
            JsonValue::Object(_) => Self::Object,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Path<'static> = Path::Field("field");

    fn category(scalar: &Scalar<'_>) -> Option<String> {
        let mut arena = Arena::default();
        let slice = scalar.category(PATH, &mut arena).ok()??;
        Some(arena.get(slice).to_owned())
    }

    #[test]
    fn equal_numbers_are_one_category() {
        for scalar in [Scalar::Int(1), Scalar::Float(1.0)] {
            assert_eq!(category(&scalar).as_deref(), Some("1"));
        }
        assert_eq!(category(&Scalar::Float(-0.0)).as_deref(), Some("0"));
        assert_eq!(category(&Scalar::Float(1.5)).as_deref(), Some("1.5"));
        assert_eq!(category(&Scalar::Bool(true)).as_deref(), Some("true"));
        assert_eq!(category(&Scalar::Float(f64::INFINITY)), None);
    }

    #[test]
    fn an_integer_beyond_the_floats_is_not_finite() {
        let fault = Scalar::Big("9".repeat(400)).number(PATH).unwrap_err();
        assert_eq!(fault, Fault::not_finite(PATH));
        assert_eq!(
            Scalar::Big("18446744073709551616".into()).number(PATH).unwrap(),
            Some(18_446_744_073_709_551_616.0)
        );
    }

    #[test]
    fn a_label_is_whole() {
        let mut arena = Arena::default();
        assert!(Scalar::Float(0.5).label(PATH, &mut arena).is_err());
        let slice = Scalar::Float(2.0).label(PATH, &mut arena).unwrap().unwrap();
        assert_eq!(arena.get(slice), "2");
    }
}
