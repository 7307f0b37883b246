//! Dead letters as JSON lines in a file: appended, forced to disk, readable with any tool.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::{DeadLetter, DeadLetterError};

/// A file of JSON lines.
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
    lines: Arc<Mutex<Lines<File>>>,
}

/// Appends whole lines. What a failed write left behind is ended first, so that later lines can be read.
///
/// It is never cut away: other processes may append to the same file.
#[derive(Debug)]
struct Lines<W> {
    out: W,
    is_cut: bool,
}

/// One line. Payload and key stand as text where they are UTF-8, and always as hexadecimal, so that nothing is lost.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    stage: &'a str,
    cause: &'a str,
    key_hex: Option<String>,
    payload_hex: Option<String>,
    payload_text: Option<&'a str>,
}

impl FileStore {
    /// Opens or makes the file. A line that a crash has cut off is ended, so that later lines can be read.
    pub(super) fn open(path: &Path) -> Result<Self, DeadLetterError> {
        let file = open(path).map_err(|source| DeadLetterError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), lines: Arc::new(Mutex::new(Lines { out: file, is_cut: false })) })
    }

    pub(super) async fn store(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let failed = |source| DeadLetterError::File { path: self.path.clone(), source };
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, &Line::of(letter)).map_err(|error| failed(error.into()))?;
            lines.push(b'\n');
        }
        let file = Arc::clone(&self.lines);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.append(&lines)?;
            file.out.sync_data()
        });
        written.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

impl<W: Write> Lines<W> {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if std::mem::replace(&mut self.is_cut, true) {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(lines)?;
        self.is_cut = false;
        Ok(())
    }
}

impl<'a> Line<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        Self {
            topic: &letter.partition.topic,
            partition: letter.partition.partition,
            offset: letter.offset.0,
            timestamp_ms: letter.timestamp_ms,
            stage: letter.stage.name(),
            cause: &letter.cause,
            key_hex: letter.key.as_deref().map(hex),
            payload_hex: letter.payload.as_deref().map(hex),
            payload_text: letter.payload.as_deref().and_then(|payload| std::str::from_utf8(payload).ok()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            file.sync_data()?;
        }
    }
    Ok(file)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::Stage;
    use crate::progress::offset::{Offset, TopicPartition};

    fn letter(offset: i64, payload: &[u8]) -> DeadLetter {
        DeadLetter {
            partition: TopicPartition { topic: Arc::from("chat.messages"), partition: 2 },
            offset: Offset(offset),
            timestamp_ms: 7,
            stage: Stage::Decode,
            cause: "not JSON".to_owned(),
            key: None,
            payload: Some(payload.to_vec()),
        }
    }

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        bytes: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_whole_again_after_the_disk_was_full() {
        let mut lines = Lines { out: Disk { room: 9, bytes: Vec::new() }, is_cut: false };
        lines.append(b"first\n").expect("room");
        lines.append(b"second\n").expect_err("full");
        lines.append(b"second\n").expect_err("still full");
        lines.out.room = 100;
        lines.append(b"second\n").expect("room");
        lines.append(b"third\n").expect("room");
        assert_eq!(String::from_utf8_lossy(&lines.out.bytes), "first\nsec\nsecond\nthird\n");
    }

    #[tokio::test]
    async fn letters_are_whole_lines_also_after_a_crash_cut_one_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dead.jsonl");
        std::fs::write(&path, b"{\"topic\":\"cut o").expect("written");
        let store = FileStore::open(&path).expect("opens");
        store.store(&[letter(1, b"{bad"), letter(2, b"\xff")]).await.expect("stored");
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<serde_json::Value> =
            text.lines().skip(1).map(|line| serde_json::from_str(line).expect("a whole line")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["payload_text"], "{bad");
        assert_eq!((&lines[1]["offset"], &lines[1]["payload_hex"]), (&2.into(), &"ff".into()));
        assert_eq!(lines[1]["payload_text"], serde_json::Value::Null);
    }
}
