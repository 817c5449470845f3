//! Where the log goes, and in which form.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging: for people on a terminal, JSON elsewhere. `MEDEVAC_LOG` filters, for example `debug`.
pub fn log(terminal: bool, default: &str) {
    let filter = EnvFilter::try_from_env("MEDEVAC_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let set = if terminal {
        builder.compact().try_init().is_ok()
    } else {
        builder.json().with_current_span(true).with_span_list(false).try_init().is_ok()
    };
    if !set {
        tracing::debug!("logging was set up before");
    }
}
