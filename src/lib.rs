//! Plimsoll watches machine-learning models on the Kafka stream.
//!
//! # The map of the house
//!
//! From the bottom up; a room imports only from the rooms above it in this list, and roles never import each other
//! (they talk over topics). `tests/it/imports.rs` enforces it.
//!
//! - Vocabulary: [`clock`] (instants, spans, the clock that is passed in), [`detector`] (ADWIN and other sequential
//!   detectors over one series), [`model`] (what is monitored and how it is judged), [`event`] (what travels on the bus
//!   and stands in the tables).
//! - Pure core, without I/O: [`profile`] (anchors, histograms, moments, reconstruction errors: mergeable
//!   counts), [`drift`] (PSI, KS,
//!   and twelve other methods, the decision; agreement of attributions), [`quality`] (missing, unseen, out of range,
//!   constant), [`performance`] (metrics with intervals, decay, estimates without labels, fairness), [`window`] (panes,
//!   watermarks, windows and their revisions, series of panes for the detectors), [`rollout`] (who gets a new version,
//!   and whether it is worse than the old one).
//! - Ports: [`processors`] (where threads run), [`telemetry`] (logs, metrics, health), [`bus`] (Kafka and the embedded broker), [`codec`] (JSON to Arrow,
//!   data files), [`state`] (SlateDB), [`artifacts`] (files of
//!   models on an object store), [`onnx`] (models in ONNX Runtime), [`query`] (DataFusion over the tables).
//! - The frame of every role: [`runner`] (reads, applies, checkpoints, publishes).
//! - Roles: [`ingest`] (events to panes and join rows), [`join`] (outcomes to predictions), [`evaluate`] (panes to
//!   windows, checks, alerts, retraining requests), [`notify`] (alerts to people), [`registry`] (experiments,
//!   runs, models and their versions), [`serve`] (versions answer, over HTTP and on the stream).
//! - Edges: [`api`] (HTTP and the first page).
//! - The front door: [`settings`], [`app`] (builds, starts and drains the roles), [`cli`] (one file per subcommand).

pub mod api;
pub mod app;
pub mod artifacts;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod detector;
pub mod drift;
pub mod evaluate;
pub mod event;
pub mod ingest;
pub mod join;
pub mod model;
pub mod notify;
pub mod onnx;
pub mod performance;
pub mod processors;
pub mod profile;
pub mod quality;
pub mod query;
pub mod registry;
pub mod rollout;
pub mod runner;
pub mod serve;
pub mod settings;
pub mod state;
pub mod telemetry;
pub mod window;
