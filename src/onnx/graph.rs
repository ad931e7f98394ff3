//! What an ONNX file says of itself, read from its bytes without the runtime: the names of its classes, and whether it
//! asks for other files.

/// Names of the classes of a classifier, in the order of its probabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes(pub Vec<String>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// None of what is no classifier, or does not tell.
    pub classes: Option<Classes>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("the file is no onnx model: {0}")]
    Malformed(&'static str),
    #[error("the model keeps tensor '{0}' in another file, which is not allowed: save it in one file")]
    External(String),
    #[error("the model's graphs are nested too deep")]
    Deep,
}

/// Graphs within graphs.
const DEEPEST: usize = 32;
/// The names under which exporters keep the classes.
const CLASS_ATTRIBUTES: &str = "classlabels";
const CLASS_TENSORS: &str = "classes";

/// Fields of messages, by their numbers in `onnx.proto`.
mod field {
    pub(super) mod model {
        pub(in super::super) const GRAPH: u64 = 7;
        pub(in super::super) const FUNCTIONS: u64 = 25;
    }
    pub(super) mod function {
        pub(in super::super) const NODE: u64 = 7;
    }
    pub(super) mod graph {
        pub(in super::super) const NODE: u64 = 1;
        pub(in super::super) const INITIALIZER: u64 = 5;
        pub(in super::super) const SPARSE: u64 = 15;
    }
    pub(super) mod node {
        pub(in super::super) const ATTRIBUTE: u64 = 5;
    }
    pub(super) mod attribute {
        pub(in super::super) const NAME: u64 = 1;
        pub(in super::super) const TENSOR: u64 = 5;
        pub(in super::super) const GRAPH: u64 = 6;
        pub(in super::super) const INTS: u64 = 8;
        pub(in super::super) const STRINGS: u64 = 9;
        pub(in super::super) const TENSORS: u64 = 10;
        pub(in super::super) const GRAPHS: u64 = 11;
    }
    pub(super) mod tensor {
        pub(in super::super) const INT32_DATA: u64 = 5;
        pub(in super::super) const STRING_DATA: u64 = 6;
        pub(in super::super) const INT64_DATA: u64 = 7;
        pub(in super::super) const NAME: u64 = 8;
        pub(in super::super) const EXTERNAL_DATA: u64 = 13;
        pub(in super::super) const DATA_LOCATION: u64 = 14;
    }
}

impl Graph {
    /// Reads the bytes of a file.
    pub fn read(bytes: &[u8]) -> Result<Self, GraphError> {
        let mut graph = Self::default();
        let mut found = false;
        for entry in Message(bytes) {
            match entry? {
                (field::model::GRAPH, Value::Bytes(inner)) => {
                    found = true;
                    graph.take_graph(inner, 0)?;
                }
                (field::model::FUNCTIONS, Value::Bytes(function)) => {
                    for entry in Message(function) {
                        if let (field::function::NODE, Value::Bytes(node)) = entry? {
                            graph.take_node(node, 0)?;
                        }
                    }
                }
                _ => {}
            }
        }
        if found { Ok(graph) } else { Err(GraphError::Malformed("it holds no graph")) }
    }

    fn take_graph(&mut self, bytes: &[u8], depth: usize) -> Result<(), GraphError> {
        if depth > DEEPEST {
            return Err(GraphError::Deep);
        }
        for entry in Message(bytes) {
            match entry? {
                (field::graph::NODE, Value::Bytes(node)) => self.take_node(node, depth)?,
                (field::graph::INITIALIZER, Value::Bytes(tensor)) => self.take_tensor(tensor)?,
                // Of its parts, the values stand first, as a tensor.
                (field::graph::SPARSE, Value::Bytes(sparse)) => {
                    for entry in Message(sparse) {
                        if let (_, Value::Bytes(tensor)) = entry? {
                            self.take_tensor(tensor)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_node(&mut self, bytes: &[u8], depth: usize) -> Result<(), GraphError> {
        for entry in Message(bytes) {
            if let (field::node::ATTRIBUTE, Value::Bytes(attribute)) = entry? {
                self.take_attribute(attribute, depth)?;
            }
        }
        Ok(())
    }

    fn take_attribute(&mut self, bytes: &[u8], depth: usize) -> Result<(), GraphError> {
        let (mut name, mut values) = (String::new(), Vec::new());
        for entry in Message(bytes) {
            match entry? {
                (field::attribute::NAME, Value::Bytes(text)) => name = lossy(text),
                (field::attribute::STRINGS, Value::Bytes(text)) => values.push(lossy(text)),
                (field::attribute::INTS, value) => value.integers(&mut values)?,
                (field::attribute::TENSOR | field::attribute::TENSORS, Value::Bytes(tensor)) => {
                    self.take_tensor(tensor)?;
                }
                (field::attribute::GRAPH | field::attribute::GRAPHS, Value::Bytes(graph)) => {
                    self.take_graph(graph, depth + 1)?;
                }
                _ => {}
            }
        }
        // The last node that names classes stands next to the outputs.
        if name.starts_with(CLASS_ATTRIBUTES) && !values.is_empty() {
            self.classes = Some(Classes(values));
        }
        Ok(())
    }

    fn take_tensor(&mut self, bytes: &[u8]) -> Result<(), GraphError> {
        let (mut name, mut values, mut is_external) = (String::new(), Vec::new(), false);
        for entry in Message(bytes) {
            match entry? {
                (field::tensor::NAME, Value::Bytes(text)) => name = lossy(text),
                (field::tensor::STRING_DATA, Value::Bytes(text)) => values.push(lossy(text)),
                (field::tensor::INT32_DATA | field::tensor::INT64_DATA, value) => value.integers(&mut values)?,
                (field::tensor::EXTERNAL_DATA, _) => is_external = true,
                (field::tensor::DATA_LOCATION, Value::Integer(location)) => is_external |= location != 0,
                _ => {}
            }
        }
        if is_external {
            return Err(GraphError::External(name));
        }
        if name == CLASS_TENSORS && !values.is_empty() && self.classes.is_none() {
            self.classes = Some(Classes(values));
        }
        Ok(())
    }
}

/// The fields of a protobuf message, one after the other; ends after the first that cannot be read.
struct Message<'a>(&'a [u8]);

enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    /// Of fixed size, which nothing here reads.
    Other,
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), GraphError> {
        let key = integer(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Integer(integer(&mut self.0)?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(integer(&mut self.0)?).unwrap_or(usize::MAX);
                Value::Bytes(self.cut(length)?)
            }
            5 => self.skip(4)?,
            _ => return Err(GraphError::Malformed("a field has an unknown kind")),
        };
        Ok((key >> 3, value))
    }

    fn skip(&mut self, length: usize) -> Result<Value<'a>, GraphError> {
        self.cut(length)?;
        Ok(Value::Other)
    }

    fn cut(&mut self, length: usize) -> Result<&'a [u8], GraphError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(GraphError::Malformed("it ends within a field"))?;
        self.0 = rest;
        Ok(head)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u64, Value<'a>), GraphError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl Value<'_> {
    /// Whole numbers, one by one or packed, as text.
    fn integers(&self, into: &mut Vec<String>) -> Result<(), GraphError> {
        match self {
            Self::Integer(value) => into.push(value.cast_signed().to_string()),
            Self::Bytes(packed) => {
                let mut rest = *packed;
                while !rest.is_empty() {
                    into.push(integer(&mut rest)?.cast_signed().to_string());
                }
            }
            Self::Other => {}
        }
        Ok(())
    }
}

fn integer(bytes: &mut &[u8]) -> Result<u64, GraphError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(GraphError::Malformed("it ends within a number"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(GraphError::Malformed("a number is too long"))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(inner.len()).unwrap()];
        bytes.extend_from_slice(inner);
        bytes
    }

    fn model(attribute: &[u8]) -> Vec<u8> {
        message(7, &message(1, &message(5, attribute)))
    }

    #[test]
    fn classes_are_read_from_whole_numbers_packed_or_not_and_from_text() {
        let name = message(1, b"classlabels_int64s");
        let packed = [name.clone(), message(8, &[0, 1, 7])].concat();
        let single = [name.clone(), vec![8 << 3, 0], vec![8 << 3, 1], vec![8 << 3, 7]].concat();
        let minus_one = [name, [vec![8 << 3], vec![0xff; 9], vec![1]].concat()].concat();
        let text = [message(1, b"classlabels_strings"), message(9, b"no"), message(9, "já".as_bytes())].concat();
        let read = |attribute: &[u8]| Graph::read(&model(attribute)).unwrap().classes.unwrap().0;
        assert_eq!(read(&packed), ["0", "1", "7"]);
        assert_eq!(read(&single), ["0", "1", "7"]);
        assert_eq!(read(&minus_one), ["-1"]);
        assert_eq!(read(&text), ["no", "já"]);
    }

    #[test]
    fn a_tensor_in_another_file_is_refused_wherever_it_hides() {
        let tensor = [message(8, b"w"), message(13, &message(1, b"location"))].concat();
        let external = Err(GraphError::External("w".into()));
        assert_eq!(Graph::read(&message(7, &message(5, &tensor))), external);
        assert_eq!(Graph::read(&model(&message(5, &tensor))), external);
        let inner = message(5, &[message(8, b"w"), vec![14 << 3, 1]].concat());
        assert_eq!(Graph::read(&model(&message(6, &inner))), external);
    }

    #[test]
    fn what_is_no_model_or_ends_early_is_an_error_and_never_a_panic() {
        let whole = model(&[message(1, b"classlabels_ints"), message(8, &[0, 1])].concat());
        for end in 1..whole.len() {
            assert!(Graph::read(&whole[..end]).is_err(), "{end}");
        }
        for junk in [&b""[..], b"hello, world", &[0xff; 40], &[7 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert!(Graph::read(junk).is_err(), "{junk:?}");
        }
    }

    #[test]
    fn graphs_that_are_nested_without_end_are_refused() {
        let mut graph = message(1, b"");
        for _ in 0..12 {
            graph = message(1, &message(5, &message(6, &graph)));
        }
        assert!(Graph::read(&message(7, &graph)).is_ok());
        let wide = |inner: &[u8], number: u8| {
            let length = u16::try_from(inner.len()).unwrap();
            [&[number << 3 | 2, (length & 0x7f).to_le_bytes()[0] | 0x80, (length >> 7).to_le_bytes()[0]], inner]
                .concat()
        };
        let mut graph = Vec::new();
        for _ in 0..=DEEPEST + 1 {
            graph = wide(&wide(&wide(&graph, 6), 5), 1);
        }
        assert_eq!(Graph::read(&wide(&graph, 7)), Err(GraphError::Deep));
    }
}
