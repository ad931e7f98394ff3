//! The Open Inference Protocol (V2): tensors in JSON or behind it, and what a model says of itself. No I/O, no HTTP: the
//! same bodies travel over topics.

mod binary;
mod describe;
mod request;
mod response;

pub use describe::{config, metadata};
pub(super) use request::split;
pub use request::{InferRequest, ProtocolError, WantedOutput};
pub use response::{Encoded, InferAnswer};
