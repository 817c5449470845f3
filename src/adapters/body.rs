//! The body of an answer, of bounded length: read piece by piece, and given up where it is longer.

use crate::model::chain;

/// All of it, where it has no more than `most` bytes.
///
/// # Errors
/// Why not, in words and without the URL, which may be a secret.
pub(super) async fn body(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, String> {
    let mut body = vec![];
    loop {
        match response.chunk().await {
            Ok(Some(more)) if body.len() + more.len() <= most => body.extend_from_slice(&more),
            Ok(Some(_)) => return Err(format!("an answer of more than {most} bytes")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(chain(&error.without_url())),
        }
    }
}
