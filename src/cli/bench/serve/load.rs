//! An open load: each request has its time, whatever became of those before it, and waits from that time on.
//!
//! The client is a thread for each connection that writes and reads bytes, so that it takes little of the machine. How late
//! it was itself is told beside the latencies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::distribution::Distribution;

/// What is asked, how often and how many times.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) body: String,
    /// Requests per second.
    pub(super) rate: u32,
    pub(super) connections: u32,
    /// Beside those of the warm-up.
    pub(super) requests: u32,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Answered {
    pub(super) requests: usize,
    /// Until the last byte of the answer, from the time at which the request was to be sent.
    pub(super) latency: Distribution,
    /// How much of that went by before the client sent.
    pub(super) late: Distribution,
}

/// One request: how late it was sent, and when it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    late: Duration,
    latency: Duration,
}

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer.
const LARGEST: usize = 1 << 20;

/// Calls before anything is measured: half a second of them.
pub(super) const fn warm_up(rate: u32) -> u32 {
    rate / 2
}

impl Answered {
    pub(super) fn of(timed: &[Timed]) -> Self {
        Self {
            requests: timed.len(),
            latency: Distribution::of(timed.iter().map(|timed| timed.latency)),
            late: Distribution::of(timed.iter().map(|timed| timed.late)),
        }
    }
}

impl Load {
    /// Fails when a request was not answered with 200. Blocks.
    pub(super) fn run(&self) -> anyhow::Result<Vec<Timed>> {
        // All threads are there before the first request is due.
        let start = Instant::now() + Duration::from_millis(200);
        std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..self.connections).map(|number| scope.spawn(move || self.connection(number, start))).collect();
            let mut all = Vec::new();
            for thread in running {
                let Ok(timed) = thread.join() else { bail!("a thread of the client ended early") };
                all.append(&mut timed?);
            }
            Ok(all)
        })
    }

    /// Sends every request whose turn is this connection's.
    fn connection(&self, number: u32, start: Instant) -> anyhow::Result<Vec<Timed>> {
        sharpen_timers();
        let mut connection = Connection::open(self.address)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.path,
            self.address,
            self.body.len()
        );
        let request = [head.as_bytes(), self.body.as_bytes()].concat();
        let warm_up = warm_up(self.rate);
        let all = warm_up + self.requests;
        let mut timed = Vec::new();
        for turn in (number..all).step_by(self.connections as usize) {
            let due = start + Duration::from_secs(1) * turn / self.rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let late = due.elapsed();
            connection.ask(&request)?;
            if turn >= warm_up {
                timed.push(Timed { late, latency: due.elapsed() });
            }
        }
        Ok(timed)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1_024] })
    }

    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let mut whole = None;
        while whole.is_none_or(|whole| filled < whole) {
            ensure!(filled < LARGEST, "an answer is longer than {LARGEST} bytes");
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            match self.stream.read(&mut self.buffer[filled..]) {
                Ok(0) => bail!("the connection was closed within an answer"),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("an answer did not come"),
            }
            if whole.is_none() {
                whole = length(&self.buffer[..filled])?;
            }
        }
        let answer = &self.buffer[..filled];
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(answer));
        Ok(())
    }
}

/// Bytes of head and body together, once the head is there.
fn length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).context("the head of an answer is no text")?;
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let body: usize = field.context("an answer has no content-length")?.parse()?;
    Ok(Some(end + 4 + body))
}

/// By default Linux lets a thread sleep 50 µs longer than it asked for, which would count as latency.
pub(super) fn sharpen_timers() {
    let Ok(own) = std::fs::read_link("/proc/thread-self") else { return };
    if let Some(thread) = own.file_name() {
        // Where it cannot be set, the client is later, and says so.
        let _ = std::fs::write(Path::new("/proc").join(thread).join("timerslack_ns"), "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap(), Some(41));
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
