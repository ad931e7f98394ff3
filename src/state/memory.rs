//! A store in memory, for tests and simulation.
#[derive(Debug)]
pub struct MemoryStore;
