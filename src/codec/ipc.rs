//! Record batches as Arrow IPC streams.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::CodecError;

/// Writes one batch with its schema.
pub fn to_ipc(batch: &RecordBatch) -> Result<Vec<u8>, CodecError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

/// Reads what [`to_ipc`] wrote.
pub fn from_ipc(bytes: &[u8]) -> Result<Vec<RecordBatch>, CodecError> {
    Ok(StreamReader::try_new(bytes, None)?.collect::<Result<_, _>>()?)
}
