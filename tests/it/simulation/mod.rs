//! The whole service in one thread from one seed: several processes with all roles, a consumer group's coordinator, a
//! bus, stores and a clock, where everything may go wrong between any two steps; and what must hold afterwards.
//!
//! What runs is the service's own code from the runner's loop inwards; only the ports are the simulation's. Each role of
//! each process is a future that the director polls when chance wants it to go on, so that a process can be stopped
//! between any two steps for a while (a zombie) or for ever (a crash). `make simulate SEED=n` replays one seed.

mod cast;
mod director;
mod faults;
mod group;
mod input;
mod naive;
mod ports;
mod process;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use cast::Cast;
use director::Director;
use faults::{Fault, Faults, Sabotage};
use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use verdict::Differences;
use xxhash_rust::xxh3::xxh3_64;

use crate::pipeline::stream::Choices;

/// Every seed that ever failed; it must never fail again.
const KEPT: [u64; 16] = [75, 99, 276, 328, 371, 619, 630, 837, 852, 981, 1_059, 1_109, 1_201, 1_325, 1_940, 2_176];

/// Run by plain `cargo test`; `make simulate SEEDS=n` runs more.
const SEEDS: u64 = 2_000;
const THREADS: usize = 2;
/// Enough for any broken promise to show.
const SEEDS_TO_FIND_OUT: u64 = 50;

/// Nothing waits for it: only notify's timeouts ask for one.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

/// What one seed led to.
#[derive(Default)]
struct Outcome {
    differences: Differences,
    events: u64,
    faults: BTreeMap<Fault, u64>,
}

/// A world where everything goes wrong for a while, and whether it came to rest afterwards.
fn storm(seed: u64, cast: &Cast, sabotage: Option<Sabotage>) -> (Director, Result<(), String>) {
    let mut choices = Choices::new(seed ^ 0xFA17);
    let faults = Faults::of(&mut choices);
    let most_processes = 2 + usize::try_from(choices.below(3)).unwrap();
    let mut director = Director::new(seed, cast.clone(), faults, most_processes);
    director.world.lock().sabotage = sabotage;
    director.storm();
    let rested = director.calm();
    (director, rested)
}

fn simulate(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let _inside = RUNTIME.enter();
    let cast = Cast::of(seed);
    let sizes: Vec<_> = cast.model.windows.iter().map(|size| size.length).collect();
    let mut outcome = Outcome::default();
    let (stormy, rested) = storm(seed, &cast, sabotage);
    {
        let world = stormy.world.lock();
        outcome.differences.extend(rested.err());
        outcome.differences.extend(now(verdict::judge(&world, &sizes)));
        outcome.faults.clone_from(world.faults.counts());
        outcome.events =
            world.log.iter().filter(|(place, _)| !place.topic.contains('.')).map(|(_, log)| log.len() as u64).sum();
    }

    let mut calm = Director::new(seed, cast.clone(), Faults::none(), 1);
    let rested = calm.calm();
    let calm_world = calm.world.lock();
    let undisturbed = |difference: String| format!("undisturbed: {difference}");
    outcome.differences.extend(rested.err().map(undisturbed));
    outcome.differences.extend(now(verdict::judge(&calm_world, &sizes)).into_iter().map(undisturbed));
    outcome.differences.extend(verdict::compare(&calm_world, &stormy.world.lock(), cast.is_from_stream()));
    outcome
}

/// Stores in memory never make anyone wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Of everything that was ever published.
fn hash(seed: u64) -> u64 {
    let _inside = RUNTIME.enter();
    let (director, _) = storm(seed, &Cast::of(seed), None);
    let world = director.world.lock();
    let mut all = Vec::new();
    for (place, log) in &world.log {
        all.extend(place.to_string().into_bytes());
        for logged in log {
            all.extend(format!("{:?}", logged.record).into_bytes());
        }
    }
    xxh3_64(&all)
}

/// As [`simulate`], with a panic as one more difference.
fn attempt(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| simulate(seed, sabotage))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome { differences: vec![format!("panicked: {}", text.unwrap_or_default())], ..Outcome::default() }
    })
}

/// Runs the seeds on a few threads, prints what happened, and fails with the seeds that made a difference.
fn run(seeds: &[u64]) {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new((0_u64, BTreeMap::<Fault, u64>::new(), Vec::<(u64, Differences)>::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    let outcome = attempt(*seed, None);
                    let mut total = total.lock().unwrap();
                    total.0 += outcome.events;
                    for (fault, times) in outcome.faults {
                        *total.1.entry(fault).or_default() += times;
                    }
                    if !outcome.differences.is_empty() {
                        println!("seed {seed} makes a difference, replay it with: make simulate SEED={seed}");
                        for difference in outcome.differences.iter().take(12) {
                            println!("  {difference}");
                        }
                        total.2.push((*seed, outcome.differences));
                    }
                }
            });
        }
    });
    let (events, faults, failed) = total.into_inner().unwrap();
    report(seeds.len(), events, &faults, failed.len(), started.elapsed());
    let failed: Vec<u64> = failed.into_iter().map(|(seed, _)| seed).collect();
    assert!(failed.is_empty(), "{} of {} seeds made a difference: {failed:?}", failed.len(), seeds.len());
}

fn report(seeds: usize, events: u64, faults: &BTreeMap<Fault, u64>, differences: usize, took: Duration) {
    println!("{seeds} seeds, {events} events, {differences} seeds with differences, {:.1} s", took.as_secs_f64());
    for (fault, times) in faults {
        println!("  {:<24}{times}", format!("{fault:?}"));
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn seeds_that_once_failed_make_no_difference_any_more() {
    run(&KEPT);
}

/// A verdict that finds nothing here would find nothing anywhere.
#[test]
fn a_world_that_breaks_a_promise_is_found_out() {
    for sabotage in Sabotage::ALL {
        let found = (0..SEEDS_TO_FIND_OUT).find(|seed| !attempt(*seed, Some(sabotage)).differences.is_empty());
        println!("{sabotage:?}: found out by seed {found:?}");
        assert!(found.is_some(), "{SEEDS_TO_FIND_OUT} seeds make no difference in a world with {sabotage:?}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 5] {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
}

#[test]
fn no_seed_makes_a_difference() {
    if let Some(seed) = setting("PLIMSOLL_SIMULATE_SEED") {
        return run(&[seed]);
    }
    let count = setting("PLIMSOLL_SIMULATE_SEEDS").unwrap_or(SEEDS);
    let first = setting("PLIMSOLL_SIMULATE_FROM").unwrap_or(0);
    run(&(first..first + count).collect::<Vec<_>>());
}
