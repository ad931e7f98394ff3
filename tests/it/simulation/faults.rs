//! What goes wrong, how often, and how often it did.

use std::collections::BTreeMap;

use crate::pipeline::stream::Choices;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process is killed, between any two steps of what it does.
    Kill,
    /// A process stops on request, after a last checkpoint.
    Drain,
    /// A process is started beside the others.
    Start,
    /// A member is taken for dead and does not know.
    Zombie,
    /// A process stands still for a while.
    Freeze,
    Rebalance,
    /// A write by a worker that was taken for dead, refused by the store.
    Fenced,
    OpenFails,
    ReadFails,
    WriteFails,
    /// The write is durable and reported as failed.
    WriteUnreported,
    PublishFails,
    /// Records are on the topic and reported as failed.
    PublishUnacknowledged,
    Outage,
    MailFails,
    /// The mail is accepted and reported as failed.
    MailUnreported,
    ClockJump,
    /// A record taken away by compaction.
    Compaction,
    Restart,
}

/// A promise that the world breaks: what a verdict that sees nothing would let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Whoever opened a store first goes on writing to it.
    NoFence,
    /// A write that fails leaves its first half behind.
    TornWrites,
    /// Some records are acknowledged and gone.
    LostRecords,
    /// Some reads pass over a record.
    SkippedRecords,
}

impl Sabotage {
    pub const ALL: [Self; 4] = [Self::NoFence, Self::TornWrites, Self::LostRecords, Self::SkippedRecords];
}

/// Rates of one seed, and counts.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// One in so many; none is never.
    rates: BTreeMap<Fault, u64>,
    counts: BTreeMap<Fault, u64>,
    is_calm: bool,
}

/// One in how many chances, before a seed makes it rarer.
const RATES: [(Fault, u64); 14] = [
    (Fault::Kill, 400),
    (Fault::Drain, 400),
    (Fault::Start, 200),
    (Fault::Zombie, 200),
    (Fault::Freeze, 300),
    (Fault::OpenFails, 10),
    (Fault::ReadFails, 150),
    (Fault::WriteFails, 20),
    (Fault::WriteUnreported, 20),
    (Fault::PublishFails, 60),
    (Fault::PublishUnacknowledged, 15),
    (Fault::Outage, 500),
    (Fault::MailFails, 3),
    (Fault::MailUnreported, 5),
];

/// Counted one by one, in the director's own time.
const OTHERS: [(Fault, u64); 2] = [(Fault::ClockJump, 300), (Fault::Compaction, 100)];

impl Faults {
    pub fn none() -> Self {
        Self { is_calm: true, ..Self::default() }
    }

    /// Each seed has some of them, and those more or less often.
    pub fn of(choices: &mut Choices) -> Self {
        let mut faults = Self::default();
        for (fault, rate) in RATES.iter().chain(&OTHERS) {
            if !choices.one_in(3) {
                faults.rates.insert(*fault, rate * [1, 2, 5][usize::try_from(choices.below(3)).unwrap()]);
            }
        }
        faults
    }

    pub fn strikes(&mut self, fault: Fault, choices: &mut Choices) -> bool {
        if self.is_calm {
            return false;
        }
        let strikes = self.rates.get(&fault).is_some_and(|rate| choices.one_in(*rate));
        if strikes && fault != Fault::Compaction {
            self.note(fault, 1);
        }
        strikes
    }

    pub fn note(&mut self, fault: Fault, times: u64) {
        *self.counts.entry(fault).or_default() += times;
    }

    pub fn calm(&mut self) {
        self.is_calm = true;
    }

    pub const fn is_calm(&self) -> bool {
        self.is_calm
    }

    pub fn counts(&self) -> &BTreeMap<Fault, u64> {
        &self.counts
    }
}
