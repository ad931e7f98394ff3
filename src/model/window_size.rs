//! The length of a window and how often one starts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::{Span, TimeError, Timestamp};

/// `7d` is tumbling (a new window every seven days); `7d/1d` slides by one day. Windows start at whole slides
/// since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowSize {
    pub length: Span,
    pub slide: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowSizeError {
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error("window '{0}' must be longer than zero and its slide must divide its length, such as 7d or 7d/1d")]
    Slide(String),
}

impl WindowSize {
    #[must_use]
    pub const fn tumbling(length: Span) -> Self {
        Self { length, slide: length }
    }

    /// Starts of the windows that hold `at`, earliest first.
    pub fn starts_at(self, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let last = at.floor(self.slide);
        let count = self.length.millis() / self.slide.millis();
        (0..count).rev().map(move |back| last.minus(Span::from_millis(back * self.slide.millis())))
    }
}

impl fmt::Display for WindowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.slide == self.length { self.length.fmt(f) } else { write!(f, "{}/{}", self.length, self.slide) }
    }
}

impl FromStr for WindowSize {
    type Err = WindowSizeError;

    fn from_str(text: &str) -> Result<Self, WindowSizeError> {
        let (length, slide) = text.split_once('/').unwrap_or((text, text));
        let size = Self { length: length.parse()?, slide: slide.parse()? };
        let (length, slide) = (size.length.millis(), size.slide.millis());
        if slide <= 0 || length < slide || length % slide != 0 {
            return Err(WindowSizeError::Slide(text.to_owned()));
        }
        Ok(size)
    }
}

impl Serialize for WindowSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WindowSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tumbling_window_holds_each_instant_once() {
        let size: WindowSize = "7d".parse().unwrap();
        let at: Timestamp = "2019-03-31T03:00:00Z".parse().unwrap();
        let starts: Vec<_> = size.starts_at(at).map(|s| s.to_string()).collect();
        assert_eq!(starts, ["2019-03-28T00:00:00Z"]);
    }

    #[test]
    fn a_sliding_window_holds_each_instant_length_over_slide_times() {
        let size: WindowSize = "3d/1d".parse().unwrap();
        let at: Timestamp = "2019-03-31T03:00:00Z".parse().unwrap();
        let starts: Vec<_> = size.starts_at(at).map(|s| s.to_string()).collect();
        assert_eq!(starts, ["2019-03-29T00:00:00Z", "2019-03-30T00:00:00Z", "2019-03-31T00:00:00Z"]);
        assert_eq!(size.to_string(), "3d/1d");
    }

    #[test]
    fn a_slide_that_does_not_divide_the_length_is_refused() {
        for text in ["7d/2d", "1d/2d", "0d", "7d/0d"] {
            assert!(text.parse::<WindowSize>().is_err(), "{text}");
        }
    }
}
