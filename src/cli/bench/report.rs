//! The result, for people and for programs.

use serde::Serialize;

use super::BenchArgs;
use super::usage::Usage;

/// What ingest is to reach: a share of the bare consumer's rate, and events per second of one core.
const TARGET_RATIO: f64 = 0.5;
const TARGET_PER_CORE: f64 = 300_000.0;
/// What checkpoints may take of ingest's rate.
const CHECKPOINT_COST: f64 = 0.1;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    brokers: String,
    events: u64,
    features: u32,
    partitions: i32,
    bytes_per_event: f64,
    optimised: bool,
    rounds: Vec<Round>,
    /// Medians over the rounds.
    bare_events_per_second: f64,
    ingest_events_per_second: f64,
    ratio: f64,
    /// Share of ingest's rate that checkpoints take.
    checkpoint_cost: f64,
    bare_cpu_micros_per_event: Option<f64>,
    ingest_cpu_micros_per_event: Option<f64>,
    in_memory: InMemory,
}

#[derive(Debug, Serialize)]
pub(super) struct Round {
    pub(super) bare: Usage,
    pub(super) ingest: Usage,
    /// Ingest with one checkpoint at its end.
    pub(super) without_checkpoints: Usage,
}

/// Events per second of processor time, without Kafka and disk.
#[derive(Debug, Serialize)]
pub(super) struct InMemory {
    /// JSON to counts in panes.
    pub(super) decode_and_count: f64,
    /// All that ingest does, with deduplication, join rows and checkpoints.
    pub(super) ingest: f64,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, bytes: u64, rounds: Vec<Round>, in_memory: InMemory) -> Self {
        let median_of = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        let median_if_known = |figure: fn(&Round) -> Option<f64>| {
            let known: Option<Vec<f64>> = rounds.iter().map(figure).collect();
            known.map(|figures| median(&figures))
        };
        Self {
            brokers: args.brokers.clone(),
            events: args.events,
            features: args.features,
            partitions: args.partitions,
            bytes_per_event: bytes as f64 / args.events as f64,
            optimised: !cfg!(debug_assertions),
            bare_events_per_second: median_of(|round| round.bare.events_per_second()),
            ingest_events_per_second: median_of(|round| round.ingest.events_per_second()),
            ratio: median_of(Round::ratio),
            checkpoint_cost: median_of(Round::checkpoint_cost),
            bare_cpu_micros_per_event: median_if_known(|round| round.bare.cpu_micros_per_event()),
            ingest_cpu_micros_per_event: median_if_known(|round| round.ingest.cpu_micros_per_event()),
            rounds,
            in_memory,
        }
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            println!("{}", self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} events of {} features, {:.0} bytes each, in {} partitions at {}",
            self.events, self.features, self.bytes_per_event, self.partitions, self.brokers
        )];
        if !self.optimised {
            lines.push("This build is not optimised; `make bench` makes one that is.".to_owned());
        }
        lines.push(String::new());
        lines.push(
            "round    bare consumer                ingest                              ratio  checkpoints".to_owned(),
        );
        for (number, round) in (1..).zip(&self.rounds) {
            lines.push(round.line(number));
        }
        lines.push(String::new());
        lines.push(format!(
            "median   {:.0} events/s bare, {:.0} events/s ingested: {:.2} of the bare rate (target {TARGET_RATIO})",
            self.bare_events_per_second, self.ingest_events_per_second, self.ratio
        ));
        lines.push(format!(
            "         checkpoints take {:.1} % of ingest's rate (target at most {:.0} %)",
            self.checkpoint_cost * 100.0,
            CHECKPOINT_COST * 100.0
        ));
        if let (Some(bare), Some(ingest)) = (self.bare_cpu_micros_per_event, self.ingest_cpu_micros_per_event) {
            lines.push(format!(
                "cpu      {ingest:.2} µs per event of ingest, {:.0} events/s per core (target {TARGET_PER_CORE:.0}); \
                 {bare:.2} µs of the bare consumer",
                1e6 / ingest
            ));
        }
        lines.push(format!(
            "memory   on one core without kafka and disk: {:.0} events/s decoded and counted, {:.0} events/s ingested",
            self.in_memory.decode_and_count, self.in_memory.ingest
        ));
        lines.join("\n")
    }
}

impl Round {
    fn ratio(&self) -> f64 {
        self.ingest.events_per_second() / self.bare.events_per_second()
    }

    fn checkpoint_cost(&self) -> f64 {
        1.0 - self.ingest.events_per_second() / self.without_checkpoints.events_per_second()
    }

    fn line(&self, number: u32) -> String {
        let Self { bare, ingest, .. } = self;
        let cpu = ingest.cpu_micros_per_event().map_or(String::new(), |micros| format!("{micros:.2} µs cpu"));
        format!(
            "{number:>5}  {:>9.0} events/s {:>6.0} MB/s  {:>9.0} events/s {:>6.0} MB/s {cpu:>12}  {:>5.2}  {:>9.1} %",
            bare.events_per_second(),
            bare.megabytes_per_second(),
            ingest.events_per_second(),
            ingest.megabytes_per_second(),
            self.ratio(),
            self.checkpoint_cost() * 100.0
        )
    }
}

/// The middle one, or the mean of the two in the middle; zero of none.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (below, above) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(below), sorted.get(above)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert_eq!(median(&[]).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn ratio_and_cost_of_checkpoints_are_those_of_the_rates() {
        let usage = |seconds| Usage { events: 100, bytes: 1_000, seconds, cpu_seconds: Some(seconds) };
        let round = Round { bare: usage(1.0), ingest: usage(4.0), without_checkpoints: usage(3.0) };
        assert!((round.ratio() - 0.25).abs() < 1e-12);
        assert!((round.checkpoint_cost() - 0.25).abs() < 1e-12);
        assert!(round.line(1).contains("0.25"), "{}", round.line(1));
    }
}
