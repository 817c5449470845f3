//! The mappings of contacts: one for each road to people.

use super::{Of, Shape, key, must};

pub(in crate::rules) static CONTACT: Shape = Shape {
    name: "a contact",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("console", Of::Mapping(&CONSOLE), "Prints on the daemon's terminal or log."),
        key("webhook", Of::Mapping(&WEBHOOK), "Posts the page as JSON."),
        key("pagerduty", Of::Mapping(&PAGERDUTY), "PagerDuty Events v2."),
        key("slack", Of::Mapping(&SLACK), "Slack chat.postMessage."),
        key("alertmanager", Of::Mapping(&ALERTMANAGER), "Alertmanager v2, every peer."),
        key("opsgenie", Of::Mapping(&OPSGENIE), "Opsgenie v2, until its end in April 2027."),
        key("goalert", Of::Mapping(&GOALERT), "GoAlert's generic integration."),
        key("email", Of::Mapping(&EMAIL), "SMTP."),
        key("fallback", Of::Text, "The contact to use when this one does not accept."),
    ],
};

pub(in crate::rules) static CONSOLE: Shape = Shape { name: "`console`", fields: &[] };
pub(in crate::rules) static WEBHOOK: Shape = Shape {
    name: "`webhook`",
    fields: &[
        must("url", Of::Text, "http or https."),
        key("headers", Of::Map, "Header to {env: NAME} or {file: PATH}."),
        key(
            "sign",
            Of::Secret,
            "Medevac-Signature: t=SECONDS,v1=HEX, the HMAC-SHA256 under this key of the seconds, a dot and the body.",
        ),
    ],
};
pub(in crate::rules) static PAGERDUTY: Shape = Shape {
    name: "`pagerduty`",
    fields: &[
        must("routing_key", Of::Secret, "The integration key, by reference."),
        key("url", Of::Text, "Default https://events.pagerduty.com/v2/enqueue."),
    ],
};
pub(in crate::rules) static SLACK: Shape = Shape {
    name: "`slack`",
    fields: &[
        must("channel", Of::Text, "Id or #name."),
        must("token", Of::Secret, "The bot token, by reference."),
        key(
            "signing_secret",
            Of::Secret,
            "Of the app: pages have buttons then. Its interactivity goes to /api/v1/slack of this daemon.",
        ),
        key("url", Of::Text, "Default https://slack.com/api/chat.postMessage."),
    ],
};
pub(in crate::rules) static ALERTMANAGER: Shape =
    Shape { name: "`alertmanager`", fields: &[must("urls", Of::Texts, "Base URL of every peer.")] };
pub(in crate::rules) static OPSGENIE: Shape = Shape {
    name: "`opsgenie`",
    fields: &[
        must("api_key", Of::Secret, "Of an API integration, by reference."),
        key("responders", Of::Texts, "Teams. Default: the integration's own."),
        key(
            "url",
            Of::Text,
            "Default https://api.opsgenie.com; Europe's is https://api.eu.opsgenie.com.",
        ),
    ],
};
pub(in crate::rules) static GOALERT: Shape = Shape {
    name: "`goalert`",
    fields: &[
        must("url", Of::Text, "Where GoAlert is, for example https://goalert.example."),
        must("token", Of::Secret, "Of the service's integration key, by reference."),
    ],
};
pub(in crate::rules) static EMAIL: Shape = Shape {
    name: "`email`",
    fields: &[
        must("to", Of::Texts, "Addresses."),
        must("from", Of::Text, "An address."),
        must("server", Of::Text, "HOST or HOST:PORT of the mail server."),
        key(
            "tls",
            Of::Words(&["starttls", "wrapped", "off"]),
            "Default starttls, on port 587; wrapped on 465. `off` is for a relay on this machine.",
        ),
        key("user", Of::Text, "With `password`."),
        key("password", Of::Secret, "By reference."),
    ],
};
pub(in crate::rules) static SECRET: Shape = Shape {
    name: "a secret",
    fields: &[
        key("env", Of::Text, "Name of an environment variable."),
        key("file", Of::Text, "Path of a file; white space at its end is dropped."),
    ],
};
