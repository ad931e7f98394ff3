//! Both files become counts: the reference column by column, since bins need all its values, the current file row by row.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use indicatif::ProgressBar;

use super::layout::{ComparedColumn, InBoth, Layout};
use super::loaded::Loaded;
use crate::clock::Timestamp;
use crate::codec::files::column::{as_numeric, as_text, as_time};
use crate::codec::files::{ColumnError, DataFile, FileError};
use crate::model::{FeatureKind, WindowSize};
use crate::profile::{Anchors, ColumnAnchors, ColumnProfile, Profile, ValueAnchors, Values};

const BATCH_ROWS: usize = 65_536;
/// NannyML's threshold is a matter of how the reference's tenths differ; what is left over is one more.
const CHUNKS: usize = 10;
/// Values of the reference that are held at a time, in bytes; sorting a column takes its size once more.
const BUDGET: u64 = 384 << 20;
/// What a value takes while it is held.
const BYTES_PER_VALUE: u64 = 8;

/// The reference: its bins and its counts.
#[derive(Debug)]
pub(super) struct ReferenceSide {
    pub(super) rows: u64,
    pub(super) anchors: Anchors,
    /// Where each column of the anchors is.
    pub(super) columns: Vec<ComparedColumn>,
    pub(super) whole: Profile,
    pub(super) segments: BTreeMap<String, Profile>,
    /// Equal pieces of the whole, one after the other.
    pub(super) chunks: Vec<Profile>,
    /// Columns that cannot be compared, and why.
    pub(super) refused: Vec<(String, FeatureKind, String)>,
}

/// A part of the current file that is judged by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) window: Option<Timestamp>,
    pub(super) segment: Option<String>,
}

/// The current file, by part.
#[derive(Debug, Default)]
pub(super) struct CurrentSide {
    pub(super) rows: u64,
    pub(super) parts: BTreeMap<Part, Profile>,
    /// Columns whose values are not what they are in the reference.
    pub(super) broken: BTreeMap<String, String>,
}

pub(super) fn read_reference(file: &DataFile, layout: &Layout, bar: &ProgressBar) -> Result<ReferenceSide, FileError> {
    let by_segment = rows_by_segment(file, &layout.segments)?;
    let rows_hint = file.rows();
    let mut side = ReferenceSide {
        rows: 0,
        anchors: Anchors::default(),
        columns: Vec::new(),
        whole: Profile::default(),
        segments: by_segment.keys().map(|segment| (segment.clone(), Profile::default())).collect(),
        chunks: vec![Profile::default(); CHUNKS + 1],
        refused: Vec::new(),
    };
    let mut left = &layout.compared[..];
    while !left.is_empty() {
        // Without a row count, as in CSV, the first column alone tells how many fit.
        let rows = rows_hint.or((side.rows > 0).then_some(side.rows));
        let fitting = rows.map_or(1, |rows| BUDGET / (rows * BYTES_PER_VALUE).max(1)).max(1);
        let (group, rest) = left.split_at(usize::try_from(fitting).unwrap_or(usize::MAX).min(left.len()));
        for (column, loaded) in group.iter().zip(load(file, group)?) {
            side.rows = side.rows.max(loaded.rows() as u64);
            side.take(column, &loaded, &by_segment);
            bar.inc(1);
        }
        left = rest;
    }
    side.whole.predictions = side.rows;
    for (segment, rows) in by_segment {
        side.segments.entry(segment).or_default().predictions = rows.len() as u64;
    }
    Ok(side)
}

impl ReferenceSide {
    fn take(&mut self, column: &ComparedColumn, loaded: &Loaded, by_segment: &BTreeMap<String, Vec<u32>>) {
        let name = column.place.name.clone();
        let values = match loaded.fit() {
            Ok(values) => values,
            Err(why) => return self.refused.push((name, column.kind, why)),
        };
        self.whole.columns.push(loaded.count(&values, None));
        let rows: Vec<u32> = (0..u32::try_from(loaded.rows()).unwrap_or(u32::MAX)).collect();
        let length = (rows.len() / CHUNKS).max(1);
        for (chunk, rows) in self.chunks.iter_mut().zip(rows.chunks(length)) {
            chunk.predictions = rows.len() as u64;
            chunk.columns.push(loaded.count(&values, Some(rows)));
        }
        for (segment, rows) in by_segment {
            let profile = self.segments.entry(segment.clone()).or_default();
            profile.columns.push(loaded.count(&values, Some(rows)));
        }
        self.anchors.columns.push(ColumnAnchors { name, values });
        self.columns.push(column.clone());
    }
}

pub(super) fn read_current(
    file: &DataFile,
    layout: &Layout,
    size: Option<WindowSize>,
    reference: &ReferenceSide,
    bar: &ProgressBar,
) -> Result<CurrentSide, FileError> {
    let mut wanted: Vec<usize> = reference.columns.iter().map(|column| column.place.current).collect();
    wanted.extend(layout.segments.iter().map(|segment| segment.current));
    wanted.extend(layout.time);
    let mut side = CurrentSide::default();
    for batch in batches(file, &wanted)? {
        let batch = batch?;
        let parts = parts_of(file, &batch, layout, size, side.rows)?;
        let mut profiles: Vec<(&Vec<usize>, Profile)> = Vec::new();
        for selected in parts.values() {
            let predictions = selected.len() as u64;
            profiles.push((selected, Profile { predictions, ..Profile::default() }));
        }
        for (column, anchors) in reference.columns.iter().zip(&reference.anchors.columns) {
            let values = values_of(column_named(&batch, &column.place.name), column.kind);
            if let Err(error) = &values {
                side.broken.entry(column.place.name.clone()).or_insert_with(|| error.to_string());
            }
            for (selected, profile) in &mut profiles {
                profile.columns.push(count(&anchors.values, values.as_ref().ok(), selected));
            }
        }
        let counted: Vec<Profile> = profiles.into_iter().map(|(_, profile)| profile).collect();
        for (part, profile) in parts.into_keys().zip(counted) {
            side.parts.entry(part).or_default().merge(&profile);
        }
        side.rows += batch.num_rows() as u64;
        bar.inc(batch.num_rows() as u64);
    }
    Ok(side)
}

/// Values of a column.
pub(super) enum Read {
    Numeric(Float64Array),
    Categorical(StringArray),
}

impl Read {
    pub(super) fn values(&self) -> Values<'_> {
        match self {
            Self::Numeric(array) => Values::numeric(array),
            Self::Categorical(array) => Values::categorical(array),
        }
    }
}

pub(super) fn values_of(column: Option<&ArrayRef>, kind: FeatureKind) -> Result<Read, ColumnError> {
    let Some(column) = column else { return Ok(Read::Numeric(Float64Array::new_null(0))) };
    Ok(match kind {
        FeatureKind::Numeric => Read::Numeric(as_numeric(column)?),
        FeatureKind::Categorical => Read::Categorical(as_text(column)?),
    })
}

/// Values that cannot be read as what the reference holds are missing.
fn count(anchors: &ValueAnchors, values: Option<&Read>, selected: &[usize]) -> ColumnProfile {
    let mut profile = ColumnProfile::empty(anchors);
    profile.count(anchors, &values.map_or(Values::Absent, Read::values), selected);
    profile
}

/// Rows of a batch by the part they belong to; the whole file is one unless windows are asked for.
pub(super) fn parts_of(
    file: &DataFile,
    batch: &RecordBatch,
    layout: &Layout,
    size: Option<WindowSize>,
    rows_before: u64,
) -> Result<BTreeMap<Part, Vec<usize>>, FileError> {
    let within = |error: ColumnError, name: &str| error.within(file.name(), name, rows_before + 1);
    let times = match layout.time.map(|index| file.schema().field(index).name()) {
        Some(name) => {
            column_named(batch, name).map(|column| as_time(column).map_err(|e| within(e, name))).transpose()?
        }
        None => None,
    };
    let segments = segment_texts(file, batch, &layout.segments, rows_before)?;
    let mut parts: BTreeMap<Part, Vec<usize>> = BTreeMap::new();
    if size.is_none() {
        parts.insert(Part::default(), (0..batch.num_rows()).collect());
    }
    for row in 0..batch.num_rows() {
        let windows = windows_of(times.as_ref(), size, row);
        let names = segments.iter().filter(|(_, texts)| texts.is_valid(row));
        let names: Vec<String> = names.map(|(name, texts)| format!("{name}={}", texts.value(row))).collect();
        for window in windows {
            if window.is_some() {
                parts.entry(Part { window, segment: None }).or_default().push(row);
            }
            for name in &names {
                parts.entry(Part { window, segment: Some(name.clone()) }).or_default().push(row);
            }
        }
    }
    Ok(parts)
}

/// Starts of the windows that hold the row; one without a start when there are no windows, none without a time.
fn windows_of(times: Option<&Int64Array>, size: Option<WindowSize>, row: usize) -> Vec<Option<Timestamp>> {
    let Some(size) = size else { return vec![None] };
    let time = times.filter(|times| times.is_valid(row)).map(|times| Timestamp::from_millis(times.value(row)));
    time.into_iter().flat_map(|time| size.starts_at(time)).map(Some).collect()
}

fn load(file: &DataFile, group: &[ComparedColumn]) -> Result<Vec<Loaded>, FileError> {
    let mut loaded: Vec<Loaded> = group.iter().map(|column| Loaded::new(column.kind)).collect();
    let indices: Vec<usize> = group.iter().map(|column| column.place.reference).collect();
    let mut rows = 0;
    for batch in batches(file, &indices)? {
        let batch = batch?;
        for (column, loaded) in group.iter().zip(&mut loaded) {
            let name = &column.place.name;
            if let Some(values) = column_named(&batch, name) {
                loaded.push(values).map_err(|error| error.within(file.name(), name, rows + 1))?;
            }
        }
        rows += batch.num_rows() as u64;
    }
    Ok(loaded)
}

/// Numbers of the reference's rows by `feature=value`.
fn rows_by_segment(file: &DataFile, segments: &[InBoth]) -> Result<BTreeMap<String, Vec<u32>>, FileError> {
    let mut by_segment: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    if segments.is_empty() {
        return Ok(by_segment);
    }
    let mut rows = 0_u64;
    for batch in batches(file, &segments.iter().map(|segment| segment.reference).collect::<Vec<_>>())? {
        let batch = batch?;
        for (name, texts) in segment_texts(file, &batch, segments, rows)? {
            for (row, text) in texts.iter().enumerate().filter_map(|(row, text)| Some((row as u64, text?))) {
                let row = u32::try_from(rows + row).unwrap_or(u32::MAX);
                by_segment.entry(format!("{name}={text}")).or_default().push(row);
            }
        }
        rows += batch.num_rows() as u64;
    }
    Ok(by_segment)
}

fn segment_texts<'a>(
    file: &DataFile,
    batch: &RecordBatch,
    segments: &'a [InBoth],
    rows_before: u64,
) -> Result<Vec<(&'a str, StringArray)>, FileError> {
    let mut texts = Vec::new();
    for segment in segments {
        let Some(column) = column_named(batch, &segment.name) else { continue };
        let text = as_text(column).map_err(|error| error.within(file.name(), &segment.name, rows_before + 1))?;
        texts.push((segment.name.as_str(), text));
    }
    Ok(texts)
}

pub(super) fn batches(file: &DataFile, columns: &[usize]) -> Result<crate::codec::files::Batches, FileError> {
    let mut indices = columns.to_vec();
    indices.sort_unstable();
    indices.dedup();
    file.batches_of(&indices, BATCH_ROWS)
}

pub(super) fn column_named<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a ArrayRef> {
    batch.column_by_name(name)
}
