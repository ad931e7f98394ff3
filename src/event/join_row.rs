//! What ingest hands to join: the little of each event that performance needs, re-keyed by id.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{IdHash, SourcePartition, SourceWatermark, key_of, parts_of};
use crate::clock::{Span, Timestamp};

/// Many rows in one Kafka message; rows are deltas, in the order of their source offsets.
///
/// Texts stand in a table and are named by their place in it: nearly all of them are the same in every row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinBlock {
    pub source: SourcePartition,
    /// How far the source's event time has come with these rows; only now and then.
    pub watermarks: Vec<SourceWatermark>,
    texts: Vec<String>,
    rows: Vec<PackedRow>,
}

/// A row of a block, whose texts are the block's.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinRow<'a> {
    pub model: &'a str,
    pub id: IdHash,
    pub time: Timestamp,
    /// Offset in the source partition; join drops rows at or below its high-water mark.
    pub offset: i64,
    /// How far the event time of the source had come beyond this row's, when the row came.
    pub behind: Span,
    pub kind: JoinRowKind<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JoinRowKind<'a> {
    Prediction {
        version: &'a str,
        variant: &'a str,
        /// `feature=value` of every configured segment.
        segments: Vec<&'a str>,
        label: Option<&'a str>,
        score: Option<f64>,
        scores: Option<ClassScores>,
    },
    Outcome {
        label: &'a str,
    },
}

/// The probabilities that a multiclass model gave, beside the names of their classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The names as one text, see [`super::key_of`]: nearly all rows have the same.
    pub classes: String,
    /// NaN for a class that the event left out.
    pub probabilities: Vec<f64>,
}

/// A [`JoinRow`] whose texts are in a [`TextTable`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedRow {
    pub model: Text,
    pub id: IdHash,
    pub time: Timestamp,
    pub offset: i64,
    pub behind: Span,
    pub kind: PackedKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PackedKind {
    Prediction {
        version: Text,
        variant: Text,
        segments: Vec<Text>,
        label: Option<Text>,
        score: Option<f64>,
        /// The classes' names and their probabilities.
        probabilities: Option<(Text, Vec<f64>)>,
    },
    Outcome {
        label: Text,
    },
}

/// The place of a text in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(u32);

/// Each text once.
#[derive(Debug, Default)]
pub struct TextTable {
    texts: Vec<String>,
    places: HashMap<String, u32>,
}

impl JoinBlock {
    /// Packs rows whose texts are in `table`; takes over those that occur.
    #[must_use]
    pub fn new(source: SourcePartition, rows: &[PackedRow], table: &TextTable) -> Self {
        let mut taken = Taken { table, places: vec![None; table.texts.len()], texts: Vec::new() };
        let rows = rows
            .iter()
            .map(|row| PackedRow { model: taken.place(row.model), kind: taken.kind(&row.kind), ..*row })
            .collect();
        Self { source, watermarks: Vec::new(), texts: taken.texts, rows }
    }

    /// The rows with their texts; those with a text that is not in the table are not ingest's and are left out.
    pub fn rows(&self) -> impl Iterator<Item = JoinRow<'_>> {
        self.rows.iter().filter_map(|row| self.row(row))
    }

    /// How many rows there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rows.len()
    }

    /// The models of the rows.
    #[must_use]
    pub fn models(&self) -> BTreeSet<&str> {
        let names: BTreeSet<u32> = self.rows.iter().map(|row| row.model.0).collect();
        names.into_iter().filter_map(|name| self.texts.get(name as usize).map(String::as_str)).collect()
    }

    fn row(&self, row: &PackedRow) -> Option<JoinRow<'_>> {
        let text = |text: Text| self.texts.get(text.0 as usize).map(String::as_str);
        let kind = match &row.kind {
            PackedKind::Outcome { label } => JoinRowKind::Outcome { label: text(*label)? },
            PackedKind::Prediction { version, variant, segments, label, score, probabilities } => {
                JoinRowKind::Prediction {
                    version: text(*version)?,
                    variant: text(*variant)?,
                    segments: segments.iter().map(|segment| text(*segment)).collect::<Option<_>>()?,
                    label: match label {
                        Some(label) => Some(text(*label)?),
                        None => None,
                    },
                    score: *score,
                    scores: match probabilities {
                        Some((classes, probabilities)) => Some(ClassScores {
                            classes: text(*classes)?.to_owned(),
                            probabilities: probabilities.clone(),
                        }),
                        None => None,
                    },
                }
            }
        };
        let PackedRow { id, time, offset, behind, .. } = *row;
        Some(JoinRow { model: text(row.model)?, id, time, offset, behind, kind })
    }
}

impl PackedKind {
    /// How many probabilities the row has.
    #[must_use]
    pub fn probabilities(&self) -> usize {
        match self {
            Self::Prediction { probabilities: Some((_, probabilities)), .. } => probabilities.len(),
            _ => 0,
        }
    }
}

impl ClassScores {
    /// The probability of each of these classes; none where it is not known.
    pub fn of<'a>(&'a self, classes: &'a [String]) -> Box<dyn Iterator<Item = Option<f64>> + 'a> {
        let known = |probability: f64| (!probability.is_nan()).then_some(probability);
        if self.classes == key_of(&classes.iter().map(String::as_str).collect::<Vec<_>>()) {
            return Box::new(self.probabilities.iter().map(move |probability| known(*probability)));
        }
        let names = parts_of(&self.classes);
        let of_class = move |class: &String| {
            let place = names.iter().position(|name| name == class)?;
            known(*self.probabilities.get(place)?)
        };
        Box::new(classes.iter().map(of_class))
    }
}

impl TextTable {
    /// The place of `text`, which is added if it is new.
    pub fn place(&mut self, text: &str) -> Text {
        if let Some(place) = self.places.get(text) {
            return Text(*place);
        }
        // Rows are cut into blocks long before there are this many.
        let place = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        Text(place)
    }

    /// Like [`TextTable::place`], quicker when it is the text at `expected`.
    pub fn place_near(&mut self, text: &str, expected: &mut Option<Text>) -> Text {
        if let Some(place) = *expected
            && self.texts.get(place.0 as usize).is_some_and(|known| known == text)
        {
            return place;
        }
        let place = self.place(text);
        *expected = Some(place);
        place
    }

    pub fn clear(&mut self) {
        self.texts.clear();
        self.places.clear();
    }
}

/// The texts of one block, taken from a larger table.
struct Taken<'a> {
    table: &'a TextTable,
    places: Vec<Option<Text>>,
    texts: Vec<String>,
}

impl Taken<'_> {
    fn place(&mut self, text: Text) -> Text {
        let index = text.0 as usize;
        if let Some(Some(place)) = self.places.get(index) {
            return *place;
        }
        let place = Text(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.extend(self.table.texts.get(index).cloned());
        if let Some(known) = self.places.get_mut(index) {
            *known = Some(place);
        }
        place
    }

    fn kind(&mut self, kind: &PackedKind) -> PackedKind {
        match kind {
            PackedKind::Outcome { label } => PackedKind::Outcome { label: self.place(*label) },
            PackedKind::Prediction { version, variant, segments, label, score, probabilities } => {
                PackedKind::Prediction {
                    version: self.place(*version),
                    variant: self.place(*variant),
                    segments: segments.iter().map(|segment| self.place(*segment)).collect(),
                    label: label.map(|label| self.place(label)),
                    score: *score,
                    probabilities: probabilities
                        .as_ref()
                        .map(|(classes, probabilities)| (self.place(*classes), probabilities.clone())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(table: &mut TextTable, offset: i64, label: &str) -> PackedRow {
        PackedRow {
            model: table.place("m"),
            id: IdHash(u128::MAX - 7),
            time: Timestamp::from_millis(5),
            offset,
            behind: Span::from_secs(3),
            kind: PackedKind::Prediction {
                version: table.place("1"),
                variant: table.place("default"),
                segments: vec![table.place("country=PT"), table.place(label)],
                label: Some(table.place(label)),
                score: Some(0.25),
                probabilities: Some((table.place("no/yes"), vec![0.25, f64::INFINITY])),
            },
        }
    }

    #[test]
    fn rows_come_out_as_they_went_in_and_bring_only_their_own_texts() {
        let mut table = TextTable::default();
        let rows = [packed(&mut table, 1, "yes"), packed(&mut table, 2, "no"), packed(&mut table, 3, "no")];
        let source = SourcePartition { topic: "t".into(), partition: 0 };
        let block = JoinBlock::new(source, &rows[1..], &table);
        assert!(!block.texts.contains(&"yes".to_owned()));
        let unpacked: Vec<JoinRow<'_>> = block.rows().collect();
        assert_eq!(unpacked.iter().map(|row| row.offset).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((unpacked[0].model, unpacked[0].id), ("m", IdHash(u128::MAX - 7)));
        assert_eq!((unpacked[0].time, unpacked[0].behind), (Timestamp::from_millis(5), Span::from_secs(3)));
        let JoinRowKind::Prediction { version, variant, segments, label, score, scores } = &unpacked[0].kind else {
            panic!("no prediction")
        };
        assert_eq!((*version, *variant, *label), ("1", "default", Some("no")));
        assert_eq!(segments, &["country=PT", "no"]);
        assert_eq!(*score, Some(0.25));
        let expected = ClassScores { classes: "no/yes".to_owned(), probabilities: vec![0.25, f64::INFINITY] };
        assert_eq!(scores.as_ref(), Some(&expected));
    }

    #[test]
    fn probabilities_are_found_by_the_names_of_their_classes() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let scores = ClassScores { classes: key_of(&["a/b", "c", "%"]), probabilities: vec![0.5, f64::NAN, 0.25] };
        let of = |classes: &[&str]| scores.of(&names(classes)).collect::<Vec<_>>();
        assert_eq!(of(&["a/b", "c", "%"]), [Some(0.5), None, Some(0.25)]);
        assert_eq!(of(&["%", "a/b", "new"]), [Some(0.25), Some(0.5), None]);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn a_text_has_one_place_whatever_was_expected() {
        let mut table = TextTable::default();
        let (a, b) = (table.place("a"), table.place("b"));
        let mut expected = None;
        for (text, place) in [("a", a), ("a", a), ("b", b), ("a", a)] {
            assert_eq!(table.place_near(text, &mut expected), place);
            assert_eq!(expected, Some(place));
        }
    }

    #[test]
    fn a_row_with_a_text_that_is_not_there_is_left_out() {
        let mut table = TextTable::default();
        let rows = [packed(&mut table, 1, "yes")];
        let source = SourcePartition { topic: "t".into(), partition: 0 };
        let mut block = JoinBlock::new(source, &rows, &table);
        block.texts.pop();
        assert_eq!(block.rows().count(), 0);
    }
}
