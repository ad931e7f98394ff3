//! What a client gets.

use serde::Serialize;

use super::request::{ProtocolError, WantedOutput};
use super::{InferRequest, binary};
use crate::onnx::{Data, Tensor};

/// The outputs of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct InferAnswer<'a> {
    pub id: Option<&'a str>,
    pub model: &'a str,
    pub version: &'a str,
    /// With whether it is sent as raw bytes.
    pub outputs: Vec<(&'a Tensor, bool)>,
}

#[derive(Serialize)]
struct Written<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<WrittenOutput<'a>>,
}

#[derive(Serialize)]
struct WrittenOutput<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements<'a>>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

/// JSON has no NaN; null stands for it.
#[derive(Serialize)]
#[serde(untagged)]
enum Elements<'a> {
    Bool(&'a [bool]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Fp32(&'a [f32]),
    Fp64(&'a [f64]),
    Bytes(&'a [String]),
}

/// A body, and how much of it is JSON if raw bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub body: Vec<u8>,
    pub json_length: Option<usize>,
}

impl<'a> InferAnswer<'a> {
    /// The outputs that the request wants.
    pub fn new(
        request: &'a InferRequest,
        model: &'a str,
        version: &'a str,
        outputs: &'a [Tensor],
    ) -> Result<Self, ProtocolError> {
        let chosen = |wanted: &WantedOutput| {
            let found = outputs.iter().find(|output| output.name == wanted.name);
            let known = || outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ");
            let unknown = || format!("output '{}' is not known; the model answers {}", wanted.name, known());
            let found = found.ok_or_else(|| ProtocolError::Malformed(unknown()))?;
            Ok((found, wanted.binary.unwrap_or(request.binary_output)))
        };
        let outputs = if request.outputs.is_empty() {
            outputs.iter().map(|output| (output, request.binary_output)).collect()
        } else {
            request.outputs.iter().map(chosen).collect::<Result<_, ProtocolError>>()?
        };
        Ok(Self { id: request.id.as_deref(), model, version, outputs })
    }

    #[must_use]
    pub fn encode(&self) -> Encoded {
        let mut raw = Vec::new();
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (tensor, is_binary) in &self.outputs {
            let before = raw.len();
            if *is_binary {
                binary::write(&tensor.data, &mut raw);
            }
            outputs.push(WrittenOutput {
                name: &tensor.name,
                datatype: tensor.data.datatype().name(),
                shape: &tensor.shape,
                parameters: is_binary.then(|| Parameters { binary_data_size: raw.len() - before }),
                data: (!is_binary).then(|| elements(&tensor.data)),
            });
        }
        let written = Written { model_name: self.model, model_version: self.version, id: self.id, outputs };
        // Numbers and texts can always be written.
        let mut body = serde_json::to_vec(&written).unwrap_or_default();
        let json_length = self.outputs.iter().any(|(_, is_binary)| *is_binary).then_some(body.len());
        body.append(&mut raw);
        Encoded { body, json_length }
    }
}

fn elements(data: &Data) -> Elements<'_> {
    match data {
        Data::Bool(values) => Elements::Bool(values),
        Data::Int32(values) => Elements::Int32(values),
        Data::Int64(values) => Elements::Int64(values),
        Data::Fp32(values) => Elements::Fp32(values),
        Data::Fp64(values) => Elements::Fp64(values),
        Data::Bytes(values) => Elements::Bytes(values),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outputs() -> Vec<Tensor> {
        let label = Tensor { name: "label".into(), shape: vec![2], data: Data::Int64(vec![0, 1]) };
        let scores = Tensor { name: "p".into(), shape: vec![2, 1], data: Data::Fp32(vec![0.5, f32::NAN]) };
        vec![label, scores]
    }

    fn answer(request: &InferRequest) -> Encoded {
        InferAnswer::new(request, "m", "3", &outputs()).unwrap().encode()
    }

    #[test]
    fn json_echoes_the_id_and_holds_every_output_flat() {
        let encoded = answer(&InferRequest { id: Some("7".into()), ..InferRequest::default() });
        let wanted = json!({
            "model_name": "m", "model_version": "3", "id": "7",
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]},
                {"name": "p", "datatype": "FP32", "shape": [2, 1], "data": [0.5, null]},
            ],
        });
        assert_eq!(serde_json::from_slice::<Value>(&encoded.body).unwrap(), wanted);
        assert_eq!(encoded.json_length, None);
    }

    #[test]
    fn raw_outputs_stand_behind_the_json_that_tells_their_sizes() {
        let wanted = vec![WantedOutput { name: "p".into(), binary: None }];
        let encoded = answer(&InferRequest { outputs: wanted, binary_output: true, ..InferRequest::default() });
        let (json, raw) = encoded.body.split_at(encoded.json_length.unwrap());
        let json: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["outputs"][0]["parameters"], json!({"binary_data_size": 8}));
        assert_eq!(raw[..4], 0.5_f32.to_le_bytes());
        assert_eq!(json["outputs"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_output_that_is_not_the_models_is_refused_with_what_it_answers() {
        let wanted = vec![WantedOutput { name: "q".into(), binary: None }];
        let request = InferRequest { outputs: wanted, ..InferRequest::default() };
        let error = InferAnswer::new(&request, "m", "3", &outputs()).unwrap_err().to_string();
        assert!(error.contains("'q'") && error.contains("label, p"), "{error}");
    }
}
