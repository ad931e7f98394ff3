//! The mail about one alert.

use std::fmt::Write;

use serde_json::Value;

use super::Mail;
use crate::clock::Timestamp;
use crate::event::{Alert, AlertState};

const LONGEST_SUBJECT: usize = 200;
const LONGEST_LINE: usize = 400;
const MOST_EVIDENCE: usize = 80;

pub(super) fn letter(alert: &Alert, now: Timestamp) -> Mail {
    let resolved = alert.state == AlertState::Resolved;
    Mail {
        id: message_id(alert, alert.state),
        in_reply_to: resolved.then(|| message_id(alert, AlertState::Firing)),
        subject: subject(alert),
        text: text(alert),
        written_at: now,
    }
}

/// Identifies fingerprint, episode and state.
fn message_id(alert: &Alert, state: AlertState) -> String {
    // Only what RFC 5322 allows in an id: hence no colons of a written time.
    let fingerprint = plain(alert.fingerprint.as_str());
    format!("<{fingerprint}.{}.{}@plimsoll>", alert.started_at.millis(), state.name())
}

fn subject(alert: &Alert) -> String {
    let state = alert.state.name().to_uppercase();
    let severity = alert.severity.name();
    one_line(&format!("[plimsoll] {state} {severity}: {}: {}", alert.population.model, alert.summary), LONGEST_SUBJECT)
}

fn text(alert: &Alert) -> String {
    let population = &alert.population;
    let mut text = one_line(&alert.summary, LONGEST_LINE);
    text.push_str("\n\n");
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{:<13}{}", format!("{name}:"), one_line(value, LONGEST_LINE));
    };
    field("State", alert.state.name());
    field("Severity", alert.severity.name());
    field("Kind", &alert.kind);
    if !alert.subject.is_empty() {
        field("Subject", &alert.subject);
    }
    field("Model", &population.model);
    field("Version", &population.version);
    field("Variant", &population.variant);
    field("Segment", population.segment.as_deref().unwrap_or("everybody"));
    field("Since", &format!("{} (event time)", alert.started_at));
    for (name, instant) in [("Fired", alert.fired_at), ("Resolved", alert.resolved_at)] {
        if let Some(instant) = instant {
            field(name, &format!("{instant} (event time)"));
        }
    }
    field("Fingerprint", alert.fingerprint.as_str());

    let evidence = evidence_lines(&alert.evidence);
    if !evidence.is_empty() {
        text.push_str("\nEvidence\n");
        for line in evidence.iter().take(MOST_EVIDENCE) {
            let _ = writeln!(text, "  {}", truncated(line, LONGEST_LINE));
        }
        if let Some(more @ 1..) = evidence.len().checked_sub(MOST_EVIDENCE) {
            let _ = writeln!(text, "  … and {more} lines more");
        }
    }

    text.push_str("\nTo look further\n");
    for query in queries(alert) {
        let _ = writeln!(text, "  plimsoll sql \"{query}\"");
    }
    text
}

/// People paste these into a shell, so a name that might mean something there is left out.
fn queries(alert: &Alert) -> Vec<String> {
    let mut queries = vec![format!("SELECT * FROM alerts WHERE fingerprint = '{}'", plain(alert.fingerprint.as_str()))];
    let table = match alert.kind.as_str() {
        "drift" => "drift",
        "decay" => "performance",
        "quality" => "quality",
        "fairness" => "fairness",
        "change" => "detections",
        "rollout" => return with_rollouts(queries, alert),
        _ => "windows",
    };
    let population = &alert.population;
    if plain(&population.model) == population.model && plain(&population.version) == population.version {
        queries.push(format!(
            "SELECT * FROM {table} WHERE model = '{}' AND version = '{}' ORDER BY window_start DESC LIMIT 20",
            population.model, population.version
        ));
    }
    queries
}

fn with_rollouts(mut queries: Vec<String>, alert: &Alert) -> Vec<String> {
    let model = &alert.population.model;
    if plain(model) == *model {
        queries.push(format!("SELECT * FROM rollouts WHERE model = '{model}' ORDER BY started_at DESC"));
    }
    queries
}

/// Any JSON as indented lines; objects and lists of plain values stay on one line.
fn evidence_lines(evidence: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match evidence {
        Value::Null => {}
        Value::Object(_) | Value::Array(_) => push_lines(evidence, 0, &mut lines),
        plain => lines.push(scalar(plain)),
    }
    lines
}

fn push_lines(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = one_line(name, LONGEST_LINE);
                if let Some(text) = flat(field) {
                    lines.push(format!("{indent}{name}: {text}"));
                } else {
                    lines.push(format!("{indent}{name}:"));
                    push_lines(field, depth + 1, lines);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(text) = flat(item) {
                    lines.push(format!("{indent}- {text}"));
                } else {
                    lines.push(format!("{indent}-"));
                    push_lines(item, depth + 1, lines);
                }
            }
        }
        plain => lines.push(format!("{indent}{}", scalar(plain))),
    }
}

/// One line for what has no structure below its first level.
fn flat(value: &Value) -> Option<String> {
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(fields) if fields.values().all(is_scalar) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{} {}", one_line(name, LONGEST_LINE), scalar(field)))
                .collect();
            Some(fields.join(", "))
        }
        Value::Array(items) if items.iter().all(is_scalar) => {
            Some(items.iter().map(scalar).collect::<Vec<_>>().join(", "))
        }
        Value::Object(_) | Value::Array(_) => None,
        plain => Some(scalar(plain)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => one_line(text, LONGEST_LINE),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => rounded(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn rounded(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-3 {
        return format!("{number:.2e}");
    }
    let digits = format!("{number:.4}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Without line breaks and control characters, which would forge headers or lines.
fn one_line(text: &str, longest: usize) -> String {
    let visible: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    truncated(&words.join(" "), longest)
}

fn truncated(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest - 1).collect();
    format!("{kept}…")
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notify::tests::alert;

    #[test]
    fn the_mail_says_what_broke_since_when_for_whom_and_how_to_look_further() {
        let mail = letter(&alert(AlertState::Firing, 1_000), Timestamp::from_millis(5));
        assert_eq!(mail.subject, "[plimsoll] FIRING critical: car_loan: 4 features drift");
        assert_eq!(mail.id, "<00c0ffee.1000.firing@plimsoll>");
        assert_eq!(mail.in_reply_to, None);
        for line in [
            "Model:       car_loan",
            "Version:     1",
            "Segment:     region=eu",
            "Since:       1970-01-01T00:00:01Z (event time)",
            "  window: start 2019-03-31, size 7d",
            "    - feature car_value, psi 0.3123, p_value 1.20e-9",
            "  plimsoll sql \"SELECT * FROM alerts WHERE fingerprint = '00c0ffee'\"",
            "  plimsoll sql \"SELECT * FROM drift WHERE model = 'car_loan' AND version = '1' ORDER BY window_start DESC \
             LIMIT 20\"",
        ] {
            assert!(mail.text.lines().any(|found| found == line), "{line}\nis not in\n{}", mail.text);
        }
    }

    #[test]
    fn a_resolved_mail_answers_the_firing_one() {
        let mail = letter(&alert(AlertState::Resolved, 1_000), Timestamp::from_millis(5));
        assert_eq!(mail.in_reply_to.as_deref(), Some("<00c0ffee.1000.firing@plimsoll>"));
        assert!(mail.subject.starts_with("[plimsoll] RESOLVED critical: car_loan"));
    }

    #[test]
    fn no_text_of_an_alert_can_forge_a_header() {
        let mut forged = alert(AlertState::Firing, 0);
        forged.summary = "fine\r\nBcc: all@example.com\u{2028}\u{0}x".repeat(100);
        forged.population.model = "a\nb".to_owned();
        forged.fingerprint = serde_json::from_value(json!("a>\r\nBcc: all@example.com")).unwrap();
        let mail = letter(&forged, Timestamp::from_millis(0));
        assert!(mail.subject.chars().all(|letter| !letter.is_control() && letter != '\u{2028}'));
        assert!(mail.subject.chars().count() <= LONGEST_SUBJECT);
        assert_eq!(mail.id, "<aBccallexamplecom.0.firing@plimsoll>");
    }

    #[test]
    fn a_name_with_a_meaning_in_a_shell_is_not_offered_for_pasting() {
        let mut alert = alert(AlertState::Firing, 0);
        alert.population.version = "$(reboot)".to_owned();
        assert_eq!(queries(&alert).len(), 1);
    }

    #[test]
    fn evidence_of_any_shape_is_shown_and_bounded() {
        let shape = json!({"a": [[1, 2], {"b": {"c": null}}], "d": true, "e": []});
        assert_eq!(evidence_lines(&shape), ["a:", "  - 1, 2", "  -", "    b: c none", "d: true", "e: "]);
        assert_eq!(evidence_lines(&json!("words")), ["words"]);
        assert!(evidence_lines(&Value::Null).is_empty());

        let mut long = alert(AlertState::Firing, 0);
        long.evidence = json!((0..1_000).map(|row| json!({"row": row})).collect::<Vec<_>>());
        assert!(text(&long).contains("… and 920 lines more"));
    }
}
