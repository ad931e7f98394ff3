//! What readers need to know to wait for records without asking the database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tansu_sans_io::fetch_response::PartitionData;
use tokio::sync::Notify;

/// Every partition as it was last read, until something is written to it.
#[derive(Debug, Default)]
pub(super) struct News {
    topics: Mutex<Topics>,
    /// Told after each write.
    pub(super) written: Notify,
}

#[derive(Debug, Default)]
struct Topics {
    partitions: HashMap<String, BTreeMap<i32, Partition>>,
    /// Of topics that are asked for by their id.
    names: HashMap<[u8; 16], String>,
    /// Writes that may concern any partition.
    sweeping: u64,
}

#[derive(Debug, Default)]
struct Partition {
    writes: u64,
    last: Option<PartitionData>,
    /// Offsets before the end at which there was nothing to give, with the isolation that was asked for: an open
    /// transaction, or a gap that compaction left.
    empty: BTreeSet<(i64, Option<i8>)>,
}

/// A partition and an offset that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) isolation: Option<i8>,
}

/// What was known when the database was asked: an answer counts only when nothing was written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    writes: u64,
    sweeping: u64,
}

impl News {
    pub(super) fn name(&self, id: &[u8; 16]) -> Option<String> {
        self.topics().names.get(id).cloned()
    }

    pub(super) fn name_is(&self, id: [u8; 16], name: String) {
        self.topics().names.insert(id, name);
    }

    /// The partition's answer when there is nothing to read from this offset on; none when that must be looked up.
    pub(super) fn nothing_for(&self, topic: &str, wanted: Wanted) -> Option<PartitionData> {
        let topics = self.topics();
        let known = topics.partitions.get(topic)?.get(&wanted.partition)?;
        let last = known.last.as_ref()?;
        let is_empty = wanted.offset >= last.high_watermark || known.empty.contains(&(wanted.offset, wanted.isolation));
        is_empty.then(|| last.clone())
    }

    pub(super) fn mark(&self, topic: &str, partition: i32) -> Mark {
        self.topics().mark(topic, partition)
    }

    /// Keeps what was read, without its records. `is_all` says that no record was left out for the answer's size.
    pub(super) fn read(&self, topic: &str, wanted: Wanted, mark: Mark, data: &PartitionData, is_all: bool) {
        let mut topics = self.topics();
        if data.error_code != 0 || topics.mark(topic, wanted.partition) != mark {
            return;
        }
        let known = topics.partition(topic, wanted.partition);
        let mut last = data.clone();
        last.records = None;
        known.last = Some(last);
        if is_all && data.records.is_none() && wanted.offset < data.high_watermark {
            known.empty.insert((wanted.offset, wanted.isolation));
        }
    }

    /// Tells that records were written to a partition.
    pub(super) fn write(&self, topic: &str, partition: i32) {
        let mut topics = self.topics();
        let known = topics.partition(topic, partition);
        *known = Partition { writes: known.writes + 1, ..Partition::default() };
        drop(topics);
        self.written.notify_waiters();
    }

    /// Forgets everything: topics came, went or were compacted.
    pub(super) fn forget(&self) {
        let mut topics = self.topics();
        *topics = Topics { sweeping: topics.sweeping + 1, ..Topics::default() };
        drop(topics);
        self.written.notify_waiters();
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    fn mark(&self, topic: &str, partition: i32) -> Mark {
        let known = self.partitions.get(topic).and_then(|partitions| partitions.get(&partition));
        Mark { writes: known.map_or(0, |known| known.writes), sweeping: self.sweeping }
    }

    fn partition(&mut self, topic: &str, partition: i32) -> &mut Partition {
        if !self.partitions.contains_key(topic) {
            self.partitions.insert(topic.to_owned(), BTreeMap::new());
        }
        self.partitions.entry(topic.to_owned()).or_default().entry(partition).or_default()
    }
}

#[cfg(test)]
mod tests {
    use tansu_sans_io::record::deflated::Frame;

    use super::*;

    const ISOLATION: Option<i8> = Some(1);

    fn wanted(offset: i64) -> Wanted {
        Wanted { partition: 3, offset, isolation: ISOLATION }
    }

    fn end(end: i64) -> PartitionData {
        PartitionData::default().partition_index(3).high_watermark(end)
    }

    #[test]
    fn nothing_is_known_of_a_partition_until_it_was_read_and_again_after_a_write() {
        let news = News::default();
        assert_eq!(news.nothing_for("t", wanted(10)), None);
        news.read("t", wanted(10), news.mark("t", 3), &end(10), true);
        assert_eq!(news.nothing_for("t", wanted(10)), Some(end(10)));
        assert_eq!(news.nothing_for("t", wanted(9)), None, "there is a record");
        assert_eq!(news.nothing_for("t", Wanted { partition: 2, ..wanted(10) }), None);
        news.write("t", 3);
        assert_eq!(news.nothing_for("t", wanted(10)), None);
    }

    #[test]
    fn an_answer_that_a_write_has_overtaken_is_not_kept() {
        for overtake in [|news: &News| news.write("t", 3), |news: &News| news.forget()] {
            let news = News::default();
            let mark = news.mark("t", 3);
            overtake(&news);
            news.read("t", wanted(10), mark, &end(10), true);
            assert_eq!(news.nothing_for("t", wanted(10)), None);
        }
        let news = News::default();
        let mark = news.mark("t", 3);
        news.write("t", 2);
        news.read("t", wanted(10), mark, &end(10), true);
        assert_eq!(news.nothing_for("t", wanted(10)), Some(end(10)), "the write was to another partition");
    }

    #[test]
    fn an_offset_before_the_end_that_gave_nothing_is_not_asked_for_again_by_the_same_kind_of_reader() {
        let news = News::default();
        news.read("t", wanted(5), news.mark("t", 3), &end(10), true);
        assert_eq!(news.nothing_for("t", wanted(5)), Some(end(10)));
        assert_eq!(news.nothing_for("t", Wanted { isolation: Some(0), ..wanted(5) }), None);
        assert_eq!(news.nothing_for("t", wanted(6)), None);
        let news = News::default();
        news.read("t", wanted(5), news.mark("t", 3), &end(10), false);
        assert_eq!(news.nothing_for("t", wanted(5)), None, "its records may have had no room");
    }

    #[test]
    fn what_is_kept_has_no_records() {
        let news = News::default();
        let read = end(10).records(Some(Frame { batches: Vec::new() }));
        news.read("t", wanted(5), news.mark("t", 3), &read, true);
        assert_eq!(news.nothing_for("t", wanted(10)), Some(end(10)));
        assert_eq!(news.nothing_for("t", wanted(5)), None);
    }
}
