//! Creating and checking topics.
#[derive(Debug)]
pub struct Admin;
