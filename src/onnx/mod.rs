//! ONNX models: what is in a file, and running it with ONNX Runtime.
//!
//! The runtime is a shared library that is loaded when it is first asked for, so that everything else works without it.
//! Only tensors leave this port: a sequence of maps, as scikit-learn's exporter makes of probabilities, becomes a tensor
//! with one column per class.

mod bare;
mod graph;
mod runtime;
mod session;
mod tensor;
mod trial;

pub use bare::Bare;
pub use graph::{Classes, Graph, GraphError};
pub use runtime::{LIBRARY_VARIABLE, Library, Runtime};
pub use session::{Limits, Model};
pub use tensor::{Data, DataType, Tensor, TensorSpec};
pub use trial::{COMMAND, Outcome, Trial, TrialError, TrialLimits, undergo};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    #[error(
        "onnx runtime cannot be loaded from {library}: {reason}; install the onnxruntime package of PyPI (1.20 or newer) and \
         name its libonnxruntime.so as serving.onnxruntime or in ORT_DYLIB_PATH"
    )]
    Library { library: String, reason: String },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("the model cannot be loaded: {0}")]
    Load(String),
    #[error("{what} '{name}' is {kind}, which cannot be served: serving takes and answers tensors of rows")]
    Unsupported { what: &'static str, name: String, kind: String },
    #[error("the model failed: {0}")]
    Run(String),
    #[error("the model took longer than allowed and was stopped")]
    Stopped,
}
