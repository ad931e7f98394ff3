//! Event times as milliseconds: a fast reader for the usual form of RFC 3339, jiff for the rest.

use crate::clock::Timestamp;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// The instants that can be written as RFC 3339 (jiff's range): beyond them a number is no time.
const EARLIEST: i64 = -377_705_023_201_000;
const LATEST: i64 = 253_402_207_200_999;

/// The instant that an RFC 3339 text names.
#[must_use]
pub fn millis_of_text(text: &str) -> Option<i64> {
    usual_form(text.as_bytes()).or_else(|| text.parse().ok().map(Timestamp::millis))
}

/// The instant that a number of milliseconds since the epoch names, if a calendar has it.
#[must_use]
pub fn millis_of_integer(millis: i64) -> Option<i64> {
    (EARLIEST..=LATEST).contains(&millis).then_some(millis)
}

/// Like [`millis_of_integer`]; parts of a millisecond are dropped.
#[must_use]
pub fn millis_of_float(millis: f64) -> Option<i64> {
    let floor = millis.floor();
    if floor < EARLIEST as f64 || floor > LATEST as f64 || floor.is_nan() {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // in range, as just tested
    Some(floor as i64)
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±hh:mm)`; none for anything else, even if it is a time.
fn usual_form(text: &[u8]) -> Option<i64> {
    let (clock, rest) = text.split_at_checked(19)?;
    let separators = [clock[4], clock[7], clock[10], clock[13], clock[16]];
    if separators != *b"--T::" {
        return None;
    }
    let (year, month, day) = (digits(&clock[..4])?, digits(&clock[5..7])?, digits(&clock[8..10])?);
    let (hour, minute, second) = (digits(&clock[11..13])?, digits(&clock[14..16])?, digits(&clock[17..19])?);
    let date_is_real = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if !date_is_real || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = split_fraction(rest)?;
    let offset_minutes = offset(zone)?;
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    let millis = days_since_epoch(year, month, day) * MILLIS_PER_DAY + seconds * 1_000 + millis_of_fraction(fraction);
    // jiff drops parts of a millisecond towards the epoch; before it, that is not what is done here.
    if millis < 0 && fraction.len() > 3 {
        return None;
    }
    millis_of_integer(millis)
}

/// The digits behind the decimal point, if there is one, and what follows them.
fn split_fraction(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(behind_point) = rest.strip_prefix(b".") else {
        return Some((&[], rest));
    };
    let count = behind_point.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&count).then(|| behind_point.split_at(count))
}

fn millis_of_fraction(fraction: &[u8]) -> i64 {
    let digit = |place: usize| fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    digit(0) * 100 + digit(1) * 10 + digit(2)
}

fn offset(zone: &[u8]) -> Option<i64> {
    if zone == b"Z" {
        return Some(0);
    }
    let &[sign, h1, h2, b':', m1, m2] = zone else {
        return None;
    };
    let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let mut number = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the leap day is a year's last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_FROM_MARCH_OF_YEAR_0_TO_EPOCH: i64 = 719_468;
    let (year, months_since_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - DAYS_FROM_MARCH_OF_YEAR_0_TO_EPOCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_jiff(text: &str) -> Option<i64> {
        text.parse().ok().map(Timestamp::millis)
    }

    #[test]
    fn the_usual_forms_are_read_without_jiff() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2018-10-30T18:00:00Z", 1_540_922_400_000),
            ("2018-10-30T18:00:00.25Z", 1_540_922_400_250),
            ("2018-10-30T18:00:00.123456789Z", 1_540_922_400_123),
            ("2018-10-30T19:30:00+01:30", 1_540_922_400_000),
            ("2018-10-30T13:00:00-05:00", 1_540_922_400_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0000-03-01T00:00:00Z", -62_162_035_200_000),
        ];
        for (text, millis) in cases {
            assert_eq!(usual_form(text.as_bytes()), Some(millis), "{text}");
            assert_eq!(by_jiff(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn rarer_forms_are_left_to_jiff() {
        for text in ["2018-10-30 18:00:00Z", "2018-10-30t18:00:00z", "2018-10-30T18:00Z", "20181030T180000Z"] {
            assert_eq!(millis_of_text(text), Some(1_540_922_400_000), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        let wrong = [
            "",
            "yesterday",
            "2018-10-30",
            "2018-10-30T18:00:00",
            "2018-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2018-13-01T00:00:00Z",
            "2018-00-10T00:00:00Z",
            "2018-04-31T00:00:00Z",
            "2018-10-30T24:00:00Z",
            "2018-10-30T18:60:00Z",
            "2018-10-30T18:00:00.Z",
            "2018-10-30T18:00:00+1",
            "2018-10-30T18:00:00+01:60",
            "9999-12-31T23:59:59Z",
            "2018-10-30T18:00:00Zjunk",
            "２018-10-30T18:00:00Z",
        ];
        for text in wrong {
            assert_eq!(millis_of_text(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_the_calendar_are_no_instants() {
        assert_eq!(millis_of_integer(LATEST), Some(LATEST));
        assert_eq!(millis_of_integer(LATEST + 1), None);
        assert_eq!(millis_of_integer(i64::MIN), None);
        assert_eq!(millis_of_float(1.5), Some(1));
        assert_eq!(millis_of_float(-1.5), Some(-2));
        assert_eq!(millis_of_float(1.6e18), None);
        assert_eq!(millis_of_float(f64::NAN), None);
    }

    #[test]
    fn the_range_is_the_one_of_the_calendar() {
        assert_eq!(jiff::Timestamp::MIN.as_millisecond(), EARLIEST);
        assert_eq!(jiff::Timestamp::MAX.as_millisecond(), LATEST);
    }

    proptest! {
        #[test]
        fn every_instant_is_read_as_jiff_reads_it(
            text in r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])"
        ) {
            prop_assert_eq!(millis_of_text(&text), by_jiff(&text));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = millis_of_text(&text);
        }
    }
}
