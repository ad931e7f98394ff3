//! SlateDB on an object store.
#[derive(Clone, Debug)]
pub struct StateSettings {
    /// `file:///path` or `s3://bucket/prefix`.
    pub url: String,
    /// Memory of the block cache that all partitions share, in bytes.
    pub cache: u64,
}
#[derive(Debug)]
pub struct StateRoot;
