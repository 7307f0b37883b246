//! Dead letters as JSON lines in a file: appended, forced to disk, readable with any tool.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DeadLetter, DeadLetterError, Mark, line};

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

impl FileStore {
    /// Opens or makes the file. A line that a crash has cut off is ended, so that later lines can be read.
    pub(super) fn open(path: &Path) -> Result<Self, DeadLetterError> {
        let file = open(path).map_err(|source| DeadLetterError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), lines: Arc::new(Mutex::new(Lines { out: file, is_cut: false })) })
    }

    pub(super) async fn store(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let mut lines = Vec::new();
        for letter in letters {
            line::append_letter(letter, &mut lines).map_err(|error| self.failed(error.into()))?;
        }
        self.append(lines).await
    }

    pub(super) async fn mark(&self, marks: &[Mark]) -> Result<(), DeadLetterError> {
        let mut lines = Vec::new();
        for mark in marks {
            line::append_mark(mark, &mut lines).map_err(|error| self.failed(error.into()))?;
        }
        self.append(lines).await
    }

    async fn append(&self, lines: Vec<u8>) -> Result<(), DeadLetterError> {
        let file = Arc::clone(&self.lines);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.append(&lines)?;
            file.out.sync_data()
        });
        written.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DeadLetterError {
        DeadLetterError::File { path: self.path.clone(), source }
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
            omitted_bytes: None,
            row: None,
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
