//! Sizes in bytes as people write them.

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `64MiB`, `10kB` or a plain number of bytes.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*size)
}

/// Writes the largest binary unit that divides `bytes`.
pub(super) fn format_bytes(bytes: u64) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    let (unit, size) = binary.copied().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_what_they_write() {
        for text in ["0B", "1000B", "10KiB", "64MiB", "3GiB"] {
            assert_eq!(format_bytes(parse_bytes(text).unwrap()), text);
        }
    }

    #[test]
    fn decimal_units_and_plain_bytes_are_read() {
        assert_eq!(parse_bytes("10kB"), Some(10_000));
        assert_eq!(parse_bytes("512"), Some(512));
        assert_eq!(parse_bytes("1 MiB"), Some(1 << 20));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "MiB", "1mb", "-1B", "1.5GiB", "99999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
