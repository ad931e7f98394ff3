//! What a model says of itself.

use serde_json::{Value, json};

use crate::onnx::{DataType, TensorSpec};

const PLATFORM: &str = "onnxruntime_onnx";

/// The model's metadata; `versions` are those that can be asked.
#[must_use]
pub fn metadata(model: &str, versions: &[String], inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Value {
    let tensor =
        |spec: &TensorSpec| json!({ "name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape });
    json!({
        "name": model,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// The same in the shape of Triton's configuration, which clients ask for.
#[must_use]
pub fn config(model: &str, max_rows: usize, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Value {
    // The first dimension is that of the batch.
    let tensor = |spec: &TensorSpec| {
        let dims: Vec<i64> = if spec.shape.len() > 1 { spec.shape[1..].to_vec() } else { vec![1] };
        json!({ "name": spec.name, "data_type": triton_type(spec.datatype), "dims": dims })
    };
    json!({
        "name": model,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": max_rows,
        "input": inputs.iter().map(tensor).collect::<Vec<_>>(),
        "output": outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

const fn triton_type(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "TYPE_BOOL",
        DataType::Int32 => "TYPE_INT32",
        DataType::Int64 => "TYPE_INT64",
        DataType::Fp32 => "TYPE_FP32",
        DataType::Fp64 => "TYPE_FP64",
        DataType::Bytes => "TYPE_STRING",
    }
}
