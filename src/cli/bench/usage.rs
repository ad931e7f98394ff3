//! What a stretch of work took: wall clock and processor time of this process.

use std::fs;
use std::time::Instant;

use serde::Serialize;

/// Linux counts processor time in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// A measured stretch.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Usage {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// Of all threads; none where the system does not tell.
    pub(super) cpu_seconds: Option<f64>,
}

/// A stretch that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    started: Instant,
    cpu_before: Option<f64>,
}

impl Meter {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), cpu_before: cpu_seconds() }
    }

    pub(super) fn stop(&self, events: u64, bytes: u64) -> Usage {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let cpu_seconds = cpu_seconds().zip(self.cpu_before).map(|(now, before)| now - before);
        Usage { events, bytes, seconds, cpu_seconds }
    }
}

impl Usage {
    pub(super) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    pub(super) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// Events per second of processor time, or of wall clock where the system does not tell.
    pub(super) fn events_per_core(&self) -> f64 {
        self.events as f64 / self.cpu_seconds.filter(|seconds| *seconds > 0.0).unwrap_or(self.seconds)
    }

    /// Processor time of one event in microseconds.
    pub(super) fn cpu_micros_per_event(&self) -> Option<f64> {
        self.cpu_seconds.map(|seconds| seconds * 1e6 / self.events as f64)
    }
}

/// Processor time that this process has used so far, with that of threads that have ended.
fn cpu_seconds() -> Option<f64> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The same of another process.
pub(super) fn cpu_seconds_of(process: u32) -> Option<f64> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The most resident memory that this process has had, in bytes (`VmHWM` of proc(5)'s `status`).
pub(super) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Fields 14 and 15 (`utime`, `stime`) of proc(5)'s `stat`; the second field is a name that may hold anything.
fn parse(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(parse(stat), Some(3.0));
        assert_eq!(parse("42 (a) S 1"), None);
    }
}
