//! What serving may take and how long.

use std::path::PathBuf;

use toml_edit::{Table, value};

use super::error::Problems;
use super::keys::names_in;
use super::reader::Section;
use super::units::format_bytes;
use super::values;
use crate::serve::ServingSettings;

/// Rows, requests and answers that wait.
const MANY: usize = 10_000_000;

pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> ServingSettings {
    section.reject_unknown(&names_in("serving"), problems);
    let usual = ServingSettings::default();
    let few = values::few;
    let many = |node: &_| values::count_up_to(node, MANY);
    let settings = ServingSettings {
        onnxruntime: section.value("onnxruntime", problems, values::text).map(PathBuf::from),
        max_model: section.value("max_model", problems, values::bytes).unwrap_or(usual.max_model),
        max_memory: section.value("max_memory", problems, values::bytes).unwrap_or(usual.max_memory),
        sessions: section.value("sessions", problems, few).unwrap_or(usual.sessions),
        threads: section.value("threads", problems, few).unwrap_or(usual.threads),
        max_request: section.value("max_request", problems, values::memory).unwrap_or(usual.max_request),
        max_rows: section.value("max_rows", problems, many).unwrap_or(usual.max_rows),
        concurrency: section.value("concurrency", problems, few).unwrap_or(usual.concurrency),
        queue: section.value("queue", problems, many).unwrap_or(usual.queue),
        deadline: section.value("deadline", problems, values::positive_span).unwrap_or(usual.deadline),
        log_queue: section.value("log_queue", problems, many).unwrap_or(usual.log_queue),
    };
    if settings.log_queue < settings.max_rows && section.are_sound(&["log_queue", "max_rows"], problems) {
        let message = format!(
            "{} is less than serving.max_rows ({}), so that the answers to a large request could never be logged",
            settings.log_queue, settings.max_rows
        );
        section.report("log_queue", message, problems);
    }
    settings
}

pub(super) fn table(settings: &ServingSettings) -> Table {
    let mut table = Table::new();
    if let Some(path) = &settings.onnxruntime {
        table.insert("onnxruntime", value(path.display().to_string()));
    }
    table.insert("max_model", value(format_bytes(settings.max_model)));
    table.insert("max_memory", value(format_bytes(settings.max_memory)));
    table.insert("sessions", value(whole(settings.sessions)));
    table.insert("threads", value(whole(settings.threads)));
    table.insert("max_request", value(format_bytes(settings.max_request as u64)));
    table.insert("max_rows", value(whole(settings.max_rows)));
    table.insert("concurrency", value(whole(settings.concurrency)));
    table.insert("queue", value(whole(settings.queue)));
    table.insert("deadline", value(settings.deadline.to_string()));
    table.insert("log_queue", value(whole(settings.log_queue)));
    table
}

fn whole(number: usize) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
