//! Reads single values. A file gives types; the environment and flags give text, which is read as the type wanted.

use std::net::SocketAddr;

use super::raw::{Node, Raw};
use super::units::parse_bytes;
use crate::clock::Span;

/// Text that is not empty.
pub(super) fn text(node: &Node) -> Result<String, String> {
    let text = string(node)?;
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

/// Text, or a number or boolean as it is written.
pub(super) fn scalar(node: &Node) -> Result<String, String> {
    match &node.value {
        Raw::Integer(integer) => Ok(integer.to_string()),
        Raw::Float(float) => Ok(float.to_string()),
        Raw::Boolean(boolean) => Ok(boolean.to_string()),
        _ => text(node),
    }
}

/// A length of time, zero included.
pub(super) fn span(node: &Node) -> Result<Span, String> {
    let Raw::Text(text) = &node.value else {
        return Err(format!("must be a duration such as \"10m\" or \"7d\", not {}", node.value.kind()));
    };
    text.parse().map_err(|error: crate::clock::TimeError| error.to_string())
}

/// A length of time above zero.
pub(super) fn positive_span(node: &Node) -> Result<Span, String> {
    let span = span(node)?;
    if span == Span::ZERO {
        return Err("must be longer than zero".to_owned());
    }
    Ok(span)
}

/// A number of bytes above zero, such as `64MiB`.
pub(super) fn bytes(node: &Node) -> Result<u64, String> {
    let size = match &node.value {
        Raw::Integer(bytes) => u64::try_from(*bytes).ok(),
        Raw::Text(text) => parse_bytes(text),
        other => return Err(format!("must be a size such as \"64MiB\", not {}", other.kind())),
    };
    match size {
        Some(size) if size > 0 => Ok(size),
        _ => Err(format!(
            "'{}' is not a size: write a whole number above zero and one of B, KiB, MiB, GiB, such as 64MiB",
            scalar(node).unwrap_or_default()
        )),
    }
}

/// As [`bytes`], for what must fit into memory.
pub(super) fn memory(node: &Node) -> Result<usize, String> {
    usize::try_from(bytes(node)?).map_err(|_| "is more than this machine can address".to_owned())
}

/// A number of threads, or of what takes one each: more of them than any machine has cores are a mistake.
pub(super) fn few(node: &Node) -> Result<usize, String> {
    count_up_to(node, 1_024)
}

/// As [`count`], with a limit.
pub(super) fn count_up_to(node: &Node, most: usize) -> Result<usize, String> {
    let count = count(node)?;
    if count > most { Err(format!("{count} is too large: write {most} or less")) } else { Ok(count) }
}

/// A whole number of at least one that fits its type.
pub(super) fn count<T: TryFrom<i64>>(node: &Node) -> Result<T, String> {
    let number = match &node.value {
        Raw::Integer(integer) => *integer,
        Raw::Text(text) if !node.place.is_file() => {
            text.parse().map_err(|_| format!("'{text}' is not a whole number"))?
        }
        other => return Err(format!("must be a whole number, not {}", other.kind())),
    };
    if number < 1 {
        return Err(format!("{number} is too small: write 1 or more"));
    }
    T::try_from(number).map_err(|_| format!("{number} is too large"))
}

/// A finite number.
pub(super) fn number(node: &Node) -> Result<f64, String> {
    let number = match &node.value {
        Raw::Integer(integer) => *integer as f64,
        Raw::Float(float) => *float,
        other => return Err(format!("must be a number, not {}", other.kind())),
    };
    if !number.is_finite() {
        return Err("must be a finite number".to_owned());
    }
    Ok(number)
}

/// A number above zero.
pub(super) fn above_zero(node: &Node) -> Result<f64, String> {
    let number = number(node)?;
    if number <= 0.0 {
        return Err(format!("{number} must be above 0"));
    }
    Ok(number)
}

/// A number strictly between zero and one.
pub(super) fn open_unit(node: &Node) -> Result<f64, String> {
    let number = number(node)?;
    if number <= 0.0 || number >= 1.0 {
        return Err(format!("{number} must lie between 0 and 1, both excluded"));
    }
    Ok(number)
}

/// A number from zero to one.
pub(super) fn share(node: &Node) -> Result<f64, String> {
    let number = number(node)?;
    if !(0.0..=1.0).contains(&number) {
        return Err(format!("{number} must lie from 0 to 1"));
    }
    Ok(number)
}

pub(super) fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Raw::Boolean(boolean) => Ok(*boolean),
        other => Err(format!("must be true or false, not {}", other.kind())),
    }
}

/// An address to listen on.
pub(super) fn address(node: &Node) -> Result<SocketAddr, String> {
    let text = text(node)?;
    let wrong = |_| format!("'{text}' is not an address: write an IP address and a port, such as 127.0.0.1:8080");
    text.parse().map_err(wrong)
}

/// The name of a Kafka topic, or the start of one.
pub(super) fn topic(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let is_legal = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    // Kafka's limit is 249; Plimsoll's own topics add a word to the prefix.
    if !is_legal || text == "." || text == ".." || text.len() > 200 {
        return Err(format!(
            "'{text}' is not a topic name: write up to 200 of the characters a-z, A-Z, 0-9, '.', '_', '-'"
        ));
    }
    Ok(text)
}

/// The name of a process in its consumer groups.
pub(super) fn instance(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let is_legal = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !is_legal || text == "." || text == ".." || text.len() > 200 {
        return Err(format!(
            "'{text}' cannot name a process: write up to 200 of the characters a-z, A-Z, 0-9, '.', '_', '-'"
        ));
    }
    Ok(text)
}

fn string(node: &Node) -> Result<&str, String> {
    match &node.value {
        Raw::Text(text) => Ok(text),
        other => Err(format!("must be a string in quotes, not {}", other.kind())),
    }
}
