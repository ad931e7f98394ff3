//! Publishing with acknowledgement.
#[derive(Debug)]
pub struct Producer;
