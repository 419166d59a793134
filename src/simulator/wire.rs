//! What the simulated services do alike with bytes: packed bodies, encoded queries.

use std::io::{Read as _, Write as _};

use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Smaller answers are not worth packing.
pub(super) const GZIP_FROM: usize = 512;

pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"))
}

pub(super) fn unpack(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    if encoding != Some("gzip") {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    MultiGzDecoder::new(body.as_slice())
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| format!("the gzip body cannot be read: {error}"))?;
    Ok(plain)
}

pub(super) fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Decodes `%` escapes; `+` means itself in a path.
pub(super) fn decode_path(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes a query or a form, where `+` is a space.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_path(&name.replace('+', " ")), decode_path(&value.replace('+', " ")))
        })
        .collect()
}
