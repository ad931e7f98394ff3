//! Tensors of the types that tabular models have.

/// An element type, by its name in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    Bool,
    Int32,
    Int64,
    Fp32,
    Fp64,
    Bytes,
}

/// The elements, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Data,
}

/// An input or output as the model declares it; -1 is a free dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub datatype: DataType,
    pub shape: Vec<i64>,
}

impl DataType {
    pub const ALL: [Self; 6] = [Self::Bool, Self::Int32, Self::Int64, Self::Fp32, Self::Fp64, Self::Bytes];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Bytes of an element; none of text.
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int32 | Self::Fp32 => Some(4),
            Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Fp32 | Self::Fp64)
    }
}

impl Data {
    #[must_use]
    pub const fn datatype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Fp32(_) => DataType::Fp32,
            Self::Fp64(_) => DataType::Fp64,
            Self::Bytes(_) => DataType::Bytes,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Fp32(values) => values.len(),
            Self::Fp64(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element as a number; none of text and beyond the end.
    #[must_use]
    pub fn number(&self, index: usize) -> Option<f64> {
        match self {
            Self::Bool(values) => values.get(index).map(|value| f64::from(u8::from(*value))),
            Self::Int32(values) => values.get(index).map(|value| f64::from(*value)),
            Self::Int64(values) => values.get(index).map(|value| *value as f64),
            Self::Fp32(values) => values.get(index).map(|value| f64::from(*value)),
            Self::Fp64(values) => values.get(index).copied(),
            Self::Bytes(_) => None,
        }
    }

    /// The element as the name of a class; none of what has a fraction, and beyond the end.
    #[must_use]
    pub fn class(&self, index: usize) -> Option<String> {
        match self {
            Self::Bytes(values) => values.get(index).cloned(),
            Self::Int32(values) => values.get(index).map(ToString::to_string),
            Self::Int64(values) => values.get(index).map(ToString::to_string),
            Self::Bool(values) => values.get(index).map(|value| u8::from(*value).to_string()),
            Self::Fp32(_) | Self::Fp64(_) => None,
        }
    }
}

impl Tensor {
    /// The first dimension; one of a scalar.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of each row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

impl TensorSpec {
    /// Elements of each row; none where that is free.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.shape.iter().skip(1).map(|dimension| usize::try_from(*dimension).ok()).product()
    }

    /// Whether a tensor of this shape fits.
    #[must_use]
    pub fn takes(&self, shape: &[usize]) -> bool {
        let fits = |(wanted, given): (&i64, &usize)| usize::try_from(*wanted).map_or(true, |wanted| wanted == *given);
        self.shape.len() == shape.len() && self.shape.iter().zip(shape).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_dimension_takes_any_size_and_a_fixed_one_its_own() {
        let spec = TensorSpec { name: "x".into(), datatype: DataType::Fp32, shape: vec![-1, 3] };
        assert!(spec.takes(&[7, 3]) && !spec.takes(&[7, 4]) && !spec.takes(&[7]));
        assert_eq!(spec.width(), Some(3));
        assert_eq!(TensorSpec { shape: vec![-1, -1], ..spec.clone() }.width(), None);
        assert_eq!(TensorSpec { shape: vec![-1], ..spec }.width(), Some(1));
    }

    #[test]
    fn names_of_types_are_read_as_they_are_written() {
        for datatype in DataType::ALL {
            assert_eq!(DataType::parse(datatype.name()), Some(datatype));
        }
        assert_eq!(DataType::parse("FP16"), None);
    }

    #[test]
    fn classes_are_named_as_they_are_counted() {
        assert_eq!(Data::Int64(vec![3]).class(0).as_deref(), Some("3"));
        assert_eq!(Data::Bool(vec![true]).class(0).as_deref(), Some("1"));
        assert_eq!(Data::Fp32(vec![1.0]).class(0), None);
        assert_eq!(Data::Bytes(vec!["a".into()]).class(1), None);
    }
}
