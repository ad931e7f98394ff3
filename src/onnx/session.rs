//! A loaded model: a few sessions that take turns.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynMapValueType, DynValue, TensorElementType, TensorRef, ValueType};

use super::runtime::Runtime;
use super::{Classes, Data, DataType, Graph, OnnxError, Tensor, TensorSpec};

/// What one model may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions, each of which runs one batch at a time and holds the model's weights.
    pub sessions: usize,
    /// Threads within a session.
    pub threads: usize,
}

/// Ready to run.
pub struct Model {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    classes: Option<Classes>,
    sessions: Mutex<Vec<Session>>,
    returned: Condvar,
}

impl Model {
    /// Loads the bytes of a file. Blocks.
    pub fn load(runtime: &Runtime, bytes: &[u8], limits: Limits) -> Result<Self, OnnxError> {
        let graph = Graph::read(bytes)?;
        let mut sessions = Vec::new();
        for _ in 0..limits.sessions.max(1) {
            sessions.push(session(runtime, bytes, limits.threads)?);
        }
        let Some(first) = sessions.first() else { return Err(OnnxError::Load("there is no session".to_owned())) };
        let width = graph.classes.as_ref().map(|classes| classes.0.len());
        let spec = |name: &str, kind: &ValueType, what: &'static str| {
            spec(name, kind, width).ok_or_else(|| OnnxError::Unsupported {
                what,
                name: name.to_owned(),
                kind: kind.to_string(),
            })
        };
        let inputs: Vec<TensorSpec> = first
            .inputs()
            .iter()
            .map(|input| spec(input.name(), input.dtype(), "input").and_then(is_of_rows))
            .collect::<Result<_, _>>()?;
        let outputs = first
            .outputs()
            .iter()
            .map(|output| spec(output.name(), output.dtype(), "output"))
            .collect::<Result<_, _>>()?;
        Ok(Self { inputs, outputs, classes: graph.classes, sessions: Mutex::new(sessions), returned: Condvar::new() })
    }

    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    #[must_use]
    pub const fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    /// Runs one batch, whose tensors are the model's inputs. Blocks, at most until `deadline`.
    pub fn run(&self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, OnnxError> {
        let mut values = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            values.push((tensor.name.as_str(), value(tensor)?));
        }
        let mut session = self.take(deadline)?;
        let ran = self.run_on(&mut session, values, deadline);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        self.returned.notify_one();
        ran
    }

    fn run_on(
        &self,
        session: &mut Session,
        inputs: Vec<(&str, SessionInputValue<'_>)>,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, OnnxError> {
        let options = Arc::new(RunOptions::new().map_err(|error| failed(&error))?);
        let outputs = watch::until(deadline, &options, || session.run_with_options(inputs, &*options));
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(_) if Instant::now() >= deadline => return Err(OnnxError::Stopped),
            Err(error) => return Err(failed(&error)),
        };
        let read = |spec: &TensorSpec| {
            let value = outputs.get(&spec.name).ok_or_else(|| OnnxError::Run(format!("'{}' is missing", spec.name)))?;
            tensor(&spec.name, value, self.classes.as_ref())
        };
        self.outputs.iter().map(read).collect()
    }

    fn take(&self, deadline: Instant) -> Result<Session, OnnxError> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = sessions.pop() {
                return Ok(session);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Err(OnnxError::Stopped);
            }
            sessions = self.returned.wait_timeout(sessions, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("inputs", &self.inputs).field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

/// Stops runs that take too long: a file may hold a loop without end.
mod watch {
    use std::collections::BTreeMap;
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use ort::session::{NoSelectedOutputs, RunOptions};

    type Watched = BTreeMap<(Instant, usize), Arc<RunOptions<NoSelectedOutputs>>>;

    static WATCHED: LazyLock<Mutex<Watched>> = LazyLock::new(|| {
        // It ends with the process; without it, runs take as long as they take.
        if let Err(error) = std::thread::Builder::new().name("onnx-watch".to_owned()).spawn(look) {
            tracing::warn!(%error, "runs of models are not stopped at their deadlines");
        }
        Mutex::default()
    });

    const PAUSE: Duration = Duration::from_millis(20);

    pub(super) fn until<T>(
        deadline: Instant,
        options: &Arc<RunOptions<NoSelectedOutputs>>,
        run: impl FnOnce() -> T,
    ) -> T {
        let key = (deadline, Arc::as_ptr(options).addr());
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(options));
        let ran = run();
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        ran
    }

    fn look() {
        loop {
            std::thread::sleep(PAUSE);
            let now = Instant::now();
            let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, options) in watched.range(..(now, usize::MAX)) {
                // What has ended meanwhile does not hear it.
                drop(options.terminate());
            }
        }
    }
}

pub(super) fn session(runtime: &Runtime, bytes: &[u8], threads: usize) -> Result<Session, OnnxError> {
    let refused = |reason: String| OnnxError::Load(reason);
    let mut builder = Session::builder(&runtime.environment)
        .map_err(|error| refused(error.to_string()))?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(|error| refused(error.to_string()))?
        .with_intra_threads(threads)
        .map_err(|error| refused(error.to_string()))?
        .with_inter_threads(1)
        .map_err(|error| refused(error.to_string()))?
        // Memory that one large batch took is given back.
        .with_memory_pattern(false)
        .map_err(|error| refused(error.to_string()))?;
    builder.commit_from_memory(bytes).map_err(|error| refused(error.to_string()))
}

/// None of what is neither a tensor nor a sequence of maps to numbers, which have `classes` keys.
fn spec(name: &str, kind: &ValueType, classes: Option<usize>) -> Option<TensorSpec> {
    let (datatype, shape) = match kind {
        ValueType::Tensor { ty, shape, .. } => (datatype(*ty)?, shape.iter().copied().collect()),
        ValueType::Sequence(inner) => match inner.as_ref() {
            ValueType::Map { value: TensorElementType::Float32, .. } => {
                let width = classes.and_then(|classes| i64::try_from(classes).ok()).unwrap_or(-1);
                (DataType::Fp32, vec![-1, width])
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(TensorSpec { name: name.to_owned(), datatype, shape })
}

fn is_of_rows(spec: TensorSpec) -> Result<TensorSpec, OnnxError> {
    if (1..=2).contains(&spec.shape.len()) {
        return Ok(spec);
    }
    let kind = format!("a tensor of {} dimensions", spec.shape.len());
    Err(OnnxError::Unsupported { what: "input", name: spec.name, kind })
}

const fn datatype(kind: TensorElementType) -> Option<DataType> {
    match kind {
        TensorElementType::Bool => Some(DataType::Bool),
        TensorElementType::Int32 => Some(DataType::Int32),
        TensorElementType::Int64 => Some(DataType::Int64),
        TensorElementType::Float32 => Some(DataType::Fp32),
        TensorElementType::Float64 => Some(DataType::Fp64),
        TensorElementType::String => Some(DataType::Bytes),
        _ => None,
    }
}

/// Numbers are lent to the runtime, texts are copied.
fn value(tensor: &Tensor) -> Result<SessionInputValue<'_>, OnnxError> {
    let shape = tensor.shape.clone();
    let value = match &tensor.data {
        Data::Bool(data) => TensorRef::from_array_view((shape, data.as_slice())).map(Into::into),
        Data::Int32(data) => TensorRef::from_array_view((shape, data.as_slice())).map(Into::into),
        Data::Int64(data) => TensorRef::from_array_view((shape, data.as_slice())).map(Into::into),
        Data::Fp32(data) => TensorRef::from_array_view((shape, data.as_slice())).map(Into::into),
        Data::Fp64(data) => TensorRef::from_array_view((shape, data.as_slice())).map(Into::into),
        Data::Bytes(data) => {
            let text: &[String] = data;
            ort::value::Tensor::from_string_array((shape, text)).map(Into::into)
        }
    };
    value.map_err(|error| failed(&error))
}

fn tensor(name: &str, value: &DynValue, classes: Option<&Classes>) -> Result<Tensor, OnnxError> {
    let ValueType::Tensor { ty, .. } = value.dtype() else { return probabilities(name, value, classes) };
    let unsupported = || OnnxError::Unsupported { what: "output", name: name.to_owned(), kind: ty.to_string() };
    let (shape, data) = match datatype(*ty).ok_or_else(unsupported)? {
        DataType::Bool => value.try_extract_tensor::<bool>().map(|(shape, data)| (shape, Data::Bool(data.to_vec()))),
        DataType::Int32 => value.try_extract_tensor::<i32>().map(|(shape, data)| (shape, Data::Int32(data.to_vec()))),
        DataType::Int64 => value.try_extract_tensor::<i64>().map(|(shape, data)| (shape, Data::Int64(data.to_vec()))),
        DataType::Fp32 => value.try_extract_tensor::<f32>().map(|(shape, data)| (shape, Data::Fp32(data.to_vec()))),
        DataType::Fp64 => value.try_extract_tensor::<f64>().map(|(shape, data)| (shape, Data::Fp64(data.to_vec()))),
        DataType::Bytes => value.try_extract_strings().map(|(shape, data)| (shape, Data::Bytes(data))),
    }
    .map_err(|error| failed(&error))?;
    let shape = shape.iter().map(|dimension| usize::try_from(*dimension).unwrap_or_default()).collect();
    Ok(Tensor { name: name.to_owned(), shape, data })
}

/// One map per row, from class to probability.
fn probabilities(name: &str, value: &DynValue, classes: Option<&Classes>) -> Result<Tensor, OnnxError> {
    let maps = value.try_extract_sequence::<DynMapValueType>().map_err(|error| failed(&error))?;
    let mut rows: Vec<Vec<(String, f32)>> = Vec::with_capacity(maps.len());
    for map in &maps {
        let pairs = match map.dtype() {
            ValueType::Map { key: TensorElementType::String, .. } => map.try_extract_key_values::<String, f32>(),
            _ => map
                .try_extract_key_values::<i64, f32>()
                .map(|pairs| pairs.into_iter().map(|(class, share)| (class.to_string(), share)).collect()),
        };
        rows.push(pairs.map_err(|error| failed(&error))?);
    }
    let order: Vec<String> = match (classes, rows.first()) {
        (Some(classes), _) => classes.0.clone(),
        (None, Some(first)) => first.iter().map(|(class, _)| class.clone()).collect(),
        (None, None) => Vec::new(),
    };
    let mut data = Vec::with_capacity(rows.len() * order.len());
    for row in &rows {
        for class in &order {
            data.push(row.iter().find(|(other, _)| other == class).map_or(0.0, |(_, share)| *share));
        }
    }
    Ok(Tensor { name: name.to_owned(), shape: vec![rows.len(), order.len()], data: Data::Fp32(data) })
}

/// The runtime's words, of which the first line says what and where.
pub(super) fn failed(error: &ort::Error) -> OnnxError {
    let text = error.to_string();
    OnnxError::Run(text.lines().next().unwrap_or_default().to_owned())
}
