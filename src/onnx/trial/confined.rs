//! The process in which a model is tried.

use std::time::Instant;

use rlimit::Resource;

use super::{Outcome, TrialLimits};
use crate::onnx::{Data, DataType, Library, Limits, Model, OnnxError, Runtime, Tensor, TensorSpec};

/// Words of which the runtime uses one when it gets no memory.
const OF_MEMORY: [&str; 2] = ["alloc", "memory"];

/// Loads the model and runs one batch of zeros. From now on this process gets no more memory than that, so that it is of
/// no use for anything else. Blocks.
#[must_use]
pub fn undergo(library: &Library, onnx: &[u8], limits: &TrialLimits) -> Outcome {
    let runtime = match Runtime::load(library) {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::Untried(error.to_string()),
    };
    let before = match confine(limits.memory) {
        Ok(before) => before,
        Err(reason) => return Outcome::Untried(reason),
    };
    let model = match Model::load(&runtime, onnx, Limits { sessions: 1, threads: limits.threads }) {
        Ok(model) => model,
        Err(OnnxError::Load(reason)) if is_of_memory(&reason) => return Outcome::TooLarge(reason),
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let inputs: Vec<Tensor> = model.inputs().iter().map(|spec| zeros(spec, limits.rows)).collect();
    match model.run(&inputs, Instant::now() + limits.run_within) {
        Err(OnnxError::Run(reason)) if is_of_memory(&reason) => Outcome::TooLarge(reason),
        // Zeros may be nothing to it, and others may have fewer rows and more time.
        _ => Outcome::Fits { memory: most_resident().unwrap_or_default().saturating_sub(before) },
    }
}

/// Allows this process so many bytes more than it has; returns how many of those are resident.
fn confine(memory: u64) -> Result<u64, String> {
    let unknown = || "this system does not tell how much memory a process has".to_owned();
    let (data, resident) = (status("VmData:").ok_or_else(unknown)?, status("VmRSS:").ok_or_else(unknown)?);
    let most = data.saturating_add(memory);
    Resource::DATA.set(most, most).map_err(|error| error.to_string())?;
    // A model that brings it down leaves nothing on disk.
    Resource::CORE.set(0, 0).map_err(|error| error.to_string())?;
    Ok(resident)
}

fn most_resident() -> Option<u64> {
    status("VmHWM:")
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

fn is_of_memory(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    OF_MEMORY.iter().any(|word| reason.contains(word))
}

/// As many rows as are asked for, where the model leaves that open.
fn zeros(spec: &TensorSpec, rows: usize) -> Tensor {
    let free = |number: usize| if number == 0 { rows } else { 1 };
    let shape: Vec<usize> = spec
        .shape
        .iter()
        .enumerate()
        .map(|(number, dimension)| usize::try_from(*dimension).unwrap_or_else(|_| free(number)))
        .collect();
    // More than there can be ends this process, which is an answer, too.
    let count = shape.iter().fold(1_usize, |count, dimension| count.saturating_mul(*dimension));
    let data = match spec.datatype {
        DataType::Bool => Data::Bool(vec![false; count]),
        DataType::Int32 => Data::Int32(vec![0; count]),
        DataType::Int64 => Data::Int64(vec![0; count]),
        DataType::Fp32 => Data::Fp32(vec![0.0; count]),
        DataType::Fp64 => Data::Fp64(vec![0.0; count]),
        DataType::Bytes => Data::Bytes(vec![String::new(); count]),
    };
    Tensor { name: spec.name.clone(), shape, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_dimensions_are_rows_first_and_one_column_then() {
        let spec = |datatype, shape: &[i64]| TensorSpec { name: "x".into(), datatype, shape: shape.to_vec() };
        let tensor = zeros(&spec(DataType::Fp32, &[-1, 3]), 2);
        assert_eq!((tensor.shape, tensor.data), (vec![2, 3], Data::Fp32(vec![0.0; 6])));
        let tensor = zeros(&spec(DataType::Bytes, &[-1, -1]), 2);
        assert_eq!((tensor.shape, tensor.data), (vec![2, 1], Data::Bytes(vec![String::new(); 2])));
        assert_eq!(zeros(&spec(DataType::Int64, &[1, 4]), 9).shape, [1, 4], "a model of one row gets one");
    }

    #[test]
    fn the_runtimes_words_for_no_memory_are_known() {
        for reason in ["std::bad_alloc", "Failed to allocate memory for requested buffer of size 8", "bad allocation"] {
            assert!(is_of_memory(reason), "{reason}");
        }
        assert!(!is_of_memory("unknown category"));
    }

    #[test]
    fn the_system_tells_how_much_memory_a_process_has() {
        for bytes in [status("VmData:"), status("VmRSS:"), most_resident()] {
            assert!(bytes.unwrap() > 1 << 20);
        }
    }
}
