//! What a client gets.

use serde_json::{Map, Value, json};

use super::request::{ProtocolError, WantedOutput};
use super::{InferRequest, binary};
use crate::onnx::{Data, Tensor};

/// The outputs of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct InferAnswer {
    pub id: Option<String>,
    pub model: String,
    pub version: String,
    /// With whether it is sent as raw bytes.
    pub outputs: Vec<(Tensor, bool)>,
}

/// A body, and how much of it is JSON if raw bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub body: Vec<u8>,
    pub json_length: Option<usize>,
}

impl InferAnswer {
    /// The outputs that the request wants.
    pub fn new(request: &InferRequest, model: &str, version: &str, outputs: &[Tensor]) -> Result<Self, ProtocolError> {
        let all = || outputs.iter().map(|output| (output.clone(), request.binary_output)).collect();
        let chosen = |wanted: &WantedOutput| {
            let found = outputs.iter().find(|output| output.name == wanted.name).cloned();
            let known = || outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ");
            let unknown = || format!("output '{}' is not known; the model answers {}", wanted.name, known());
            let found = found.ok_or_else(|| ProtocolError::Malformed(unknown()))?;
            Ok((found, wanted.binary.unwrap_or(request.binary_output)))
        };
        let outputs = if request.outputs.is_empty() {
            all()
        } else {
            request.outputs.iter().map(chosen).collect::<Result<_, ProtocolError>>()?
        };
        Ok(Self { id: request.id.clone(), model: model.to_owned(), version: version.to_owned(), outputs })
    }

    #[must_use]
    pub fn encode(&self) -> Encoded {
        let mut raw = Vec::new();
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (tensor, is_binary) in &self.outputs {
            let mut output = Map::new();
            output.insert("name".to_owned(), tensor.name.clone().into());
            output.insert("datatype".to_owned(), tensor.data.datatype().name().into());
            output.insert("shape".to_owned(), tensor.shape.clone().into());
            if *is_binary {
                let before = raw.len();
                binary::write(&tensor.data, &mut raw);
                output.insert("parameters".to_owned(), json!({ "binary_data_size": raw.len() - before }));
            } else {
                output.insert("data".to_owned(), elements(&tensor.data));
            }
            outputs.push(Value::Object(output));
        }
        let mut answer = Map::new();
        answer.insert("model_name".to_owned(), self.model.clone().into());
        answer.insert("model_version".to_owned(), self.version.clone().into());
        if let Some(id) = &self.id {
            answer.insert("id".to_owned(), id.clone().into());
        }
        answer.insert("outputs".to_owned(), outputs.into());
        let mut body = Value::Object(answer).to_string().into_bytes();
        let json_length = self.outputs.iter().any(|(_, is_binary)| *is_binary).then_some(body.len());
        body.append(&mut raw);
        Encoded { body, json_length }
    }
}

/// JSON has no NaN; null stands for it.
fn elements(data: &Data) -> Value {
    match data {
        Data::Bool(values) => values.clone().into(),
        Data::Int32(values) => values.clone().into(),
        Data::Int64(values) => values.clone().into(),
        Data::Fp32(values) => values.clone().into(),
        Data::Fp64(values) => values.clone().into(),
        Data::Bytes(values) => values.clone().into(),
    }
}

#[cfg(test)]
mod tests {
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
