//! The columns that a model was trained on, from the `MLmodel` file that MLflow's clients write beside it.

use serde::Deserialize;

use super::layout::NamedColumn;

#[derive(Deserialize)]
struct Column {
    name: Option<String>,
    /// MLflow has it so when the training data had no gaps.
    #[serde(default = "yes")]
    required: bool,
}

const fn yes() -> bool {
    true
}

/// The named columns of the signature's inputs; none where there are none.
#[must_use]
pub fn columns(mlmodel: &str) -> Vec<NamedColumn> {
    let Some(json) = quoted(mlmodel) else { return Vec::new() };
    let columns: Vec<Column> = serde_json::from_str(&json).unwrap_or_default();
    let named: Vec<NamedColumn> = columns
        .iter()
        .filter_map(|column| Some(NamedColumn { name: column.name.clone()?, required: column.required }))
        .collect();
    if named.len() == columns.len() { named } else { Vec::new() }
}

/// Names as a tag gives them: a JSON array of text.
#[must_use]
pub fn named(tag: &str) -> Vec<NamedColumn> {
    let names: Vec<String> = serde_json::from_str(tag).unwrap_or_default();
    names.into_iter().map(|name| NamedColumn { name, required: false }).collect()
}

/// The value of `inputs` below `signature`: YAML's quoted text, which may run over several lines.
fn quoted(mlmodel: &str) -> Option<String> {
    let (_, signature) = mlmodel.split_once("\nsignature:\n")?;
    let (before, inputs) = signature.split_once("  inputs: ")?;
    // Not that of another table further down.
    if before.lines().any(|line| !line.starts_with(' ')) {
        return None;
    }
    let body = inputs.strip_prefix('\'')?;
    let mut text = String::new();
    let mut characters = body.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' if characters.peek() == Some(&'\'') => {
                characters.next();
                text.push('\'');
            }
            '\'' => return Some(text),
            // A break within the text stands for one space.
            '\n' => {
                while characters.peek().is_some_and(|next| *next == ' ') {
                    characters.next();
                }
                text.push(' ');
            }
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_from_what_mlflow_writes_over_several_lines() {
        let mlmodel = "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\nmodel_id: m-1\nsignature:\n  \
                       inputs: '[{\"type\": \"double\", \"name\": \"car''s value\", \"required\": true}, {\"type\": \
                       \"string\",\n    \"name\": \"b\", \"required\": false}]'\n  outputs: '[]'\n  params: null\nutc: '1'\n";
        let read = columns(mlmodel);
        let pairs: Vec<(&str, bool)> = read.iter().map(|column| (column.name.as_str(), column.required)).collect();
        assert_eq!(pairs, [("car's value", true), ("b", false)]);
    }

    #[test]
    fn tensors_without_names_and_models_without_signature_have_no_columns() {
        let tensor =
            "a: 1\nsignature:\n  inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\"}}]'\n";
        assert!(columns(tensor).is_empty());
        assert!(columns("a: 1\n").is_empty());
        assert!(columns("\nsignature:\nother:\n  inputs: '[{\"name\": \"a\"}]'\n").is_empty());
        assert!(columns("\nsignature:\n  inputs: '[{\"name\": \"a\"}").is_empty());
    }

    #[test]
    fn a_tag_names_columns_in_their_order() {
        assert_eq!(named("[\"b\", \"a\"]").iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(named("nonsense").is_empty());
    }
}
