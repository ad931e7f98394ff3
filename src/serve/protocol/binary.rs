//! Elements as raw bytes: little-endian, and text behind its length of four bytes.

use super::ProtocolError;
use crate::onnx::{Data, DataType};

/// Reads `count` elements, which must be all that there is.
pub(super) fn read(name: &str, datatype: DataType, count: usize, bytes: &[u8]) -> Result<Data, ProtocolError> {
    let wrong = |reason: String| ProtocolError::Input { name: name.to_owned(), reason };
    if let Some(size) = datatype.size()
        && count.checked_mul(size) != Some(bytes.len())
    {
        let wanted = count.saturating_mul(size);
        return Err(wrong(format!("has {} bytes of data, its shape asks for {wanted}", bytes.len())));
    }
    Ok(match datatype {
        DataType::Bool => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        DataType::Int32 => Data::Int32(words(bytes).map(i32::from_le_bytes).collect()),
        DataType::Int64 => Data::Int64(words(bytes).map(i64::from_le_bytes).collect()),
        DataType::Fp32 => Data::Fp32(words(bytes).map(f32::from_le_bytes).collect()),
        DataType::Fp64 => Data::Fp64(words(bytes).map(f64::from_le_bytes).collect()),
        DataType::Bytes => Data::Bytes(texts(count, bytes).map_err(|reason| wrong(reason.to_owned()))?),
    })
}

pub(super) fn write(data: &Data, into: &mut Vec<u8>) {
    match data {
        Data::Bool(values) => into.extend(values.iter().map(|value| u8::from(*value))),
        Data::Int32(values) => values.iter().for_each(|value| into.extend(value.to_le_bytes())),
        Data::Int64(values) => values.iter().for_each(|value| into.extend(value.to_le_bytes())),
        Data::Fp32(values) => values.iter().for_each(|value| into.extend(value.to_le_bytes())),
        Data::Fp64(values) => values.iter().for_each(|value| into.extend(value.to_le_bytes())),
        Data::Bytes(values) => {
            for value in values {
                into.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
                into.extend(value.as_bytes());
            }
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).filter_map(|word| word.try_into().ok())
}

fn texts(count: usize, mut bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    // Each has a length, so that a made-up count reserves nothing.
    let mut texts = Vec::with_capacity(count.min(bytes.len() / 4));
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or("ends within the length of a text")?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (text, rest) = rest.split_at_checked(length).ok_or("ends within a text")?;
        texts.push(String::from_utf8(text.to_vec()).map_err(|_| "holds text that is not utf-8")?);
        bytes = rest;
    }
    if texts.len() == count { Ok(texts) } else { Err("has another number of texts than its shape asks for") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_was_written() {
        let all = [
            Data::Bool(vec![true, false]),
            Data::Int32(vec![-1, i32::MAX]),
            Data::Int64(vec![i64::MIN, 7]),
            Data::Fp32(vec![0.1, -0.0]),
            Data::Fp64(vec![0.1, f64::INFINITY]),
            Data::Bytes(vec![String::new(), "0 - 20K €".into()]),
        ];
        for data in all {
            let mut bytes = Vec::new();
            write(&data, &mut bytes);
            assert_eq!(read("x", data.datatype(), 2, &bytes), Ok(data));
        }
    }

    #[test]
    fn bytes_that_do_not_fit_the_shape_are_refused() {
        let said = |datatype, count, bytes: &[u8]| read("x", datatype, count, bytes).unwrap_err().to_string();
        assert_eq!(said(DataType::Fp32, 2, &[0; 4]), "input 'x' has 4 bytes of data, its shape asks for 8");
        assert!(said(DataType::Fp64, usize::MAX, &[0; 8]).contains("its shape asks for"));
        assert!(said(DataType::Bytes, 1, &[9, 0, 0, 0, b'a']).contains("ends within a text"));
        assert!(said(DataType::Bytes, 1, &[1, 0]).contains("ends within the length"));
        assert!(said(DataType::Bytes, 2, &[1, 0, 0, 0, b'a']).contains("another number"));
        assert!(said(DataType::Bytes, 1, &[1, 0, 0, 0, 0xff]).contains("not utf-8"));
    }
}
