//! Figures and instants as people read them.

use crate::clock::{Span, Timestamp};

/// `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `93.5 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `2019-03-31`, with `03:00` unless it is midnight.
pub(super) fn instant(at: Timestamp) -> String {
    let (day, time) = parts(at);
    if time == "00:00" { day } else { format!("{day} {time}") }
}

/// The shortest form that tells the ticks of an axis of this length apart.
pub(super) fn tick(at: Timestamp, axis: Span) -> String {
    let (day, time) = parts(at);
    if axis >= Span::from_days(4) {
        return day;
    }
    let month_and_day = day.get(5..).unwrap_or(&day);
    format!("{month_and_day} {time}")
}

fn parts(at: Timestamp) -> (String, String) {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => (day.to_owned(), time.to_owned()),
        _ => (text, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let written: Vec<_> = [0, 999, 1_000, 1_234_567].map(count).to_vec();
        assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn midnight_is_left_out_and_short_axes_show_the_time() {
        let at: Timestamp = "2019-03-31T03:00:00Z".parse().unwrap();
        assert_eq!(instant(at), "2019-03-31 03:00");
        assert_eq!(instant(at.floor(Span::from_days(1))), "2019-03-31");
        assert_eq!(tick(at, Span::from_days(30)), "2019-03-31");
        assert_eq!(tick(at, Span::from_hours(30)), "03-31 03:00");
    }
}
