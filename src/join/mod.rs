//! The join role: outcomes meet their predictions.
