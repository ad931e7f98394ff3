//! Reading a source partition again from an earlier offset, with every pane counted whole and none twice.
//!
//! A pane's counts cannot be taken back in part. So reading begins where no pane that is counted again holds an event
//! from before; those panes, the recent ids and the watermark are forgotten. Downstream the recount replaces what stood
//! there: a partial replaces its predecessor once it has come as far, and join knows its ids.

use super::{dedup, outcomes, predictions};
use crate::event::{Accounting, SourcePartition};
use crate::profile::decode;
use crate::runner::{RoleError, next_offset};
use crate::state::{Store, Write, prefix_end};
use crate::window::PanePartial;

const PANE: &[u8] = b"pane/";

/// The last offset at or before `wanted` from which every pane that is counted again is counted whole.
pub async fn rewind_start(store: &dyn Store, wanted: i64) -> Result<i64, RoleError> {
    let mut panes = Vec::new();
    for (_, value) in store.scan(PANE, &prefix_end(PANE)).await? {
        panes.push(decode::<PanePartial>(&value)?.offsets);
    }
    Ok(whole_panes_from(&panes, wanted))
}

/// Makes the next start read `source` from `start`; its books begin there. Nothing else may have the store open.
pub async fn rewind(store: &dyn Store, source: &SourcePartition, start: i64) -> Result<(), RoleError> {
    let mut writes = next_offset(start)?;
    for (key, value) in store.scan(PANE, &prefix_end(PANE)).await? {
        if decode::<PanePartial>(&value)?.offsets.1 >= start {
            writes.push(Write::delete(key.to_vec()));
        }
    }
    for (key, _) in store.scan(dedup::PREFIX, &prefix_end(dedup::PREFIX)).await? {
        writes.push(Write::delete(key.to_vec()));
    }
    let books = Accounting {
        topic: source.topic.clone(),
        partition: source.partition,
        next_offset: start,
        ..Accounting::default()
    };
    if store.get(predictions::STATE).await?.is_some() {
        writes.push(Write::put(predictions::STATE, predictions::fresh_books(books)?));
    } else {
        writes.push(Write::put(outcomes::STATE, outcomes::fresh_books(books)?));
    }
    Ok(store.write(writes).await?)
}

/// Makes the next start leave out the records before `start`; everything counted stays.
pub async fn skip_to(store: &dyn Store, start: i64) -> Result<(), RoleError> {
    let mut writes = next_offset(start)?;
    if let Some(stored) = store.get(predictions::STATE).await? {
        writes.push(Write::put(predictions::STATE, predictions::books_at(&stored, start)?));
    }
    if let Some(stored) = store.get(outcomes::STATE).await? {
        writes.push(Write::put(outcomes::STATE, outcomes::books_at(&stored, start)?));
    }
    Ok(store.write(writes).await?)
}

fn whole_panes_from(panes: &[(i64, i64)], wanted: i64) -> i64 {
    let mut start = wanted;
    // Going back may reach into further panes, as late events do.
    while let Some(first) =
        panes.iter().filter(|(first, last)| *first < start && *last >= start).map(|(first, _)| *first).min()
    {
        start = first;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_no_pane_is_cut() {
        let panes = [(0, 9), (10, 30), (25, 40), (41, 50)];
        assert_eq!(whole_panes_from(&panes, 45), 41);
        assert_eq!(whole_panes_from(&panes, 41), 41);
        assert_eq!(whole_panes_from(&panes, 35), 10, "through the pane of late events");
        assert_eq!(whole_panes_from(&panes, 10), 10);
        assert_eq!(whole_panes_from(&panes, 60), 60);
        assert_eq!(whole_panes_from(&[], 7), 7);
    }
}
