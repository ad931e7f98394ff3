//! The inputs that a model was logged with: the signature in its `MLmodel` file.
//!
//! That file is YAML, written by MLflow in one way only: `inputs` is a string below `signature`, which holds JSON and may
//! be folded over several lines. That much is read here, and nothing else of YAML.

use serde::Deserialize;

/// A column of the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureColumn {
    pub name: String,
    /// `numeric`, `categorical`, or the signature's own word for what is neither.
    pub kind: String,
}

#[derive(Deserialize)]
struct Column {
    name: Option<String>,
    r#type: String,
    #[serde(rename = "tensor-spec")]
    tensor: Option<serde_json::Value>,
}

/// None if there is no signature, or one without named columns, such as of a tensor.
#[must_use]
pub fn signature_of(mlmodel: &str) -> Option<Vec<SignatureColumn>> {
    let columns: Vec<Column> = serde_json::from_str(&inputs(mlmodel)?).ok()?;
    columns
        .into_iter()
        .filter(|column| column.tensor.is_none())
        .map(|column| Some(SignatureColumn { name: column.name?, kind: kind(&column.r#type) }))
        .collect::<Option<Vec<_>>>()
        .filter(|columns| !columns.is_empty())
}

fn kind(mlflow: &str) -> String {
    match mlflow {
        "double" | "float" | "integer" | "long" => "numeric",
        "string" | "boolean" => "categorical",
        other => other,
    }
    .to_owned()
}

/// The scalar at `signature: inputs:`.
fn inputs(mlmodel: &str) -> Option<String> {
    let mut lines = mlmodel.lines().skip_while(|line| line.trim_end() != "signature:").skip(1);
    let indented = |line: &str| line.starts_with([' ', '\t']) || line.trim().is_empty();
    let mut scalar = String::new();
    let mut is_inside = false;
    for line in lines.by_ref().take_while(|line| indented(line)) {
        if is_inside {
            let is_key = line.trim_start().split_once(": ").is_some_and(|(key, _)| is_plain(key)) && is_closed(&scalar);
            if is_key {
                break;
            }
            scalar.push(' ');
            scalar.push_str(line.trim());
        } else if let Some(rest) = line.trim_start().strip_prefix("inputs:") {
            is_inside = true;
            scalar.push_str(rest.trim());
        }
    }
    let text = scalar.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))?;
    Some(text.replace("''", "'"))
}

fn is_plain(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a quoted scalar ends here: its quotes are doubled inside.
fn is_closed(scalar: &str) -> bool {
    scalar.starts_with('\'') && scalar.matches('\'').count().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MLMODEL: &str = r#"artifact_path: mlflow-artifacts:/0/models/m-1/artifacts
flavors:
  python_function:
    inputs: 'not these'
model_id: m-1
signature:
  inputs: '[{"type": "double", "name": "car_value", "required": true}, {"type": "string",
    "name": "driver''s range", "required": true}, {"type": "boolean", "name": "repaid",
    "required": false}, {"type": "datetime", "name": "since", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
  params: null
type_hint: null
"#;

    #[test]
    fn a_signature_is_read_as_mlflow_folds_it() {
        let column = |name: &str, kind: &str| SignatureColumn { name: name.into(), kind: kind.into() };
        let expected = [
            column("car_value", "numeric"),
            column("driver's range", "categorical"),
            column("repaid", "categorical"),
            column("since", "datetime"),
        ];
        assert_eq!(signature_of(MLMODEL).unwrap(), expected);
    }

    #[test]
    fn what_has_no_named_columns_has_no_signature() {
        let of = |inputs: &str| signature_of(&format!("signature:\n  inputs: {inputs}\n  outputs: null\n"));
        assert_eq!(signature_of(""), None);
        assert_eq!(signature_of("model_id: m-1\n"), None);
        for inputs in [
            "null",
            "'[]'",
            "'[{\"type\": \"double\"}]'",
            "'[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 2]}}]'",
            "'no JSON'",
            "'[{\"type\": \"double\", \"name\": \"cut",
        ] {
            assert_eq!(of(inputs), None, "{inputs}");
        }
    }
}
