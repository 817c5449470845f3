//! SMTP: one mail for each ring. The same ring has the same Message-ID, and what belongs together refers to its first mail.

use super::{cut, plain};
use crate::model::{Delivery, Id, MailTls, Mailbox, PageKey, PageKind, Report, chain};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor, message::header::ContentType,
    transport::smtp::authentication::Credentials,
};
use std::time::Duration;

/// A server that looks a name up first takes its time.
const TIMEOUT: Duration = Duration::from_secs(30);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

pub(super) async fn send(mailbox: &Mailbox, key: &PageKey, report: &Report) -> Delivery {
    let mail = match compose(mailbox, key, report) {
        Ok(mail) => mail,
        Err(why) => return Delivery::Refused(why),
    };
    let transport = match transport(mailbox) {
        Ok(transport) => transport,
        Err(error) => return Delivery::Refused(chain(&error)),
    };
    // The transport's own time-out is for connecting alone.
    let Ok(sent) = tokio::time::timeout(TIMEOUT, transport.send(mail)).await else {
        return Delivery::Retry { after: None, why: "the mail server says nothing".into() };
    };
    match sent {
        Ok(answer) => {
            let said: Vec<&str> = answer.message().collect();
            Delivery::Accepted(cut(&said.join(" "), 200))
        }
        // 5xx: for good. 4xx, and whatever lies between us and the server: later.
        Err(error) if error.is_permanent() => Delivery::Refused(cut(&chain(&error), 200)),
        Err(error) => Delivery::Retry { after: None, why: cut(&chain(&error), 200) },
    }
}

fn transport(mailbox: &Mailbox) -> Result<Transport, lettre::transport::smtp::Error> {
    let builder = match mailbox.tls {
        MailTls::StartTls => Transport::starttls_relay(&mailbox.server)?,
        MailTls::Wrapped => Transport::relay(&mailbox.server)?,
        MailTls::Off => Transport::builder_dangerous(&mailbox.server),
    };
    let builder = builder.port(mailbox.port).timeout(Some(TIMEOUT));
    Ok(match &mailbox.login {
        Some((user, password)) => {
            let login = Credentials::new(user.clone(), password.expose().to_owned());
            builder.credentials(login).build()
        }
        None => builder.build(),
    })
}

fn compose(mailbox: &Mailbox, key: &PageKey, report: &Report) -> Result<Message, String> {
    let word = match key.kind {
        PageKind::Trigger => format!("L{}", report.level),
        PageKind::Resolve => "Resolved".into(),
        PageKind::Note => "Note".into(),
    };
    let id = |parts: &[&str]| format!("<{}@medevac>", Id::of(parts).short(32));
    let thread = id(&["mail", &key.incident, &key.contact]);
    let (level, nth) = (key.level.to_string(), key.nth.to_string());
    let own = id(&["mail", &key.incident, &key.contact, &level, &nth, &word]);
    // No line break gets into a header.
    let subject: String = format!("[{word}] {} on {}", report.title, report.target)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let mut mail = Message::builder()
        .from(mailbox.from.parse().map_err(|_| format!("`{}` is not an address", mailbox.from))?)
        .subject(cut(&subject, 200))
        .message_id(Some(own))
        .references(thread.clone())
        .in_reply_to(thread)
        .header(ContentType::TEXT_PLAIN);
    for to in &mailbox.to {
        mail = mail.to(to.parse().map_err(|_| format!("`{to}` is not an address"))?);
    }
    let text = format!("{}\n\nincident {}\n", plain(report), report.incident);
    mail.body(text).map_err(|error| error.to_string())
}
