//! The other ports of the simulated world: stores that are slow and fail, a producer that is not always answered, mail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use plimsoll::bus::{BusError, Outgoing};
use plimsoll::clock::{Clock, Span};
use plimsoll::event::SourcePartition;
use plimsoll::notify::{Mail, MailError, Mailer};
use plimsoll::runner::{Publisher, Stores};
use plimsoll::state::{MemoryStore, StateError, Store, Write, prefix_end};

use super::faults::{Fault, Sabotage};
use super::world::Shared;

const OUTBOX: &[u8] = b"outbox/";
/// An outbox holds what was there at its opening and what the last writes put there: one in a checkpoint under way, one
/// before it whose publication was not acknowledged, one whose rows leave with the next.
const WRITES_IN_OUTBOX: usize = 3;
/// As the real producer.
const DELIVERED_WITHIN: Span = Span::from_mins(5);

pub struct SimStores {
    pub world: Shared,
}

struct SimStore {
    world: Shared,
    inner: MemoryStore,
    name: String,
    /// Outbox rows that were there at the opening: the newest of each of their keys stays for a while.
    held: usize,
    /// Outbox rows that each of the last writes put.
    puts: Mutex<VecDeque<usize>>,
}

#[async_trait]
impl Stores for SimStores {
    async fn open(&self, role: &str, source: &SourcePartition) -> Result<Arc<dyn Store>, StateError> {
        let name = format!("{role}/{source}");
        if self.world.strikes(Fault::OpenFails).await {
            return Err(failure(&name, "opened"));
        }
        self.world.pause(6).await;
        let inner = {
            let mut world = self.world.lock();
            world.activity += 1;
            let shares = world.is_sabotaged(Sabotage::NoFence);
            let store = world.stores.entry((role.to_owned(), source.clone())).or_default();
            if shares { store.clone() } else { store.reopen() }
        };
        self.world.pause(6).await;
        let held = inner.scan(OUTBOX, &prefix_end(OUTBOX)).await?.len();
        Ok(Arc::new(SimStore { world: self.world.clone(), inner, name, held, puts: Mutex::default() }))
    }
}

#[async_trait]
impl Store for SimStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        self.reading().await?;
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StateError> {
        self.reading().await?;
        self.inner.get_many(keys).await
    }

    async fn scan(&self, from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        self.reading().await?;
        self.inner.scan(from, to).await
    }

    async fn write(&self, mut writes: Vec<Write>) -> Result<(), StateError> {
        self.world.pause(4).await;
        if self.world.strikes(Fault::WriteFails).await {
            if self.world.lock().is_sabotaged(Sabotage::TornWrites) {
                writes.truncate(writes.len() / 2);
                self.inner.write(writes).await?;
            }
            return Err(failure(&self.name, "written"));
        }
        let is_put = |write: &&Write| matches!(write, Write::Put { key, .. } if key.starts_with(OUTBOX));
        let puts = writes.iter().filter(is_put).count();
        let written = self.inner.write(writes).await;
        if let Err(error) = written {
            if matches!(error, StateError::Fenced { .. }) {
                self.world.lock().faults.note(Fault::Fenced, 1);
            }
            return Err(error);
        }
        self.world.lock().activity += 1;
        self.measure(puts).await?;
        self.world.pause(4).await;
        if self.world.strikes(Fault::WriteUnreported).await {
            return Err(failure(&self.name, "written"));
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), StateError> {
        self.world.pause(2).await;
        if self.inner.is_fenced() {
            return Err(StateError::Fenced { path: self.name.clone() });
        }
        self.inner.close().await
    }
}

impl SimStore {
    async fn reading(&self) -> Result<(), StateError> {
        if self.world.strikes(Fault::ReadFails).await {
            return Err(failure(&self.name, "read"));
        }
        // A fenced handle may go on reading what it has, until it notices.
        if self.inner.is_fenced() && self.world.lock().choices.one_in(2) {
            return Err(StateError::Fenced { path: self.name.clone() });
        }
        Ok(())
    }

    /// I5: the outbox never grows beyond a few checkpoints.
    async fn measure(&self, puts: usize) -> Result<(), StateError> {
        let rows = self.inner.scan(OUTBOX, &prefix_end(OUTBOX)).await?.len();
        let mut recent = self.puts.lock().unwrap();
        recent.push_back(puts);
        if recent.len() > WRITES_IN_OUTBOX {
            recent.pop_front();
        }
        let explained = self.held + recent.iter().sum::<usize>();
        if rows > explained {
            let found = format!("the outbox of {} has {rows} rows, its last writes explain {explained}", self.name);
            self.world.lock().overflowing.get_or_insert(found);
        }
        Ok(())
    }
}

fn failure(name: &str, action: &'static str) -> StateError {
    StateError::Storage { path: name.to_owned(), action, reason: "injected".to_owned() }
}

/// A process's producer.
pub struct SimPublisher {
    pub world: Shared,
}

#[async_trait]
impl Publisher for SimPublisher {
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError> {
        let topic = records.first().map(|record| record.topic.clone()).unwrap_or_default();
        let started = self.world.clock.now();
        for record in records {
            self.world.broker().await;
            if self.world.clock.now().since(started) > DELIVERED_WITHIN {
                return Err(BusError::Produce { topic, reason: "timed out".to_owned() });
            }
            if self.world.strikes(Fault::PublishFails).await {
                return Err(BusError::Produce { topic, reason: "injected".to_owned() });
            }
            let mut world = self.world.lock();
            if world.is_sabotaged(Sabotage::LostRecords) && world.choices.one_in(20) {
                continue;
            }
            world.append(record);
        }
        self.world.pause(3).await;
        if self.world.strikes(Fault::PublishUnacknowledged).await {
            return Err(BusError::Produce { topic, reason: "no acknowledgement, injected".to_owned() });
        }
        Ok(())
    }
}

/// A mail server that refuses, is away, or takes a mail without saying so.
pub struct SimMailer {
    pub world: Shared,
}

#[async_trait]
impl Mailer for SimMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        self.world.pause(5).await;
        if self.world.strikes(Fault::MailFails).await {
            return Err(MailError::Unreachable("injected".to_owned()));
        }
        {
            let mut world = self.world.lock();
            world.activity += 1;
            *world.mails.entry(mail.id).or_default() += 1;
        }
        if self.world.strikes(Fault::MailUnreported).await {
            return Err(MailError::Refused("injected".to_owned()));
        }
        Ok(())
    }
}
