//! What a client asks.

use serde::Deserialize;
use serde_json::Value;

use super::binary;
use crate::onnx::{Data, DataType, Tensor};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    pub id: Option<String>,
    /// On topics; over HTTP the path has it.
    pub model: Option<String>,
    pub version: Option<String>,
    pub inputs: Vec<Tensor>,
    /// All if empty.
    pub outputs: Vec<WantedOutput>,
    /// Whether outputs are raw bytes where they do not say.
    pub binary_output: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedOutput {
    pub name: String,
    pub binary: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("the request is no inference request: {0}")]
    Malformed(String),
    #[error("input '{name}' {reason}")]
    Input { name: String, reason: String },
    #[error("inference-header-content-length is {wanted}, the body has {length} bytes")]
    HeaderLength { wanted: usize, length: usize },
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model_name: Option<String>,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<WrittenInput>,
    #[serde(default)]
    outputs: Vec<WrittenOutput>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "the names are the protocol's")]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct WrittenInput {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    data: Option<Value>,
}

#[derive(Deserialize)]
struct WrittenOutput {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Inputs of one request.
const MOST_INPUTS: usize = 4_096;

/// The JSON of a body and the raw bytes behind it.
pub(in super::super) fn split(body: &[u8], json_length: Option<usize>) -> Result<(&[u8], &[u8]), ProtocolError> {
    let wanted = json_length.unwrap_or(body.len());
    body.split_at_checked(wanted).ok_or(ProtocolError::HeaderLength { wanted, length: body.len() })
}

impl InferRequest {
    /// Reads the JSON part, and from `raw` the elements of the inputs that say so.
    pub fn read(json: Value, raw: &[u8]) -> Result<Self, ProtocolError> {
        let malformed = |error: serde_json::Error| ProtocolError::Malformed(error.to_string());
        let written: Written = serde_json::from_value(json).map_err(malformed)?;
        if written.inputs.len() > MOST_INPUTS {
            return Err(ProtocolError::Malformed(format!("it has more than {MOST_INPUTS} inputs")));
        }
        let mut rest = raw;
        let mut inputs = Vec::with_capacity(written.inputs.len());
        for input in written.inputs {
            inputs.push(tensor(input, &mut rest)?);
        }
        if !rest.is_empty() {
            return Err(ProtocolError::Malformed(format!("{} bytes behind the inputs belong to none", rest.len())));
        }
        let outputs = written.outputs.into_iter();
        Ok(Self {
            id: written.id.filter(|id| !id.is_empty()),
            model: written.model_name,
            version: written.model_version.filter(|version| !version.is_empty()),
            inputs,
            outputs: outputs
                .map(|output| WantedOutput { name: output.name, binary: output.parameters.binary_data })
                .collect(),
            binary_output: written.parameters.binary_data_output.unwrap_or(false),
        })
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.inputs.first().map_or(0, Tensor::rows)
    }
}

fn tensor(input: WrittenInput, rest: &mut &[u8]) -> Result<Tensor, ProtocolError> {
    let WrittenInput { name, shape, datatype, parameters, data } = input;
    let wrong = |reason: String| ProtocolError::Input { name: name.clone(), reason };
    let Some(datatype) = DataType::parse(&datatype) else {
        let known = DataType::ALL.map(DataType::name).join(", ");
        return Err(wrong(format!("has datatype '{datatype}'; served are {known}")));
    };
    let count = shape.iter().try_fold(1_usize, |count, dimension| count.checked_mul(*dimension));
    let count =
        count.filter(|count| *count > 0).ok_or_else(|| wrong(format!("has shape {shape:?}, without elements")))?;
    let data = match (data, parameters.binary_data_size) {
        (None, Some(size)) => {
            let (own, behind) = rest.split_at_checked(size).ok_or_else(|| {
                wrong(format!("says it has {size} bytes behind the JSON, where {} are left", rest.len()))
            })?;
            *rest = behind;
            binary::read(&name, datatype, count, own)?
        }
        (Some(Value::Array(elements)), None) => {
            let mut flat = Flat::new(datatype, count);
            flat.take(&elements).map_err(&wrong)?;
            flat.0
        }
        (Some(_), Some(_)) => return Err(wrong("has both data and binary_data_size".to_owned())),
        _ => return Err(wrong("has no data: send an array, or binary_data_size".to_owned())),
    };
    if data.len() != count {
        return Err(wrong(format!("has {} elements, its shape {shape:?} asks for {count}", data.len())));
    }
    Ok(Tensor { name, shape, data })
}

/// Collects elements, nested or not, row by row.
struct Flat(Data);

impl Flat {
    fn new(datatype: DataType, count: usize) -> Self {
        // What a shape says is not believed beyond this.
        let count = count.min(1 << 16);
        Self(match datatype {
            DataType::Bool => Data::Bool(Vec::with_capacity(count)),
            DataType::Int32 => Data::Int32(Vec::with_capacity(count)),
            DataType::Int64 => Data::Int64(Vec::with_capacity(count)),
            DataType::Fp32 => Data::Fp32(Vec::with_capacity(count)),
            DataType::Fp64 => Data::Fp64(Vec::with_capacity(count)),
            DataType::Bytes => Data::Bytes(Vec::with_capacity(count)),
        })
    }

    fn take(&mut self, elements: &[Value]) -> Result<(), String> {
        for element in elements {
            match element {
                Value::Array(inner) => self.take(inner)?,
                element => {
                    self.push(element)
                        .ok_or_else(|| format!("has an element {element}, which is no {}", self.0.datatype().name()))?;
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, reason = "the client chose single precision")]
    fn push(&mut self, element: &Value) -> Option<()> {
        match &mut self.0 {
            Data::Bool(values) => values.push(element.as_bool()?),
            Data::Int32(values) => values.push(element.as_i64()?.try_into().ok()?),
            Data::Int64(values) => values.push(element.as_i64()?),
            Data::Fp32(values) => values.push(float(element)? as f32),
            Data::Fp64(values) => values.push(float(element)?),
            Data::Bytes(values) => values.push(element.as_str()?.to_owned()),
        }
        Some(())
    }
}

/// JSON has no NaN; null stands for it.
fn float(element: &Value) -> Option<f64> {
    if element.is_null() { Some(f64::NAN) } else { element.as_f64() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(shape: &Value, datatype: &str, data: &Value) -> Value {
        json!({"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}]})
    }

    fn said(json: Value, raw: &[u8]) -> String {
        InferRequest::read(json, raw).unwrap_err().to_string()
    }

    #[test]
    fn nested_and_flat_data_are_the_same() {
        let nested = InferRequest::read(input(&json!([2, 2]), "FP32", &json!([[1, 2.5], [null, 4]])), b"").unwrap();
        let flat = InferRequest::read(input(&json!([2, 2]), "FP32", &json!([1, 2.5, null, 4])), b"").unwrap();
        let Data::Fp32(values) = &nested.inputs[0].data else { panic!("{nested:?}") };
        assert!(values[..2] == [1.0, 2.5] && values[2].is_nan());
        assert_eq!(nested.rows(), 2);
        assert_eq!(format!("{nested:?}"), format!("{flat:?}"));
    }

    #[test]
    fn raw_bytes_belong_to_the_inputs_in_their_order() {
        let json = json!({
            "id": "7", "parameters": {"binary_data_output": true},
            "inputs": [
                {"name": "a", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}},
                {"name": "b", "shape": [1], "datatype": "INT64", "data": [5]},
                {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}},
            ],
            "outputs": [{"name": "label", "parameters": {"binary_data": false}}],
        });
        let raw = [&1.5_f32.to_le_bytes()[..], &[1, 0, 0, 0, b'x', 0, 0, 0, 0]].concat();
        let request = InferRequest::read(json, &raw).unwrap();
        assert!(request.binary_output && request.id.as_deref() == Some("7"));
        assert_eq!(request.outputs, [WantedOutput { name: "label".into(), binary: Some(false) }]);
        assert_eq!(request.inputs[0].data, Data::Fp32(vec![1.5]));
        assert_eq!(request.inputs[2].data, Data::Bytes(vec!["x".into(), String::new()]));
    }

    #[test]
    fn wrong_requests_are_refused_by_the_name_of_the_input() {
        assert!(said(json!({}), b"").contains("missing field `inputs`"));
        assert!(said(input(&json!([1]), "FP16", &json!([1])), b"").contains("datatype 'FP16'; served are BOOL"));
        assert_eq!(
            said(input(&json!([1]), "INT32", &json!([1.5])), b""),
            "input 'x' has an element 1.5, which is no INT32"
        );
        assert!(
            said(input(&json!([3]), "INT32", &json!([1])), b"").contains("has 1 elements, its shape [3] asks for 3")
        );
        assert!(said(input(&json!([0]), "FP32", &json!([])), b"").contains("without elements"));
        assert!(said(input(&json!([u64::MAX, 3]), "FP32", &json!([])), b"").contains("without elements"));
        assert!(said(input(&json!([1]), "FP32", &json!("x")), b"").contains("has no data"));
        assert!(said(input(&json!([1]), "FP32", &json!([1])), b"??").contains("2 bytes behind"));
        assert!(split(b"{}", Some(3)).unwrap_err().to_string().contains("the body has 2 bytes"));
    }
}
