//! The broker in this process.
#[derive(Debug)]
pub struct EmbeddedBroker;
