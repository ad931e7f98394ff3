//! The runtime's own call with nothing around it: the yardstick of what serving adds.

use std::fmt;

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::OnnxError;
use super::runtime::Runtime;
use super::session::{failed, session};

/// A model whose only input is a matrix in single precision.
pub struct Bare {
    session: Session,
}

impl Bare {
    /// Loads the bytes of a file as [`Model`](super::Model) does. Blocks.
    pub fn load(runtime: &Runtime, bytes: &[u8], threads: usize) -> Result<Self, OnnxError> {
        Ok(Self { session: session(runtime, bytes, threads)? })
    }

    /// Runs one batch and returns how many outputs there are. Blocks.
    pub fn run(&mut self, shape: [usize; 2], values: &[f32]) -> Result<usize, OnnxError> {
        let tensor = TensorRef::from_array_view((shape, values)).map_err(|error| failed(&error))?;
        let outputs = self.session.run([SessionInputValue::from(tensor)]).map_err(|error| failed(&error))?;
        Ok(outputs.len())
    }
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare").finish_non_exhaustive()
    }
}
