//! Fetches that wait for a write instead of reading the database again and again.
//!
//! Tansu answers a fetch when its time is up, also one that finds records at once, and reads every partition for each. Here
//! a fetch is answered as soon as there is something, and what has not been written to is not read again.

use std::sync::Arc;
use std::time::Duration;

use rama_core::{Context, Service};
use tansu_broker::Error;
use tansu_sans_io::fetch_request::{FetchPartition, FetchTopic};
use tansu_sans_io::fetch_response::{FetchableTopicResponse, PartitionData};
use tansu_sans_io::produce_request::TopicProduceData;
use tansu_sans_io::{Body, FetchRequest, FetchResponse, Frame, Header, ProduceRequest};
use tansu_service::FrameRouteService;
use tansu_storage::{Storage as _, StorageContainer, TopicId};
use tokio::time::Instant;

use super::news::{Mark, News, Wanted};

/// Tansu's answers to everything else; every connection has the same news.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    pub(super) tansu: FrameRouteService<(), Error>,
    pub(super) storage: StorageContainer,
    pub(super) news: Arc<News>,
}

/// A partition of a fetch.
struct Asked<'a> {
    /// Its topic's place in the request.
    topic: usize,
    name: &'a str,
    partition: &'a FetchPartition,
    wanted: Wanted,
    mark: Mark,
    /// None until it is read.
    data: Option<PartitionData>,
}

impl Service<(), Frame> for Fetching {
    type Response = Frame;
    type Error = Error;

    async fn serve(&self, context: Context<()>, mut request: Frame) -> Result<Frame, Error> {
        match request.body {
            Body::FetchRequest(fetch) if can_wait(&fetch) => {
                let Some(names) = self.names(&fetch).await? else {
                    request.body = fetch.into();
                    return self.tansu.serve(context, request).await;
                };
                request.body = FetchRequest::default().into();
                self.fetch(context, request, &fetch, &names).await
            }
            Body::ProduceRequest(ref produce) => {
                let written = partitions(produce);
                let answer = self.tansu.serve(context, request).await;
                // Also after an error, which does not say that nothing was written.
                for (topic, partition) in written {
                    self.news.write(&topic, partition);
                }
                answer
            }
            Body::CreateTopicsRequest(_)
            | Body::CreatePartitionsRequest(_)
            | Body::DeleteTopicsRequest(_)
            | Body::DeleteRecordsRequest(_)
            | Body::EndTxnRequest(_)
            | Body::WriteTxnMarkersRequest(_) => {
                let answer = self.tansu.serve(context, request).await;
                self.news.forget();
                answer
            }
            _ => self.tansu.serve(context, request).await,
        }
    }
}

impl Fetching {
    async fn fetch(
        &self,
        context: Context<()>,
        frame: Frame,
        fetch: &FetchRequest,
        names: &[String],
    ) -> Result<Frame, Error> {
        let wait = Duration::from_millis(u64::try_from(fetch.max_wait_ms).unwrap_or(0));
        let deadline = Instant::now() + wait;
        loop {
            // Before the look: what is written during it is told.
            let mut written = std::pin::pin!(self.news.written.notified());
            written.as_mut().enable();
            let mut asked = self.ask(fetch, names);
            let has_news = self.read(&context, &frame, fetch, &mut asked).await?;
            if has_news || Instant::now() >= deadline {
                let header = Header::Response { correlation_id: frame.correlation_id()? };
                return Ok(Frame { size: 0, header, body: answer(fetch, asked).into() });
            }
            tokio::select! {
                () = written => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// Reads what is not known from the database. Returns whether a reader should hear of it at once.
    async fn read(
        &self,
        context: &Context<()>,
        frame: &Frame,
        fetch: &FetchRequest,
        asked: &mut [Asked<'_>],
    ) -> Result<bool, Error> {
        let mut unknown: Vec<&mut Asked<'_>> = asked.iter_mut().filter(|asked| asked.data.is_none()).collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let request = Frame { size: 0, header: frame.header.clone(), body: only(fetch, &unknown).into() };
        let answer = self.tansu.serve(context.clone(), request).await?;
        let Body::FetchResponse(answer) = answer.body else { return Err(unexpected()) };
        // In the order in which they were asked for.
        let read: Vec<PartitionData> =
            answer.responses.into_iter().flatten().flat_map(|topic| topic.partitions.unwrap_or_default()).collect();
        let is_all = read.iter().all(|data| data.records.is_none());
        let has_news = read.iter().any(|data| data.records.is_some() || data.error_code != 0);
        if read.len() != unknown.len() {
            return Err(unexpected());
        }
        for (asked, data) in unknown.iter_mut().zip(read) {
            self.news.read(asked.name, asked.wanted, asked.mark, &data, is_all);
            asked.data = Some(data);
        }
        Ok(has_news)
    }

    /// The topics' names; none when one is not known.
    async fn names(&self, fetch: &FetchRequest) -> Result<Option<Vec<String>>, Error> {
        let mut names = Vec::new();
        for topic in fetch.topics.iter().flatten() {
            let name = match (&topic.topic, &topic.topic_id) {
                (Some(name), _) => Some(name.clone()),
                (None, Some(id)) => match self.news.name(id) {
                    Some(name) => Some(name),
                    None => self.ask_name(topic, *id).await?,
                },
                (None, None) => None,
            };
            let Some(name) = name else { return Ok(None) };
            names.push(name);
        }
        Ok(Some(names))
    }

    async fn ask_name(&self, topic: &FetchTopic, id: [u8; 16]) -> Result<Option<String>, Error> {
        let found = self.storage.metadata(Some(&[TopicId::from(topic)])).await?;
        let name = found.topics().first().and_then(|found| found.name.clone());
        if let Some(name) = &name {
            self.news.name_is(id, name.clone());
        }
        Ok(name)
    }

    /// Every partition of the fetch, with its answer where there is nothing to read.
    fn ask<'a>(&self, fetch: &'a FetchRequest, names: &'a [String]) -> Vec<Asked<'a>> {
        let mut asked = Vec::new();
        for (topic, (partitions, name)) in fetch.topics.iter().flatten().zip(names).enumerate() {
            for partition in partitions.partitions.iter().flatten() {
                let (number, offset) = (partition.partition, partition.fetch_offset);
                let wanted = Wanted { partition: number, offset, isolation: fetch.isolation_level };
                let mark = self.news.mark(name, number);
                let data = self.news.nothing_for(name, wanted);
                asked.push(Asked { topic, name, partition, wanted, mark, data });
            }
        }
        asked
    }
}

/// Whether the fetch is one that waits for something.
fn can_wait(fetch: &FetchRequest) -> bool {
    fetch.topics.iter().flatten().next().is_some() && fetch.max_bytes != Some(0)
}

/// The fetch of these partitions alone, which does not wait.
fn only(fetch: &FetchRequest, unknown: &[&mut Asked<'_>]) -> FetchRequest {
    let mut topics = Vec::new();
    for (place, topic) in fetch.topics.iter().flatten().enumerate() {
        let of_topic = unknown.iter().filter(|asked| asked.topic == place);
        let partitions: Vec<FetchPartition> = of_topic.map(|asked| asked.partition.clone()).collect();
        if !partitions.is_empty() {
            topics.push(topic.clone().partitions(Some(partitions)));
        }
    }
    fetch.clone().max_wait_ms(0).topics(Some(topics))
}

fn answer(fetch: &FetchRequest, asked: Vec<Asked<'_>>) -> FetchResponse {
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    for topic in fetch.topics.iter().flatten() {
        let (name, id) = (topic.topic.clone(), topic.topic_id);
        responses.push(FetchableTopicResponse::default().topic(name).topic_id(id).partitions(Some(Vec::new())));
    }
    for Asked { topic, data, .. } in asked {
        if let Some(data) = data
            && let Some(partitions) = &mut responses[topic].partitions
        {
            partitions.push(data);
        }
    }
    FetchResponse::default()
        .throttle_time_ms(Some(0))
        .error_code(Some(0))
        .session_id(Some(0))
        .node_endpoints(Some(Vec::new()))
        .responses(Some(responses))
}

fn partitions(produce: &ProduceRequest) -> Vec<(String, i32)> {
    let of_topic = |topic: &TopicProduceData| {
        let numbers: Vec<i32> = topic.partition_data.iter().flatten().map(|partition| partition.index).collect();
        numbers.into_iter().map(|number| (topic.name.clone(), number)).collect::<Vec<_>>()
    };
    produce.topic_data.iter().flatten().flat_map(of_topic).collect()
}

fn unexpected() -> Error {
    Error::Message("a fetch was not answered as it was asked".to_owned())
}
