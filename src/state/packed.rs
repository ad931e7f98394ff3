//! Rows that hold many small entries, so that each of them costs little more than its bytes.
//!
//! A packed row is a list of entries in the order of their ids. A change of it is such a list too: it is written without
//! reading the row, and whoever reads, flushes or compacts puts the lists together ([`merge`]). An entry has two values:
//! the first that was given to `first` stays, the last that was given to `latest` counts.

use bytes::Bytes;
use slatedb::{MergeOperator, MergeOperatorError};

/// A list that knows nothing of what is older.
const CHANGES: u8 = 0;
/// The whole row: nothing is older.
const WHOLE: u8 = 1;

const FORGETS: u8 = 1;
const HAS_FIRST: u8 = 2;
const HAS_LATEST: u8 = 4;

/// What a list says of one id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedEntry<'a> {
    pub id: u128,
    /// What is older of this id is void.
    pub forgets: bool,
    pub first: Option<&'a [u8]>,
    pub latest: Option<&'a [u8]>,
}

/// A packed row ends within an entry, or is of a kind that this build does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed row cannot be read at byte {0}")]
pub struct DamagedRow(usize);

/// Entries in the order of their ids, as one change of a row; with `is_whole` as a row of which nothing was there.
#[must_use]
pub fn pack<'a>(entries: impl IntoIterator<Item = PackedEntry<'a>>, is_whole: bool) -> Vec<u8> {
    let mut row = vec![if is_whole { WHOLE } else { CHANGES }];
    for entry in entries {
        push(&mut row, &entry);
    }
    row
}

/// The entries of a row, in the order of their ids.
pub fn unpack(row: &[u8]) -> impl Iterator<Item = Result<PackedEntry<'_>, DamagedRow>> {
    let mut position = 1;
    let is_known = matches!(row.first(), Some(&(CHANGES | WHOLE)));
    let mut fault = (!is_known).then_some(DamagedRow(0));
    std::iter::from_fn(move || {
        if let Some(fault) = fault.take() {
            position = row.len();
            return Some(Err(fault));
        }
        if position >= row.len() {
            return None;
        }
        let start = position;
        let entry = read(row, &mut position).ok_or(DamagedRow(start));
        if entry.is_err() {
            position = row.len();
        }
        Some(entry)
    })
}

/// Whether this is all there is of a row, and no change of something older.
#[must_use]
pub fn is_whole(row: &[u8]) -> bool {
    row.first() == Some(&WHOLE)
}

/// One list of several, the oldest first: the same in whatever groups they are merged.
pub fn merge(lists: &[&[u8]]) -> Result<Vec<u8>, DamagedRow> {
    let is_whole = lists.first().is_some_and(|oldest| is_whole(oldest));
    let mut entries = Vec::new();
    for list in lists {
        for entry in unpack(list) {
            entries.push(entry?);
        }
    }
    // Stable: of one id the older comes first.
    entries.sort_by_key(|entry| entry.id);
    let mut row = Vec::with_capacity(lists.iter().map(|list| list.len()).sum());
    row.push(if is_whole { WHOLE } else { CHANGES });
    for same in entries.chunk_by(|a, b| a.id == b.id) {
        let mut entry = same.iter().copied().reduce(newer_over_older).unwrap_or_default();
        entry.forgets &= !is_whole;
        if entry.forgets || entry.first.is_some() || entry.latest.is_some() {
            push(&mut row, &entry);
        }
    }
    Ok(row)
}

fn newer_over_older<'a>(older: PackedEntry<'a>, newer: PackedEntry<'a>) -> PackedEntry<'a> {
    if newer.forgets {
        return newer;
    }
    PackedEntry { first: older.first.or(newer.first), latest: newer.latest.or(older.latest), ..older }
}

fn push(row: &mut Vec<u8>, entry: &PackedEntry<'_>) {
    row.extend_from_slice(&entry.id.to_be_bytes());
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    row.push(
        flag(entry.forgets, FORGETS)
            | flag(entry.first.is_some(), HAS_FIRST)
            | flag(entry.latest.is_some(), HAS_LATEST),
    );
    for value in [entry.first, entry.latest].into_iter().flatten() {
        // Values are of this process's memory, which ends long before 4 GiB of one.
        row.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        row.extend_from_slice(value);
    }
}

fn read<'a>(row: &'a [u8], position: &mut usize) -> Option<PackedEntry<'a>> {
    let id = u128::from_be_bytes(take(row, position, 16)?.try_into().ok()?);
    let flags = *take(row, position, 1)?.first()?;
    if flags & !(FORGETS | HAS_FIRST | HAS_LATEST) != 0 {
        return None;
    }
    let mut value = |flag: u8| {
        if flags & flag == 0 {
            return Some(None);
        }
        let length = u32::from_le_bytes(take(row, position, 4)?.try_into().ok()?);
        Some(Some(take(row, position, usize::try_from(length).ok()?)?))
    };
    let (first, latest) = (value(HAS_FIRST)?, value(HAS_LATEST)?);
    Some(PackedEntry { id, forgets: flags & FORGETS != 0, first, latest })
}

fn take<'a>(row: &'a [u8], position: &mut usize, length: usize) -> Option<&'a [u8]> {
    let end = position.checked_add(length)?;
    let taken = row.get(*position..end)?;
    *position = end;
    Some(taken)
}

/// How SlateDB puts the changes of a row together.
pub(super) struct PackedRows;

impl MergeOperator for PackedRows {
    fn merge(&self, key: &Bytes, existing: Option<Bytes>, change: Bytes) -> Result<Bytes, MergeOperatorError> {
        self.merge_batch(key, existing, &[change])
    }

    fn merge_batch(
        &self,
        _key: &Bytes,
        existing: Option<Bytes>,
        changes: &[Bytes],
    ) -> Result<Bytes, MergeOperatorError> {
        let lists: Vec<&[u8]> = existing.iter().chain(changes).map(Bytes::as_ref).collect();
        match merge(&lists) {
            Ok(row) => Ok(row.into()),
            Err(error) => Err(MergeOperatorError::Callback { message: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One id's change: whether it forgets, and its values.
    type Change = (bool, Option<u8>, Option<u8>);

    fn list(changes: &BTreeMap<u128, Change>, is_whole: bool) -> Vec<u8> {
        let values: Vec<_> = changes
            .iter()
            .map(|(id, (forgets, first, latest))| {
                (*id, *forgets, first.map(|value| vec![value; 3]), latest.map(|value| vec![value]))
            })
            .collect();
        let entries = values.iter().map(|(id, forgets, first, latest)| PackedEntry {
            id: *id,
            forgets: *forgets,
            first: first.as_deref(),
            latest: latest.as_deref(),
        });
        pack(entries, is_whole)
    }

    fn entries(row: &[u8]) -> Vec<PackedEntry<'_>> {
        unpack(row).collect::<Result<_, _>>().unwrap()
    }

    /// What a row holds after these changes, one after the other.
    fn applied(changes: &[BTreeMap<u128, Change>]) -> BTreeMap<u128, (Option<u8>, Option<u8>)> {
        let mut held: BTreeMap<u128, (Option<u8>, Option<u8>)> = BTreeMap::new();
        for (id, (forgets, first, latest)) in changes.iter().flatten() {
            let entry = held.entry(*id).or_default();
            if *forgets {
                *entry = (None, None);
            }
            entry.0 = entry.0.or(*first);
            entry.1 = latest.or(entry.1);
        }
        held.retain(|_, entry| *entry != (None, None));
        held
    }

    fn changes() -> impl Strategy<Value = Vec<BTreeMap<u128, Change>>> {
        let change = (any::<bool>(), any::<Option<u8>>(), any::<Option<u8>>());
        proptest::collection::vec(proptest::collection::btree_map(0..6_u128, change, 0..6), 1..8)
    }

    proptest! {
        #[test]
        fn changes_merge_to_the_same_row_in_whatever_groups(changes in changes(), cuts in any::<[prop::sample::Index; 2]>()) {
            let lists: Vec<Vec<u8>> =
                changes.iter().enumerate().map(|(index, changes)| list(changes, index == 0)).collect();
            let all: Vec<&[u8]> = lists.iter().map(Vec::as_slice).collect();
            let once = merge(&all).unwrap();
            let (first, second) = (cuts[0].index(all.len()), cuts[1].index(all.len()));
            let (first, second) = (first.min(second), first.max(second));
            let groups = [&all[..first], &all[first..second], &all[second..]];
            let parts: Vec<Vec<u8>> =
                groups.iter().filter(|group| !group.is_empty()).map(|group| merge(group).unwrap()).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(&merge(&parts).unwrap(), &once);
            let held: BTreeMap<u128, (Option<u8>, Option<u8>)> = entries(&once)
                .iter()
                .map(|entry| (entry.id, (entry.first.map(|value| value[0]), entry.latest.map(|value| value[0]))))
                .collect();
            prop_assert_eq!(held, applied(&changes));
            prop_assert!(entries(&once).iter().all(|entry| !entry.forgets), "a whole row has nothing to forget");
        }

        #[test]
        fn a_row_of_any_bytes_is_read_or_refused(row in proptest::collection::vec(any::<u8>(), 0..80)) {
            let read = unpack(&row).collect::<Result<Vec<_>, _>>();
            if let Ok(read) = read {
                prop_assert_eq!(pack(read, row[0] == WHOLE), row);
            }
        }
    }

    #[test]
    fn a_row_that_was_cut_short_is_refused() {
        let whole = list(&BTreeMap::from([(7, (false, Some(1), Some(2)))]), true);
        for length in (2..whole.len()).chain([0]) {
            assert!(unpack(&whole[..length]).any(|entry| entry.is_err()), "{length} bytes");
            assert!(merge(&[&whole[..length]]).is_err());
        }
    }
}
