//! Taking the rows of a source partition again, which were taken before.

use std::collections::BTreeMap;

use super::machine::HIGH_WATER;
use crate::event::SourcePartition;
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{Store, Write};

/// Lets rows of `source` from `start` on in again. Pairs that are known are not counted twice: the first prediction and
/// the latest outcome of an id stay what they were.
pub async fn rewind(store: &dyn Store, source: &SourcePartition, start: i64) -> Result<(), RoleError> {
    let Some(stored) = store.get(HIGH_WATER).await? else { return Ok(()) };
    let mut high_water: BTreeMap<SourcePartition, i64> = decode(&stored)?;
    let Some(taken) = high_water.get_mut(source).filter(|taken| **taken >= start) else { return Ok(()) };
    *taken = start - 1;
    Ok(store.write(vec![Write::put(HIGH_WATER, encode(&high_water)?)]).await?)
}
