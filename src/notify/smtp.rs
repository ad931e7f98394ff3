//! Email over SMTP.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::{Host, Url};

use super::{EmailSettings, Mail, MailError, Mailer};

/// Sends to one server, with a connection per mail.
#[derive(Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// The longest that the server may take to answer one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The last instant that a mail's date can express, in milliseconds.
const LAST_DATE: u64 = 253_402_300_799_000;

impl SmtpMailer {
    /// Checks the settings; connects only when there is a mail.
    pub fn new(settings: &EmailSettings) -> Result<Self, MailError> {
        if settings.to.is_empty() {
            return Err(MailError::Settings("'to' names nobody".to_owned()));
        }
        let server = Server::parse(&settings.url)?;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.as_str())
            .port(server.port)
            .tls(server.tls()?)
            .timeout(Some(COMMAND_TIMEOUT));
        if let Some(credentials) = credentials(settings)? {
            if server.security == Security::None && !is_loopback(&server.host) {
                return Err(MailError::Settings(format!(
                    "the password would travel unencrypted to {}: use smtp+starttls:// or smtps://",
                    server.host
                )));
            }
            transport = transport.credentials(credentials);
        }
        Ok(Self { transport: transport.build(), from: settings.from.clone(), to: settings.to.clone() })
    }

    fn message(&self, mail: Mail) -> Result<Message, MailError> {
        let millis = u64::try_from(mail.written_at.millis()).unwrap_or(0).min(LAST_DATE);
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(mail.id))
            .subject(mail.subject)
            // RFC 3834: keeps holiday notices from answering.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if let Some(first) = mail.in_reply_to {
            message = message.in_reply_to(first.clone()).references(first);
        }
        for receiver in &self.to {
            message = message.to(receiver.clone());
        }
        message.singlepart(SinglePart::plain(mail.text)).map_err(|error| MailError::Refused(error.to_string()))
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() || error.is_transient() => Err(MailError::Refused(in_full(&error))),
            Err(error) => Err(MailError::Unreachable(in_full(&error))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    StartTls,
    Tls,
}

struct Server {
    security: Security,
    host: String,
    port: u16,
}

impl Server {
    /// The url is shown in logs, so it must hold no password.
    fn parse(text: &str) -> Result<Self, MailError> {
        let wrong = |reason: &str| {
            MailError::Settings(format!("{reason}: write smtp://host:port, smtp+starttls://host or smtps://host"))
        };
        let url = Url::parse(text).map_err(|error| wrong(&format!("the url cannot be read ({error})")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the url holds credentials, which belong in 'username' and 'password'"));
        }
        let (security, port) = match url.scheme() {
            "smtp" => (Security::None, 25),
            "smtp+starttls" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            other => return Err(wrong(&format!("'{other}' is no way to send mail"))),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("the url names no host")),
        };
        Ok(Self { security, host, port: url.port().unwrap_or(port) })
    }

    fn tls(&self) -> Result<Tls, MailError> {
        let parameters = || TlsParameters::new(self.host.clone()).map_err(|error| MailError::Settings(in_full(&error)));
        Ok(match self.security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(parameters()?),
            Security::Tls => Tls::Wrapper(parameters()?),
        })
    }
}

fn credentials(settings: &EmailSettings) -> Result<Option<Credentials>, MailError> {
    match (&settings.username, &settings.password) {
        (Some(username), Some(password)) => Ok(Some(Credentials::new(username.clone(), password.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(MailError::Settings("'username' needs a 'password'".to_owned())),
        (None, Some(_)) => Err(MailError::Settings("'password' needs a 'username'".to_owned())),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// With every cause, which says more than the outermost.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn settings(url: &str) -> EmailSettings {
        EmailSettings {
            url: url.to_owned(),
            from: "Plimsoll <plimsoll@example.com>".parse().unwrap(),
            to: vec!["ops@example.com".parse().unwrap(), "Ann <ann@example.com>".parse().unwrap()],
            username: None,
            password: None,
        }
    }

    fn with_password(url: &str) -> EmailSettings {
        EmailSettings { username: Some("me".to_owned()), password: Some("secret".to_owned()), ..settings(url) }
    }

    #[test]
    fn a_password_never_travels_unencrypted_beyond_this_machine() {
        for url in ["smtp://mail.example.com:25", "smtp://10.0.0.1", "smtp://[2001:db8::1]:25"] {
            let message = SmtpMailer::new(&with_password(url)).unwrap_err().to_string();
            assert!(message.contains("unencrypted"), "{message}");
            assert!(!message.contains("secret"));
        }
        for url in
            ["smtp://localhost:2525", "smtp://127.0.0.1:2525", "smtp://[::1]:2525", "smtp+starttls://mail.example.com"]
        {
            SmtpMailer::new(&with_password(url)).unwrap();
        }
        SmtpMailer::new(&with_password("smtps://mail.example.com")).unwrap();
        SmtpMailer::new(&settings("smtp://mail.example.com")).unwrap();
    }

    #[test]
    fn a_url_that_is_no_mail_server_is_refused() {
        for url in ["", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://me:secret@localhost"] {
            let message = SmtpMailer::new(&settings(url)).unwrap_err().to_string();
            assert!(message.contains("smtp://host:port"), "{url}: {message}");
            assert!(!message.contains("secret"));
        }
    }

    #[test]
    fn half_of_the_credentials_or_nobody_to_tell_is_refused() {
        let half = EmailSettings { username: Some("me".to_owned()), ..settings("smtp://localhost") };
        assert!(SmtpMailer::new(&half).is_err());
        let nobody = EmailSettings { to: vec![], ..settings("smtp://localhost") };
        assert!(SmtpMailer::new(&nobody).is_err());
    }

    #[test]
    fn ports_follow_the_scheme_unless_they_are_given() {
        for (url, port) in [("smtp://a", 25), ("smtp+starttls://a", 587), ("smtps://a", 465), ("smtps://a:1", 1)] {
            assert_eq!(Server::parse(url).unwrap().port, port);
        }
    }

    #[test]
    fn a_message_carries_its_headers_and_one_subject() {
        let mailer = SmtpMailer::new(&settings("smtp://localhost")).unwrap();
        let mail = Mail {
            id: "<f.1.resolved@plimsoll>".to_owned(),
            in_reply_to: Some("<f.1.firing@plimsoll>".to_owned()),
            subject: "[plimsoll] RESOLVED: größer".to_owned(),
            text: "line one\nBcc: nobody@example.com\n".to_owned(),
            written_at: Timestamp::from_millis(0),
        };
        let message = mailer.message(mail).unwrap();
        assert_eq!(message.envelope().to().len(), 2);
        let formatted = String::from_utf8(message.formatted()).unwrap();
        let (headers, body) = formatted.split_once("\r\n\r\n").unwrap();
        assert!(headers.contains("Message-ID: <f.1.resolved@plimsoll>"), "{headers}");
        assert!(headers.contains("MIME-Version: 1.0"));
        assert!(headers.contains("In-Reply-To: <f.1.firing@plimsoll>"));
        assert!(headers.contains("Auto-Submitted: auto-generated"));
        assert!(headers.contains("Date: Thu, 01 Jan 1970"));
        assert!(headers.is_ascii());
        assert!(!headers.contains("Bcc"));
        assert!(body.contains("Bcc: nobody@example.com"));
    }
}
