//! Reading whole topics without a group.
#[derive(Debug)]
pub struct Tail;
