//! Reading as a member of a consumer group.
#[derive(Debug)]
pub struct Consumer;
#[derive(Debug)]
pub struct Polled;
