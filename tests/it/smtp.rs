//! Alerts reach people by a real SMTP server.

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;

use crate::end_to_end::CAR_LOAN;
use crate::support::{Service, ServiceOptions, SmtpSink, data_file, eventually_true};

#[test]
fn a_drifted_stream_is_told_once_by_mail() {
    let Some(sink) = SmtpSink::start(0) else { return };
    assert_one_mail(&sink);
}

#[test]
fn a_mail_server_that_refuses_for_a_while_gets_the_mail_later() {
    let Some(sink) = SmtpSink::start(2) else { return };
    assert_one_mail(&sink);
}

#[test]
fn a_mail_server_that_does_not_answer_holds_up_nothing_but_its_mail() {
    let Some(sink) = SmtpSink::start(0) else { return };
    sink.pause();
    let mut service = drifted(&sink);
    service.wait_settled();
    let firing = service.sql("SELECT state FROM alerts WHERE kind = 'drift' AND state = 'firing'");
    assert_eq!(firing.len(), 1, "the alert itself does not wait");
    let failed = "plimsoll_notifications_total{channel=\"email\",result=\"failed\"}";
    eventually_true(Duration::from_mins(1), "metrics tell of the failed attempt", || {
        service.http().get("/metrics").body.lines().any(|line| line.starts_with(failed) && !line.ends_with(" 0"))
    });
    sink.go_on();
    eventually_true(Duration::from_mins(1), "the mail arrives", || !sink.messages().is_empty());
    service.terminate();
    let ids: BTreeSet<String> = sink.messages().iter().filter_map(|message| header(message, "Message-ID")).collect();
    assert_eq!(ids.len(), 1, "a mail that comes twice says so: {ids:?}");
}

fn header(message: &str, name: &str) -> Option<String> {
    message.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

fn assert_one_mail(sink: &SmtpSink) {
    let mut service = drifted(sink);
    service.wait_settled();
    eventually_true(Duration::from_mins(1), "a mail arrives", || !sink.messages().is_empty());
    // The last checkpoint would send what is still queued.
    service.terminate();

    let messages = sink.messages();
    let [message] = messages.as_slice() else { panic!("not one mail: {messages:#?}") };
    // Long lines are folded: in headers by white space, in the text as quoted-printable.
    let text = message.replace("=\r\n", "").replace("\r\n ", " ");
    let wanted = [
        "X-MailFrom: plimsoll@example.com",
        "X-RcptTo: oncall@example.com",
        "[plimsoll] FIRING warning: car_loan: distribution differs from the reference",
        "Kind:        drift",
        "car_value",
        "loan_length",
        "repaid_loan_on_prev_car",
        "prediction.score",
    ];
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

/// A service that mails to `sink`, with two months of drifted events published to it.
fn drifted(sink: &SmtpSink) -> Service {
    let no_checks = TempDir::new().expect("a temporary folder");
    let url = sink.url();
    let email = format!(
        "[notify.email]\nurl = \"{url}\"\nfrom = \"Plimsoll <plimsoll@example.com>\"\nto = [\"oncall@example.com\"]"
    );
    let service = Service::start(&ServiceOptions {
        models: CAR_LOAN,
        extra: &email,
        checks: Some(no_checks.path().to_owned()),
        ..ServiceOptions::default()
    });
    let part = ["--from", "2019-03-01T00:00:00Z", "--to", "2019-05-01T00:00:00Z"];
    let args = [&["--model", "car_loan", "--version", "1", "--no-outcomes"][..], &part].concat();
    service.replay(&data_file("car_loan_production.parquet"), &args);
    service
}
