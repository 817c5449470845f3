//! Secrets taken out of text from outside. What looks like one goes, whether it is one or not.

use regex_lite::Regex;
use std::sync::LazyLock;

/// Pattern, and what stands there instead.
const PATTERNS: [(&str, &str); 9] = [
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", "[masked]"),
    (r"\b(AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b", "${1}[masked]"),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)?", "eyJ[masked]"),
    (r"\b(xox[abprs]-|gh[pousr]_|glpat-|hf_|sk-)[A-Za-z0-9_-]{8,}", "${1}[masked]"),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}", "${1} [masked]"),
    (r"([a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@", "${1}:[masked]@"),
    (
        r#"(?i)(["']?[a-z0-9_.-]*(password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential|private[_-]?key|signature)[a-z0-9_.-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&"'}\]\[]*\[masked\]|[^\s,;&"'}\]]+)"#,
        "${1}[masked]",
    ),
    (r"(?i)([?&](X-Amz-[A-Za-z-]+|sig|signature|code|key)=)[^\s&]+", "${1}[masked]"),
    (r"\b[A-Za-z0-9+/]{60,}={0,2}", "[masked]"),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile =
        |(pattern, with): &(&'static str, &'static str)| Some((Regex::new(pattern).ok()?, *with));
    PATTERNS.iter().filter_map(compile).collect()
});

/// The text without what looks like a secret.
pub fn mask(text: &str) -> String {
    COMPILED.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes_and_the_rest_stays() {
        assert_eq!(COMPILED.len(), PATTERNS.len(), "every pattern is one");
        for (text, masked) in [
            ("loss 0.31 at step 4096, 12.5 tokens/s", "loss 0.31 at step 4096, 12.5 tokens/s"),
            (
                "NCCL WARN Net : Connection closed by ip-10-0-1-7",
                "NCCL WARN Net : Connection closed by ip-10-0-1-7",
            ),
            ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[masked]"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key AKIA[masked] used"),
            (
                r#"{"password": "hunter 2", "user": "ann"}"#,
                r#"{"password": [masked], "user": "ann"}"#,
            ),
            ("db_password: hunter2; next", "db_password: [masked]; next"),
            ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer [masked]"),
            ("postgres://ann:hunter2@db/x", "postgres://ann:[masked]@db/x"),
            ("GET http://gpu-1:9400/metrics 200", "GET http://gpu-1:9400/metrics 200"),
            ("token=eyJhbGciOiJI.eyJzdWIi.sig", "token=[masked]"),
            ("jwt eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc_d end", "jwt eyJ[masked] end"),
            ("hf_abcdefghijklmnop", "hf_[masked]"),
            ("GET s3?X-Amz-Signature=abc123&x=1", "GET s3?X-Amz-Signature=[masked]&x=1"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc", "[masked]"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }
}
