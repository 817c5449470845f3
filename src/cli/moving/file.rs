//! The file: JSON lines, the last of which has the checksum of all before it.

use crate::cli::Exit;
use crate::log::{Entry, KvEntry, Place, Record, Restored, Seq, Stream, Subject};
use crate::model::Envelope;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Record(Recorded),
    Key(Kept),
    Place(Place),
}

/// A record, its message as it stands in the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) seq: Seq,
    at: Timestamp,
    stream: String,
    message: Box<RawValue>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    bucket: String,
    key: String,
    /// Base64: a value is bytes.
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    medevac_log: u32,
}

#[derive(Serialize, Deserialize)]
struct Tail {
    end: End,
}

#[derive(Serialize, Deserialize)]
struct End {
    lines: u64,
    sha256: String,
}

fn broken(path: &Path, line: u64, why: &str) -> Exit {
    Exit::Usage(format!("{}:{line}: {why}", path.display()))
}

impl Line {
    pub(super) fn record(record: &Record) -> Result<Line, Exit> {
        let message = serde_json::from_slice(&record.body)
            .map_err(|error| Exit::Failed(format!("record {} is not JSON: {error}", record.seq)))?;
        let (seq, at, stream) = (record.seq, record.at, record.stream.word().to_owned());
        Ok(Line::Record(Recorded { seq, at, stream, message }))
    }

    pub(super) fn key(bucket: &str, entry: &KvEntry) -> Line {
        Line::Key(Kept {
            bucket: bucket.to_owned(),
            key: entry.key.clone(),
            value: BASE64_STANDARD.encode(&entry.value),
            expires: entry.expires,
        })
    }
}

impl Recorded {
    pub(super) fn body(&self) -> &[u8] {
        self.message.get().as_bytes()
    }

    pub(super) fn restored(&self) -> Result<Restored, Exit> {
        let bad = |why: String| Exit::Usage(format!("record {}: {why}", self.seq));
        let stream = Stream::ALL.into_iter().find(|stream| stream.word() == self.stream);
        let stream = stream.ok_or_else(|| bad(format!("there is no stream `{}`", self.stream)))?;
        let envelope: Envelope<IgnoredAny> =
            serde_json::from_str(self.message.get()).map_err(|error| bad(error.to_string()))?;
        let Envelope { kind, tenant, subject, id, .. } = envelope;
        let subject = Subject::new(stream, &kind, tenant.as_deref(), &subject);
        let entry = Entry { id, subject, body: self.body().to_vec() };
        Ok(Restored { seq: self.seq, at: self.at, entry })
    }
}

impl Kept {
    pub(super) fn entry(self) -> Result<(String, KvEntry), Exit> {
        let value = BASE64_STANDARD
            .decode(&self.value)
            .map_err(|error| Exit::Usage(format!("the key `{}`: {error}", self.key)))?;
        Ok((self.bucket, KvEntry { key: self.key, value, revision: 0, expires: self.expires }))
    }
}

/// Writes `<file>.part` until it is whole.
pub(super) struct Writer {
    out: BufWriter<File>,
    part: PathBuf,
    digest: Sha256,
    lines: u64,
}

impl Writer {
    /// Begins, or goes on after the last whole record of a file that was broken off: its position.
    pub(super) fn open(path: &Path) -> Result<(Writer, Seq), Exit> {
        let part = PathBuf::from(format!("{}.part", path.display()));
        let bad = |error: std::io::Error| {
            Exit::Usage(format!("cannot write {}: {error}", part.display()))
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(&part)
            .map_err(bad)?;
        let (kept, lines, digest, last) = whole(&mut file).map_err(bad)?;
        file.set_len(kept).map_err(bad)?;
        let mut writer = Writer { out: BufWriter::new(file), part, digest, lines };
        if kept == 0 {
            writer.line(&Head { medevac_log: FORMAT })?;
        }
        Ok((writer, last))
    }

    pub(super) fn write(&mut self, line: &Line) -> Result<(), Exit> {
        self.line(line)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), Exit> {
        let mut text = serde_json::to_vec(line).map_err(|error| Exit::from_error(&error))?;
        text.push(b'\n');
        self.digest.update(&text);
        self.lines += 1;
        self.out.write_all(&text).map_err(|error| self.bad(&error))
    }

    fn bad(&self, error: &std::io::Error) -> Exit {
        Exit::Failed(format!("cannot write {}: {error}", self.part.display()))
    }

    /// Makes it whole and durable, under its own name: what it holds, in words.
    pub(super) fn finish(mut self, path: &Path) -> Result<String, Exit> {
        let sha256 = hex(&self.digest.clone().finalize());
        let told = format!("{} lines, sha256 {sha256}", self.lines);
        let tail = Tail { end: End { lines: self.lines, sha256 } };
        self.line(&tail)?;
        let done = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        done.and_then(|()| std::fs::rename(&self.part, path)).map_err(|error| self.bad(&error))?;
        Ok(told)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of a file that was broken off: bytes and lines up to its last whole record, their digest, its position.
fn whole(file: &mut File) -> std::io::Result<(u64, u64, Sha256, Seq)> {
    let (mut kept, mut lines, mut digest, mut last) = (0, 0, Sha256::new(), 0);
    let mut reader = BufReader::new(file);
    let mut text = vec![];
    loop {
        text.clear();
        let read = reader.read_until(b'\n', &mut text)?;
        if read == 0 || text.last() != Some(&b'\n') {
            return Ok((kept, lines, digest, last));
        }
        match serde_json::from_slice::<Line>(&text) {
            Ok(Line::Record(record)) => last = record.seq,
            Err(_) if lines == 0 => {}
            // Keys and places are written anew: they change while records are read.
            Ok(_) | Err(_) => return Ok((kept, lines, digest, last)),
        }
        digest.update(&text);
        kept += read as u64;
        lines += 1;
    }
}

/// Reads line by line, and knows at the end whether all of it was right.
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    digest: Sha256,
    lines: u64,
    bytes: u64,
    read: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Reader, Exit> {
        let bad =
            |error: std::io::Error| Exit::Usage(format!("cannot read {}: {error}", path.display()));
        let file = File::open(path).map_err(bad)?;
        let bytes = file.metadata().map_err(bad)?.len();
        let input = BufReader::new(file);
        let mut reader =
            Reader { path: path.into(), input, digest: Sha256::new(), lines: 0, bytes, read: 0 };
        let text = reader.text()?;
        let head = serde_json::from_slice::<Head>(&text)
            .map_err(|_| broken(path, 1, "this is no log of medevac"))?;
        if head.medevac_log > FORMAT {
            return Err(broken(path, 1, "a newer medevac wrote this; use that one"));
        }
        Ok(reader)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }

    fn text(&mut self) -> Result<Vec<u8>, Exit> {
        let mut text = vec![];
        let read = self.input.read_until(b'\n', &mut text);
        let read = read.map_err(|error| broken(&self.path, self.lines + 1, &error.to_string()))?;
        if text.last() != Some(&b'\n') {
            let why = "the file ends here, before its checksum: the export was not finished";
            return Err(broken(&self.path, self.lines + 1, why));
        }
        self.read += read as u64;
        if serde_json::from_slice::<Tail>(&text).is_err() {
            self.digest.update(&text);
            self.lines += 1;
        }
        Ok(text)
    }

    /// The next line; none after the last, once the checksum has been found right.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Exit> {
        let text = self.text()?;
        if let Ok(Tail { end }) = serde_json::from_slice(&text) {
            let sha256 = hex(&self.digest.clone().finalize());
            if (end.lines, &end.sha256) != (self.lines, &sha256) {
                return Err(broken(
                    &self.path,
                    self.lines + 1,
                    "the checksum is wrong: the file is damaged",
                ));
            }
            return Ok(None);
        }
        let line = serde_json::from_slice(&text);
        line.map(Some).map_err(|error| broken(&self.path, self.lines, &error.to_string()))
    }
}
