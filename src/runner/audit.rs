//! Looking at a partition's state from outside: what it holds, and whether it can be read and adds up.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::outbox::OUTBOX;
use super::partition::{LAST_RECORD, NEXT_OFFSET};
use crate::bus::{Outgoing, Seen};
use crate::profile::decode;
use crate::state::{StateError, StateReader};

/// A role's knowledge of its own rows.
pub trait Audit: Send {
    /// What kind of row this is, such as `panes`; an error when it cannot be read.
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String>;

    /// What this row holds, where that is more than one thing.
    fn held(&mut self, key: &[u8], value: &[u8]) -> Result<Vec<(&'static str, u64)>, String> {
        Ok(vec![(self.row(key, value)?, 1)])
    }

    /// What does not add up, once every row has been seen.
    fn faults(&self, next_offset: Option<i64>) -> Vec<String>;
}

/// What a partition's state holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub format: u32,
    /// Offset of the next record to apply; none before the first.
    pub next_offset: Option<i64>,
    /// Rows, or entries of packed ones, by kind; `outbox` are records that have not been acknowledged by the bus.
    pub rows: BTreeMap<&'static str, u64>,
    pub faults: Vec<String>,
}

/// Faults beyond this many are counted, not told.
const TOLD: usize = 20;

/// Reads every row.
pub async fn audit(reader: &StateReader, mut role: Box<dyn Audit>) -> Result<Findings, StateError> {
    let mut findings = Findings { format: reader.format().await?, ..Findings::default() };
    let mut untold = 0_u64;
    let look = |key: &[u8], value: &[u8]| {
        match held_by(role.as_mut(), key, value, &mut findings.next_offset) {
            Ok(held) => held.into_iter().for_each(|(kind, count)| *findings.rows.entry(kind).or_default() += count),
            Err(_) if findings.faults.len() >= TOLD => untold += 1,
            Err(reason) => findings.faults.push(format!("row {}: {reason}", key.escape_ascii())),
        }
        ControlFlow::Continue(())
    };
    reader.each(look).await?;
    if untold > 0 {
        findings.faults.push(format!("{untold} more rows cannot be read"));
    }
    findings.faults.extend(role.faults(findings.next_offset));
    Ok(findings)
}

fn held_by(
    role: &mut dyn Audit,
    key: &[u8],
    value: &[u8],
    next_offset: &mut Option<i64>,
) -> Result<Vec<(&'static str, u64)>, String> {
    let kind = if key == b"meta/format" || key.starts_with(b"meta/write/") {
        "meta"
    } else if key == NEXT_OFFSET {
        *next_offset = Some(readable(value)?);
        "meta"
    } else if key == LAST_RECORD {
        readable::<Seen>(value)?;
        "meta"
    } else if key.starts_with(OUTBOX) {
        readable::<Outgoing>(value)?;
        "outbox"
    } else {
        return role.held(key, value);
    };
    Ok(vec![(kind, 1)])
}

/// A row in the form of [`crate::profile::encode`].
pub fn readable<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    decode(value).map_err(|error| error.to_string())
}

/// A row in JSON.
pub fn readable_json<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

/// What a role says of a row that is none of its own.
pub fn unknown_row() -> Result<&'static str, String> {
    Err("it is of no kind that this plimsoll writes".to_owned())
}
