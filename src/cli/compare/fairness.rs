//! How differently the predictions of the current file treat the groups of its protected columns.

use std::collections::BTreeMap;

use anyhow::bail;
use arrow::array::{Array, StringArray};

use super::args::CompareArgs;
use super::layout::{Layout, ProtectedColumns};
use super::performance::text;
use super::read::{batches, parts_of};
use crate::clock::Timestamp;
use crate::codec::files::DataFile;
use crate::event::FairnessRow;
use crate::model::FairnessPolicy;
use crate::performance::{GroupCounts, Judged, judge_fairness};

/// A column with more values is no protected attribute but a number or an identifier.
const MAX_GROUPS: usize = 100;

/// Counts of each group by `attribute=group`.
type Groups = BTreeMap<String, GroupCounts>;

/// The metrics of every protected column, by window or for the whole file.
pub(super) fn judge(
    args: &CompareArgs,
    layout: &Layout,
    file: &DataFile,
) -> anyhow::Result<BTreeMap<Option<Timestamp>, Vec<FairnessRow>>> {
    let Some(columns) = &layout.protected else { return Ok(BTreeMap::new()) };
    let defaults = FairnessPolicy::default();
    let policy = FairnessPolicy {
        attributes: args.protected.clone(),
        thresholds: if args.disparity.is_empty() {
            defaults.thresholds
        } else {
            args.disparity.iter().copied().collect()
        },
        alpha: args.alpha,
        min_samples: args.min_samples,
        windows: defaults.windows,
    };
    let counted = count(args, layout, columns, file, &policy)?;
    let rows = counted.into_iter().map(|(window, groups)| (window, rows(&policy, &groups, columns.target.is_some())));
    Ok(rows.collect())
}

fn rows(policy: &FairnessPolicy, groups: &Groups, has_outcomes: bool) -> Vec<FairnessRow> {
    let mut rows = Vec::new();
    for attribute in &policy.attributes {
        let of_attribute = groups.iter().filter_map(|(segment, counts)| {
            let (_, group) = policy.group_of(segment).filter(|(of, _)| of == attribute)?;
            Some((group.to_owned(), counts.clone()))
        });
        // A file is all there is: no more labels will come.
        rows.extend(judge_fairness(policy, attribute, &of_attribute.collect(), 0.0));
    }
    rows.retain(|row| has_outcomes || !row.metric.needs_outcomes() || row.threshold.is_some());
    rows
}

fn count(
    args: &CompareArgs,
    layout: &Layout,
    columns: &ProtectedColumns,
    file: &DataFile,
    policy: &FairnessPolicy,
) -> anyhow::Result<BTreeMap<Option<Timestamp>, Groups>> {
    let by_group = Layout { segments: columns.attributes.clone(), ..layout.clone() };
    let mut wanted: Vec<usize> = columns.attributes.iter().map(|attribute| attribute.current).collect();
    wanted.push(columns.prediction.current);
    wanted.extend(columns.target.iter().map(|target| target.current));
    wanted.extend(layout.time);
    let mut counted: BTreeMap<Option<Timestamp>, Groups> = BTreeMap::new();
    let mut rows = 0_u64;
    for batch in batches(file, &wanted)? {
        let batch = batch?;
        let parts = parts_of(file, &batch, &by_group, args.window, rows)?;
        let read = |place| text(&batch, place).map_err(|(error, name)| error.within(file.name(), &name, rows + 1));
        let labels = read(Some(&columns.prediction))?;
        let targets = read(columns.target.as_ref())?;
        for (part, selected) in parts {
            let Some(segment) = part.segment else { continue };
            let groups = counted.entry(part.window).or_default();
            let group = groups.entry(segment).or_default();
            for row in selected {
                add(group, &args.positive, value(labels.as_ref(), row), value(targets.as_ref(), row));
            }
        }
        refuse_many(&counted, policy)?;
        rows += batch.num_rows() as u64;
    }
    Ok(counted)
}

fn value(texts: Option<&StringArray>, row: usize) -> Option<&str> {
    texts.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
}

fn add(group: &mut GroupCounts, positive: &str, label: Option<&str>, target: Option<&str>) {
    let Some(predicted) = label.map(|label| label == positive) else { return };
    group.predictions += 1;
    group.selected += u64::from(predicted);
    if let Some(target) = target {
        group.outcomes.add(Judged { predicted: Some(predicted), actual: target == positive, score_bin: None });
    }
}

fn refuse_many(counted: &BTreeMap<Option<Timestamp>, Groups>, policy: &FairnessPolicy) -> anyhow::Result<()> {
    for groups in counted.values().filter(|groups| groups.len() > MAX_GROUPS) {
        for attribute in &policy.attributes {
            let is_of = |segment: &&String| policy.group_of(segment).is_some_and(|(of, _)| of == attribute);
            if groups.keys().filter(is_of).count() > MAX_GROUPS {
                bail!("'{attribute}' has more than {MAX_GROUPS} values: a protected column has few groups");
            }
        }
    }
    Ok(())
}
