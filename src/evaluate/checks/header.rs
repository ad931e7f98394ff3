//! The comment header of a check's file.

use std::path::Path;

use super::{Check, CheckError, Problem, When};
use crate::event::Severity;
use crate::model::WindowSize;
use crate::query::sql_file::{self, Entry, HeaderProblem, has_query, is_plain_name, list};

const CHANNELS: [&str; 1] = ["email"];

/// Collects problems, so that one start reports all of them.
struct Parser<'a> {
    file: &'a Path,
    errors: Vec<CheckError>,
}

/// The check in `text`, or everything that is wrong with it.
pub(super) fn parse(file: &Path, text: &str) -> Result<Check, Vec<CheckError>> {
    let mut parser = Parser { file, errors: Vec::new() };
    let entries = parser.entries(text);
    let check = parser.check(&entries, text);
    if parser.errors.is_empty() { Ok(check) } else { Err(parser.errors) }
}

impl<'a> Parser<'a> {
    fn entries(&mut self, text: &'a str) -> Vec<Entry<'a>> {
        let (entries, problems) = sql_file::header(text);
        for (line, problem) in problems {
            self.report(
                line,
                match problem {
                    HeaderProblem::NotAHeader(comment) => Problem::NotAHeader(comment),
                    HeaderProblem::Repeated(key) => Problem::RepeatedHeader(key),
                },
            );
        }
        entries
    }

    fn check(&mut self, entries: &[Entry<'a>], text: &str) -> Check {
        let mut check = Check {
            name: String::new(),
            severity: Severity::Warning,
            windows_for: 1,
            sizes: Vec::new(),
            segments: true,
            when: When::default(),
            notify: Vec::new(),
            description: None,
            sql: text.to_owned(),
            file: self.file.to_owned(),
        };
        for entry in entries {
            if let Err(problem) = apply(&mut check, entry) {
                self.report(entry.line, problem);
            }
        }
        if !entries.iter().any(|entry| entry.key == "name") {
            self.report(1, Problem::NoName);
        }
        if !has_query(text) {
            self.report(text.lines().count().max(1), Problem::NoQuery);
        }
        check
    }

    fn report(&mut self, line: usize, problem: Problem) {
        self.errors.push(CheckError { file: self.file.to_owned(), line, problem });
    }
}

fn apply(check: &mut Check, entry: &Entry<'_>) -> Result<(), Problem> {
    let value = entry.value;
    match entry.key {
        "name" => check.name = name(value)?,
        "severity" => {
            check.severity = Severity::parse(value).ok_or_else(|| Problem::BadSeverity(value.to_owned()))?;
        }
        "for" => check.windows_for = windows_for(value)?,
        "windows" => {
            check.sizes = list(value)
                .map(|size| size.parse::<WindowSize>().map_err(|error| Problem::BadWindow(error.to_string())))
                .collect::<Result<_, _>>()?;
        }
        "segments" => check.segments = segments(value)?,
        "on" => check.when = when(value)?,
        "notify" => check.notify = list(value).map(channel).collect::<Result<_, _>>()?,
        "description" => check.description = Some(value.to_owned()),
        unknown => return Err(Problem::UnknownHeader(unknown.to_owned())),
    }
    Ok(())
}

fn name(value: &str) -> Result<String, Problem> {
    if !is_plain_name(value) {
        return Err(Problem::BadName(value.to_owned()));
    }
    Ok(value.to_owned())
}

/// `2 windows`, `1 window` or `2`.
fn windows_for(value: &str) -> Result<u32, Problem> {
    let number = value.trim_end_matches("windows").trim_end_matches("window").trim_end();
    match number.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Problem::BadFor(value.to_owned())),
    }
}

fn segments(value: &str) -> Result<bool, Problem> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Problem::BadSegments(value.to_owned())),
    }
}

fn when(value: &str) -> Result<When, Problem> {
    match value {
        "revision" => Ok(When::Revision),
        "close" => Ok(When::Close),
        _ => Err(Problem::BadOn(value.to_owned())),
    }
}

fn channel(value: &str) -> Result<String, Problem> {
    if CHANNELS.contains(&value) { Ok(value.to_owned()) } else { Err(Problem::BadChannel(value.to_owned())) }
}
