//! All columns together: how rows are reconstructed from the reference's principal components, and how features rank by
//! what they contribute.

use std::collections::BTreeMap;

use arrow::array::Float64Array;
use arrow::record_batch::RecordBatch;
use indicatif::ProgressBar;

use super::args::CompareArgs;
use super::layout::{InBoth, Layout};
use super::performance::numbers;
use super::read::{Part, Read, ReferenceSide, batches, column_named, parts_of, values_of};
use crate::codec::files::{DataFile, FileError};
use crate::drift;
use crate::event::{AttributionRow, MultivariateRow};
use crate::model::{DriftPolicy, ReconstructionPolicy, WindowSize};
use crate::profile::{Anchors, AttributionSums, Profile, ProjectionFit, Rows, Values};
use crate::window::attribution_rows;

/// What one part says.
#[derive(Debug, Default)]
pub(super) struct PartTogether {
    pub(super) multivariate: Vec<MultivariateRow>,
    pub(super) attributions: Vec<AttributionRow>,
}

pub(super) fn judge(
    args: &CompareArgs,
    policy: &DriftPolicy,
    layout: &Layout,
    files: (&DataFile, &DataFile),
    side: &ReferenceSide,
    bar: &ProgressBar,
) -> Result<BTreeMap<Part, PartTogether>, FileError> {
    // A tool's preset says what is looked at.
    let wanted = args.reconstruction.or(args.preset.map(|_| false));
    let mut anchors = Anchors {
        columns: side.anchors.columns.clone(),
        attributions: layout.attributions.iter().map(|(feature, _)| feature.clone()).collect(),
        ..Anchors::default()
    };
    let is_feature = |name: &str| !layout.is_role(name);
    if let Some(mut fit) = ProjectionFit::new(&anchors.columns, &side.whole.columns, is_feature, wanted) {
        let reading = Reading { layout, side, anchors: &anchors, place: |place| place.reference, bar };
        reading.each(files.0, None, |rows, parts| {
            parts.get(&Part::default()).into_iter().for_each(|all| fit.add(&anchors.columns, rows, all));
        })?;
        anchors.projection = fit.finish();
    }
    if anchors.projection.is_none() && anchors.attributions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let reference =
        count(&Reading { layout, side, anchors: &anchors, place: |place| place.reference, bar }, files.0, None)?;
    let reading = Reading { layout, side, anchors: &anchors, place: |place| place.current, bar };
    let current = count(&reading, files.1, args.window)?;
    let policy =
        DriftPolicy { reconstruction: ReconstructionPolicy { wanted, ..policy.reconstruction }, ..policy.clone() };
    let judged = current.into_iter().filter_map(|(part, profile)| {
        let normal = reference.get(&Part { window: None, segment: part.segment.clone() })?;
        let found = PartTogether {
            multivariate: drift::judge_together(&policy, &anchors, normal, &profile),
            attributions: attribution_rows(&anchors, normal, &profile),
        };
        Some((part, found))
    });
    Ok(judged.collect())
}

/// Errors and attributions by part; nothing else is counted again.
fn count(
    reading: &Reading<'_>,
    file: &DataFile,
    size: Option<WindowSize>,
) -> Result<BTreeMap<Part, Profile>, FileError> {
    let anchors = reading.anchors;
    let none = vec![AttributionSums::default(); anchors.attributions.len()];
    let mut counted: BTreeMap<Part, Profile> = BTreeMap::new();
    reading.each(file, size, |rows, parts| {
        for (part, selected) in parts {
            let empty = || Profile { attributions: none.clone(), ..Profile::default() };
            counted.entry(part.clone()).or_insert_with(empty).count(anchors, rows, selected);
        }
    })?;
    Ok(counted)
}

/// How the rows of one of the files are read.
struct Reading<'a> {
    layout: &'a Layout,
    side: &'a ReferenceSide,
    anchors: &'a Anchors,
    place: fn(&InBoth) -> usize,
    bar: &'a ProgressBar,
}

impl Reading<'_> {
    fn each(
        &self,
        file: &DataFile,
        size: Option<WindowSize>,
        mut take: impl FnMut(&Rows<'_>, &BTreeMap<Part, Vec<usize>>),
    ) -> Result<(), FileError> {
        let layout = Layout { time: size.and(self.layout.time), ..self.layout.clone() };
        let mut wanted: Vec<usize> = self.side.columns.iter().map(|column| (self.place)(&column.place)).collect();
        wanted.extend(layout.attributions.iter().map(|(_, place)| (self.place)(place)));
        wanted.extend(layout.segments.iter().map(self.place));
        wanted.extend(layout.time);
        let mut rows_before = 0;
        for batch in batches(file, &wanted)? {
            let batch = batch?;
            let parts = parts_of(file, &batch, &layout, size, rows_before)?;
            let columns: Vec<Option<Read>> = self
                .side
                .columns
                .iter()
                .map(|column| {
                    // What cannot be read as it is in the reference is missing; the column has failed for it already.
                    values_of(column_named(&batch, &column.place.name), column.kind).ok()
                })
                .collect();
            let attributions = self.attributions(file, &batch, rows_before)?;
            let rows = Rows::new(
                columns.iter().map(|read| read.as_ref().map_or(Values::Absent, Read::values)).collect(),
                None,
                None,
            )
            .with_attributions(attributions.iter().map(Option::as_ref).collect());
            take(&rows, &parts);
            rows_before += batch.num_rows() as u64;
            self.bar.inc(batch.num_rows() as u64);
        }
        Ok(())
    }

    fn attributions(
        &self,
        file: &DataFile,
        batch: &RecordBatch,
        rows_before: u64,
    ) -> Result<Vec<Option<Float64Array>>, FileError> {
        let read = |(_, place): &(String, InBoth)| {
            numbers(batch, Some(place)).map_err(|(error, name)| error.within(file.name(), &name, rows_before + 1))
        };
        self.layout.attributions.iter().map(read).collect()
    }
}
