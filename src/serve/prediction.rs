//! What a model's outputs say: a label with its probability, or a value.

use serde::{Deserialize, Serialize};

use crate::model::Task;
use crate::onnx::{Classes, Tensor, TensorSpec};

/// One answer, as events carry it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prediction {
    Value {
        value: f64,
    },
    Class {
        label: String,
        /// Probability of the positive class, of a model with two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<f64>,
        /// Probability of each class, of a model with more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scores: Option<serde_json::Map<String, serde_json::Value>>,
    },
}

/// What is known of the model beside its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    pub task: Task,
    /// The class whose probability the score is.
    pub positive: String,
}

/// Which outputs are read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Value { output: usize },
    Class { label: Option<usize>, scores: Option<Scores> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    output: usize,
    classes: Vec<String>,
    /// Position of the positive class, of a binary model.
    positive: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    #[error("the model has neither a label nor a number among its outputs")]
    Nothing,
    #[error("the model has no class '{positive}', which is configured as positive; its classes are {known}")]
    Positive { positive: String, known: String },
}

/// Why one row has no prediction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    #[error("output '{0}' is not a number")]
    NotFinite(String),
    #[error("output '{0}' has no element for the row")]
    Short(String),
}

impl Reading {
    pub fn new(
        outputs: &[TensorSpec],
        classes: Option<&Classes>,
        purpose: Option<&Purpose>,
    ) -> Result<Self, ReadingError> {
        let floats = outputs.iter().position(|output| output.datatype.is_float());
        let label = outputs.iter().position(|output| !output.datatype.is_float() && output.width() == Some(1));
        let is_regression = match purpose {
            Some(purpose) => purpose.task == Task::Regression,
            None => label.is_none() && classes.is_none(),
        };
        if is_regression {
            return Ok(Self::Value { output: floats.or(label).ok_or(ReadingError::Nothing)? });
        }
        let scores = match floats {
            Some(output) => Scores::new(output, &outputs[output], outputs, label, classes, purpose)?,
            None => None,
        };
        if label.is_none() && scores.is_none() {
            return Err(ReadingError::Nothing);
        }
        Ok(Self::Class { label, scores })
    }

    /// The prediction of one row.
    pub fn row(&self, tensors: &[Tensor], row: usize) -> Result<Prediction, OutputError> {
        match self {
            Self::Value { output } => {
                let tensor = &tensors[*output];
                let value = tensor.data.number(row * tensor.width());
                let value = value.ok_or_else(|| OutputError::Short(tensor.name.clone()))?;
                if !value.is_finite() {
                    return Err(OutputError::NotFinite(tensor.name.clone()));
                }
                Ok(Prediction::Value { value })
            }
            Self::Class { label, scores } => class(tensors, row, *label, scores.as_ref()),
        }
    }
}

impl Scores {
    /// None when it is not known which class is which.
    fn new(
        output: usize,
        spec: &TensorSpec,
        outputs: &[TensorSpec],
        label: Option<usize>,
        classes: Option<&Classes>,
        purpose: Option<&Purpose>,
    ) -> Result<Option<Self>, ReadingError> {
        let is_text = label.is_some_and(|label| outputs[label].datatype == crate::onnx::DataType::Bytes);
        let classes: Vec<String> = match (classes, spec.width()) {
            (Some(classes), _) => classes.0.clone(),
            // Labels that are numbers count from 0.
            (None, Some(width)) if !is_text => (0..width.max(2)).map(|class| class.to_string()).collect(),
            _ => return Ok(None),
        };
        let is_binary = purpose.map_or(classes.len() == 2, |purpose| purpose.task == Task::Binary);
        let positive = match purpose {
            Some(purpose) if is_binary => {
                let position = classes.iter().position(|class| *class == purpose.positive);
                let unknown =
                    || ReadingError::Positive { positive: purpose.positive.clone(), known: classes.join(", ") };
                Some(position.ok_or_else(unknown)?)
            }
            _ => is_binary.then(|| classes.len() - 1),
        };
        Ok(Some(Self { output, classes, positive }))
    }

    fn share(&self, tensor: &Tensor, row: usize, class: usize) -> Result<f64, OutputError> {
        let width = tensor.width();
        let share = if width == 1 && self.classes.len() == 2 {
            // The probability of the second class alone.
            tensor.data.number(row).map(|share| if class == 1 { share } else { 1.0 - share })
        } else {
            tensor.data.number(row * width + class).filter(|_| class < width)
        };
        let share = share.ok_or_else(|| OutputError::Short(tensor.name.clone()))?;
        if share.is_finite() { Ok(share) } else { Err(OutputError::NotFinite(tensor.name.clone())) }
    }
}

fn class(
    tensors: &[Tensor],
    row: usize,
    label: Option<usize>,
    scores: Option<&Scores>,
) -> Result<Prediction, OutputError> {
    let named = match label {
        Some(output) => {
            let tensor = &tensors[output];
            Some(tensor.data.class(row).ok_or_else(|| OutputError::Short(tensor.name.clone()))?)
        }
        None => None,
    };
    let Some(scores) = scores else {
        return Ok(Prediction::Class { label: named.unwrap_or_default(), score: None, scores: None });
    };
    let tensor = &tensors[scores.output];
    let shares: Vec<f64> =
        (0..scores.classes.len()).map(|class| scores.share(tensor, row, class)).collect::<Result<_, _>>()?;
    let likeliest = || {
        let first = shares.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
        scores.classes[first].clone()
    };
    let label = named.unwrap_or_else(likeliest);
    if let Some(positive) = scores.positive {
        return Ok(Prediction::Class { label, score: Some(shares[positive]), scores: None });
    }
    let each = scores.classes.iter().zip(&shares).map(|(class, share)| (class.clone(), (*share).into()));
    Ok(Prediction::Class { label, score: None, scores: Some(each.collect()) })
}

impl Prediction {
    /// Whether both come to the same: the same label, or values that differ by at most this share of the larger one.
    #[must_use]
    pub fn says_as(&self, other: &Self, tolerance: f64) -> bool {
        match (self, other) {
            (Self::Value { value: a }, Self::Value { value: b }) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
            (Self::Class { label: a, .. }, Self::Class { label: b, .. }) => a == b,
            _ => false,
        }
    }

    /// Whether both say the same, numbers within `tolerance` of each other.
    #[must_use]
    pub fn agrees(&self, other: &Self, tolerance: f64) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance * b.abs().max(1.0);
        match (self, other) {
            (Self::Value { value: a }, Self::Value { value: b }) => close(*a, *b),
            (Self::Class { label, score, scores }, Self::Class { label: other, score: wanted, scores: all }) => {
                let scores_agree = || {
                    all.as_ref().is_none_or(|all| {
                        all.iter().all(|(class, share)| {
                            let found = scores.as_ref().and_then(|scores| scores.get(class)?.as_f64());
                            found.zip(share.as_f64()).is_some_and(|(a, b)| close(a, b))
                        })
                    })
                };
                let score_agrees = wanted.is_none_or(|wanted| score.is_some_and(|score| close(score, wanted)));
                label == other && score_agrees && scores_agree()
            }
            _ => false,
        }
    }
}

impl Prediction {
    /// How far the numbers of both are apart at most; none if they have none in common.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<f64> {
        match (self, other) {
            (Self::Value { value: a }, Self::Value { value: b }) => Some((a - b).abs()),
            (Self::Class { score: Some(a), .. }, Self::Class { score: Some(b), .. }) => Some((a - b).abs()),
            (Self::Class { scores: Some(all), .. }, Self::Class { scores: Some(wanted), .. }) => {
                let apart = |(class, share): (&String, &serde_json::Value)| {
                    Some((all.get(class)?.as_f64()? - share.as_f64()?).abs())
                };
                wanted.iter().filter_map(apart).max_by(f64::total_cmp)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::onnx::{Data, DataType};

    fn spec(name: &str, datatype: DataType, shape: &[i64]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec() }
    }

    fn tensor(name: &str, shape: &[usize], data: Data) -> Tensor {
        Tensor { name: name.to_owned(), shape: shape.to_vec(), data }
    }

    fn classifier(width: i64) -> [TensorSpec; 2] {
        [spec("label", DataType::Int64, &[-1]), spec("probabilities", DataType::Fp32, &[-1, width])]
    }

    fn classes(names: &[&str]) -> Classes {
        Classes(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn told(reading: &Reading, tensors: &[Tensor], row: usize) -> serde_json::Value {
        serde_json::to_value(reading.row(tensors, row).unwrap()).unwrap()
    }

    #[test]
    fn two_classes_answer_a_label_and_the_probability_of_the_positive_one() {
        let tensors = [
            tensor("label", &[2], Data::Int64(vec![0, 1])),
            tensor("probabilities", &[2, 2], Data::Fp32(vec![0.75, 0.25, 0.125, 0.875])),
        ];
        let reading = Reading::new(&classifier(2), None, None).unwrap();
        assert_eq!(told(&reading, &tensors, 0), json!({"label": "0", "score": 0.25}));
        assert_eq!(told(&reading, &tensors, 1), json!({"label": "1", "score": 0.875}));
        let zero = Purpose { task: Task::Binary, positive: "0".into() };
        let reading = Reading::new(&classifier(2), None, Some(&zero)).unwrap();
        assert_eq!(told(&reading, &tensors, 0), json!({"label": "0", "score": 0.75}));
        let other = Purpose { task: Task::Binary, positive: "yes".into() };
        let error = Reading::new(&classifier(2), None, Some(&other)).unwrap_err().to_string();
        assert!(error.contains("'yes'") && error.contains("0, 1"), "{error}");
    }

    #[test]
    fn more_classes_answer_all_their_probabilities_and_a_missing_label_is_the_likeliest() {
        let outputs = [spec("probabilities", DataType::Fp64, &[-1, 3])];
        let reading = Reading::new(&outputs, Some(&classes(&["a", "b", "c"])), None).unwrap();
        let tensors = [tensor("probabilities", &[1, 3], Data::Fp64(vec![0.25, 0.5, 0.25]))];
        let wanted = json!({"label": "b", "scores": {"a": 0.25, "b": 0.5, "c": 0.25}});
        assert_eq!(told(&reading, &tensors, 0), wanted);
    }

    #[test]
    fn text_labels_whose_classes_nobody_tells_are_answered_alone() {
        let outputs = [spec("label", DataType::Bytes, &[-1]), spec("p", DataType::Fp32, &[-1, 2])];
        let reading = Reading::new(&outputs, None, None).unwrap();
        let tensors =
            [tensor("label", &[1], Data::Bytes(vec!["no".into()])), tensor("p", &[1, 2], Data::Fp32(vec![0.9, 0.1]))];
        assert_eq!(told(&reading, &tensors, 0), json!({"label": "no"}));
    }

    #[test]
    fn a_regression_answers_a_value_and_nan_is_an_error_of_its_row_alone() {
        let outputs = [spec("variable", DataType::Fp32, &[-1, 1])];
        let reading = Reading::new(&outputs, None, None).unwrap();
        let tensors = [tensor("variable", &[2, 1], Data::Fp32(vec![1.5, f32::NAN]))];
        assert_eq!(told(&reading, &tensors, 0), json!({"value": 1.5}));
        assert_eq!(reading.row(&tensors, 1), Err(OutputError::NotFinite("variable".into())));
        let counts = [spec("count", DataType::Int64, &[-1])];
        let regression = Purpose { task: Task::Regression, positive: String::new() };
        let reading = Reading::new(&counts, None, Some(&regression)).unwrap();
        assert_eq!(told(&reading, &[tensor("count", &[1], Data::Int64(vec![4]))], 0), json!({"value": 4.0}));
        assert_eq!(Reading::new(&[], None, None), Err(ReadingError::Nothing));
    }

    #[test]
    fn predictions_agree_within_a_tolerance_that_grows_with_the_value() {
        let read = |value: serde_json::Value| serde_json::from_value::<Prediction>(value).unwrap();
        let agree = |a: serde_json::Value, b: serde_json::Value| read(a).agrees(&read(b), 1e-5);
        assert!(agree(json!({"value": 1_000_001}), json!({"value": 1_000_000})));
        assert!(!agree(json!({"value": 1.001}), json!({"value": 1.0})));
        assert!(agree(json!({"label": "1", "score": 0.5}), json!({"label": "1"})));
        assert!(!agree(json!({"label": "1"}), json!({"label": "1", "score": 0.5})));
        assert!(!agree(json!({"label": "1", "score": 0.5}), json!({"label": "0", "score": 0.5})));
        let scores = |a: f64| json!({"label": "a", "scores": {"a": a, "b": 0.1}});
        assert!(agree(scores(0.5), scores(0.500_001)) && !agree(scores(0.5), scores(0.6)));
    }
}
