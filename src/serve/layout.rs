//! Features of rows and tensors of a model: which feature stands where.

use serde_json::{Map, Value};

use crate::onnx::{Data, DataType, Tensor, TensorSpec};

/// Where the features of each input come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    inputs: Vec<Input>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Input {
    spec: TensorSpec,
    features: Vec<Feature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    pub datatype: DataType,
    /// Whether it must have a value.
    pub required: bool,
}

/// A column of the data that the model was trained on, as its signature tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedColumn {
    pub name: String,
    pub required: bool,
}

/// The values of one feature, row by row; none where a value is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error(
        "input '{input}' takes {width} columns and {named} are named: log the model with a signature, or set the tag \
         plimsoll.features of the version to a JSON array of names"
    )]
    Names { input: String, width: String, named: usize },
    #[error("feature '{0}' stands twice in the model")]
    Twice(String),
}

/// Why rows or tensors are no input of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    #[error("feature '{feature}' is missing; the model takes {known}")]
    Missing { feature: String, known: String },
    #[error("feature '{feature}' is not known; the model takes {known}")]
    Unknown { feature: String, known: String },
    #[error("feature '{feature}' {reason}")]
    Value { feature: String, reason: String },
    #[error("{0}")]
    Tensor(String),
}

impl Layout {
    /// `columns` are in the order of training; none when they are not known.
    pub fn new(specs: &[TensorSpec], columns: &[NamedColumn]) -> Result<Self, LayoutError> {
        let by_name = |name: &str| columns.iter().find(|column| column.name == name);
        let singles = specs.iter().all(|spec| spec.width() == Some(1));
        let total: usize = specs.iter().map(|spec| spec.width().unwrap_or_default()).sum();
        // Exporters may have renamed the inputs; then their order tells.
        let in_order = total == columns.len() && !(singles && specs.iter().any(|spec| by_name(&spec.name).is_some()));
        let mut next = 0;
        let mut inputs = Vec::with_capacity(specs.len());
        for spec in specs {
            let width = match spec.width() {
                Some(width) => width,
                None if specs.len() == 1 && !columns.is_empty() => columns.len(),
                None => return Err(names_error(spec, "any number of", columns.len())),
            };
            let named: Vec<NamedColumn> = if in_order || (spec.width().is_none() && specs.len() == 1) {
                columns.iter().skip(next).take(width).cloned().collect()
            } else if width == 1 {
                vec![by_name(&spec.name).cloned().unwrap_or_else(|| NamedColumn::optional(&spec.name))]
            } else if columns.is_empty() && specs.len() == 1 {
                // As scikit-learn names them.
                (0..width).map(|position| NamedColumn::optional(&format!("x{position}"))).collect()
            } else {
                return Err(names_error(spec, &width.to_string(), columns.len()));
            };
            next += width;
            let feature = |column: NamedColumn| Feature {
                name: column.name,
                datatype: spec.datatype,
                required: column.required || !spec.datatype.is_float(),
            };
            inputs.push(Input { spec: spec.clone(), features: named.into_iter().map(feature).collect() });
        }
        let layout = Self { inputs };
        let mut names: Vec<&str> = layout.features().map(|feature| feature.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(LayoutError::Twice(pair[0].to_owned())),
            None => Ok(layout),
        }
    }

    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.inputs.iter().flat_map(|input| &input.features)
    }

    /// The names, as part of a sentence.
    #[must_use]
    pub fn names(&self) -> String {
        self.features().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether a row has every feature, no other, and each of the right kind; what [`Layout::of_columns`] is then given
    /// does not fail.
    pub fn check(&self, row: &Map<String, Value>) -> Result<(), InputError> {
        for feature in self.features() {
            let value = row.get(&feature.name);
            let value =
                value.ok_or_else(|| InputError::Missing { feature: feature.name.clone(), known: self.names() })?;
            feature.check(value)?;
        }
        if row.len() > self.features().count() {
            let unknown = row.keys().find(|key| self.features().all(|feature| feature.name != **key));
            let feature = unknown.cloned().unwrap_or_default();
            return Err(InputError::Unknown { feature, known: self.names() });
        }
        Ok(())
    }

    /// The tensors of checked rows.
    pub fn of_rows(&self, rows: &[&Map<String, Value>]) -> Result<Vec<Tensor>, InputError> {
        self.of_columns(rows.len(), |feature| {
            let values = rows.iter().map(|row| row.get(&feature.name).unwrap_or(&Value::Null));
            Ok(if feature.datatype == DataType::Bytes {
                Column::Texts(values.map(|value| value.as_str().map(str::to_owned)).collect())
            } else {
                Column::Numbers(values.map(number).collect())
            })
        })
    }

    /// The tensors of `rows` rows, of which `column` gives the values of each feature.
    pub fn of_columns(
        &self,
        rows: usize,
        mut column: impl FnMut(&Feature) -> Result<Column, InputError>,
    ) -> Result<Vec<Tensor>, InputError> {
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let width = input.features.len();
            let columns: Vec<Column> = input.features.iter().map(&mut column).collect::<Result<_, _>>()?;
            let shape = if input.spec.shape.len() == 1 { vec![rows] } else { vec![rows, width] };
            if !input.spec.takes(&shape) {
                return Err(InputError::Tensor(wrong_shape(&input.spec, &shape)));
            }
            let data = interleave(input, rows, &columns)?;
            tensors.push(Tensor { name: input.spec.name.clone(), shape, data });
        }
        Ok(tensors)
    }

    /// The tensors of a request in the order of the model's inputs, if they are its inputs.
    pub fn accept(&self, mut given: Vec<Tensor>) -> Result<Vec<Tensor>, InputError> {
        let known = || self.inputs.iter().map(|input| input.spec.name.as_str()).collect::<Vec<_>>().join(", ");
        let wrong = |text: String| Err(InputError::Tensor(text));
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let spec = &input.spec;
            let Some(position) = given.iter().position(|tensor| tensor.name == spec.name) else {
                return wrong(format!("input '{}' is missing; the model takes {}", spec.name, known()));
            };
            let mut tensor = given.swap_remove(position);
            let datatype = tensor.data.datatype();
            if datatype != spec.datatype {
                let (name, wanted) = (&spec.name, spec.datatype.name());
                return wrong(format!("input '{name}' has datatype {}, the model takes {wanted}", datatype.name()));
            }
            // A column may come as a vector, and a vector as a column.
            match (spec.shape.len(), tensor.shape.as_slice()) {
                (2, [rows]) if input.features.len() == 1 => tensor.shape = vec![*rows, 1],
                (1, [rows, 1]) => tensor.shape = vec![*rows],
                _ => {}
            }
            if !spec.takes(&tensor.shape) || tensor.width() != input.features.len() {
                return wrong(wrong_shape(spec, &tensor.shape));
            }
            tensors.push(tensor);
        }
        if let Some(unknown) = given.first() {
            return wrong(format!("input '{}' is not known; the model takes {}", unknown.name, known()));
        }
        let rows = tensors.first().map_or(0, Tensor::rows);
        if let Some(other) = tensors.iter().find(|tensor| tensor.rows() != rows) {
            return wrong(format!("input '{}' has {} rows where others have {rows}", other.name, other.rows()));
        }
        self.refuse_missing(&tensors)?;
        Ok(tensors)
    }

    /// The features of one row, as they are logged; what is missing is null.
    #[must_use]
    pub fn row(&self, tensors: &[Tensor], row: usize) -> Map<String, Value> {
        let mut features = Map::new();
        for (input, tensor) in self.inputs.iter().zip(tensors) {
            for (position, feature) in input.features.iter().enumerate() {
                let index = row * input.features.len() + position;
                features.insert(feature.name.clone(), element(&tensor.data, index));
            }
        }
        features
    }

    fn refuse_missing(&self, tensors: &[Tensor]) -> Result<(), InputError> {
        for (input, tensor) in self.inputs.iter().zip(tensors).filter(|(input, _)| input.spec.datatype.is_float()) {
            let width = input.features.len();
            for (position, feature) in input.features.iter().enumerate().filter(|(_, feature)| feature.required) {
                let is_missing = |row: &usize| tensor.data.number(row * width + position).is_some_and(f64::is_nan);
                if let Some(row) = (0..tensor.rows()).find(is_missing) {
                    return Err(
                        feature.wrong(format!("is NaN in row {row}, and the model was trained without gaps in it"))
                    );
                }
            }
        }
        Ok(())
    }
}

impl NamedColumn {
    fn optional(name: &str) -> Self {
        Self { name: name.to_owned(), required: false }
    }
}

impl Feature {
    fn wrong(&self, reason: impl Into<String>) -> InputError {
        InputError::Value { feature: self.name.clone(), reason: reason.into() }
    }

    fn check(&self, value: &Value) -> Result<(), InputError> {
        let wanted = match self.datatype {
            DataType::Bytes => "text",
            DataType::Bool => "true or false",
            DataType::Int32 | DataType::Int64 => "a whole number",
            DataType::Fp32 | DataType::Fp64 => "a number",
        };
        match (value, self.datatype) {
            (Value::Null, _) if self.required => Err(self.wrong(format!("is null, the model wants {wanted}"))),
            // Flags are numbers to most models.
            (Value::Null, _) | (Value::String(_), DataType::Bytes) => Ok(()),
            (Value::Bool(_), datatype) if datatype != DataType::Bytes => Ok(()),
            (Value::Number(_), datatype) if datatype.is_float() => Ok(()),
            (Value::Number(number), DataType::Int32 | DataType::Int64 | DataType::Bool) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                self.whole(number)
                    .map(|_| ())
                    .ok_or_else(|| self.wrong(format!("is {number}, the model wants {wanted}")))
            }
            (other, _) => Err(self.wrong(format!("is {}, the model wants {wanted}", kind(other)))),
        }
    }

    /// The number, if the type has it.
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
    fn whole(&self, number: f64) -> Option<i64> {
        let limit = match self.datatype {
            DataType::Bool => return [0.0, 1.0].contains(&number).then_some(number as i64),
            DataType::Int32 => 2_147_483_648.0,
            _ => 9_007_199_254_740_992.0,
        };
        (number.fract() == 0.0 && number >= -limit && number < limit).then_some(number as i64)
    }
}

fn interleave(input: &Input, rows: usize, columns: &[Column]) -> Result<Data, InputError> {
    Ok(match input.spec.datatype {
        DataType::Bytes => Data::Bytes(each(input, rows, columns, |feature, column, row| match column {
            Column::Texts(values) => values[row].clone().ok_or_else(|| feature.wrong("is null, the model wants text")),
            Column::Numbers(_) => Err(feature.wrong("holds numbers, the model wants text")),
        })?),
        #[allow(clippy::cast_possible_truncation, reason = "the model computes in single precision")]
        DataType::Fp32 => Data::Fp32(each(input, rows, columns, |feature, column, row| {
            float(feature, column, row).map(|number| number as f32)
        })?),
        DataType::Fp64 => Data::Fp64(each(input, rows, columns, float)?),
        DataType::Int64 => Data::Int64(each(input, rows, columns, integer)?),
        DataType::Int32 => Data::Int32(each(input, rows, columns, |feature, column, row| {
            integer(feature, column, row).map(|number| i32::try_from(number).unwrap_or_default())
        })?),
        DataType::Bool => {
            Data::Bool(each(input, rows, columns, |feature, column, row| Ok(integer(feature, column, row)? == 1))?)
        }
    })
}

fn each<T>(
    input: &Input,
    rows: usize,
    columns: &[Column],
    value: impl Fn(&Feature, &Column, usize) -> Result<T, InputError>,
) -> Result<Vec<T>, InputError> {
    let mut data = Vec::with_capacity(rows * columns.len());
    for row in 0..rows {
        for (feature, column) in input.features.iter().zip(columns) {
            data.push(value(feature, column, row)?);
        }
    }
    Ok(data)
}

fn float(feature: &Feature, column: &Column, row: usize) -> Result<f64, InputError> {
    let Column::Numbers(values) = column else { return Err(feature.wrong("holds text, the model wants numbers")) };
    match values[row].filter(|number| !number.is_nan()) {
        Some(number) => Ok(number),
        None if feature.required => Err(feature.wrong("is missing, and the model was trained without gaps in it")),
        None => Ok(f64::NAN),
    }
}

fn integer(feature: &Feature, column: &Column, row: usize) -> Result<i64, InputError> {
    let number = float(feature, column, row)?;
    feature.whole(number).ok_or_else(|| feature.wrong(format!("is {number}, the model wants a whole number in range")))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        other => other.as_f64(),
    }
}

fn element(data: &Data, index: usize) -> Value {
    match data {
        Data::Bool(values) => values.get(index).copied().into(),
        Data::Int32(values) => values.get(index).copied().into(),
        Data::Int64(values) => values.get(index).copied().into(),
        // In the digits of single precision: 0.1 stays 0.1.
        Data::Fp32(values) => values.get(index).and_then(|value| value.to_string().parse::<f64>().ok()).into(),
        Data::Fp64(values) => values.get(index).copied().into(),
        Data::Bytes(values) => values.get(index).cloned().into(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn names_error(spec: &TensorSpec, width: &str, named: usize) -> LayoutError {
    LayoutError::Names { input: spec.name.clone(), width: width.to_owned(), named }
}

fn wrong_shape(spec: &TensorSpec, shape: &[usize]) -> String {
    format!("input '{}' has shape {shape:?}, the model takes {:?}", spec.name, spec.shape)
}

#[cfg(test)]
mod tests;
