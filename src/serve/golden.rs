//! Golden rows: inputs with the outputs that training saw, logged with a version. A version that does not reproduce them
//! is not served.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::prediction::Prediction;

/// The name of the file, in the folder of the model or of its run.
pub const FILE: &str = "golden.json";

pub(super) const TOLERANCE: f64 = 1e-5;
const MOST: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub rows: Vec<GoldenRow>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenRow {
    pub features: Map<String, Value>,
    pub prediction: Prediction,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    #[error("{FILE} cannot be read: {0}; it is {{\"rows\": [{{\"features\": {{…}}, \"prediction\": {{…}}}}, …]}}")]
    Malformed(String),
    #[error("golden row {row} cannot be run: {reason}")]
    Failed { row: usize, reason: String },
    #[error("golden row {row} is not reproduced: the model answers {found}, expected is {expected}")]
    Different { row: usize, found: String, expected: String },
}

impl Golden {
    pub fn read(json: &[u8]) -> Result<Self, GoldenError> {
        let golden: Self = serde_json::from_slice(json).map_err(|error| GoldenError::Malformed(error.to_string()))?;
        if golden.rows.len() > MOST {
            return Err(GoldenError::Malformed(format!(
                "it holds {} rows, at most {MOST} are read",
                golden.rows.len()
            )));
        }
        Ok(golden)
    }

    /// Compares what the model answers, row by row.
    pub fn compare<E: ToString>(&self, found: &[Result<Prediction, E>]) -> Result<(), GoldenError> {
        for (row, golden) in self.rows.iter().enumerate() {
            let failed = |reason: String| GoldenError::Failed { row, reason };
            let found = found.get(row).ok_or_else(|| failed("it has no answer".to_owned()))?;
            let found = found.as_ref().map_err(|error| failed(error.to_string()))?;
            if !found.agrees(&golden.prediction, TOLERANCE) {
                let shown = |prediction: &Prediction| serde_json::to_string(prediction).unwrap_or_default();
                let (found, expected) = (shown(found), shown(&golden.prediction));
                return Err(GoldenError::Different { row, found, expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Golden {
        Golden::read(br#"{"rows":[{"features":{"a":1},"prediction":{"label":"1","score":0.5}}]}"#).unwrap()
    }

    fn answer(score: f64) -> [Result<Prediction, String>; 1] {
        [Ok(Prediction::Class { label: "1".into(), score: Some(score), scores: None })]
    }

    #[test]
    fn rows_within_the_tolerance_pass_and_others_are_told_with_both_sides() {
        assert_eq!(golden().compare(&answer(0.500_001)), Ok(()));
        let error = golden().compare(&answer(0.6)).unwrap_err().to_string();
        assert!(error.contains("golden row 0") && error.contains("0.6") && error.contains("0.5"), "{error}");
        assert!(matches!(golden().compare::<String>(&[]), Err(GoldenError::Failed { row: 0, .. })));
        let failed = [Err::<Prediction, _>("no such category")];
        assert!(golden().compare(&failed).unwrap_err().to_string().contains("no such category"));
    }

    #[test]
    fn a_file_of_another_shape_is_refused_with_the_right_one() {
        for text in ["", "[]", r#"{"rows":[{"features":{}}]}"#, r#"{"row":[]}"#] {
            let error = Golden::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("\"features\""), "{error}");
        }
    }
}
