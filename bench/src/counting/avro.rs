//! Chat events as Avro behind a schema's id, written and read by hand: what halcyon's decoder is checked against.

use anyhow::{Context, bail, ensure};
use halcyon::chat::Event;

use super::answer::kind;

/// The id that every payload begins with.
const ID: u32 = 1;

/// The schema of that id.
pub(super) const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"chat","fields":[
    {"name":"message_id","type":"long"},{"name":"room_id","type":"long"},
    {"name":"account_id","type":["null","long"]},{"name":"type","type":"string"},{"name":"body","type":"string"},
    {"name":"version","type":"long"},{"name":"sent_at","type":["null","long"]}]}"#;

/// Appends the event behind its schema's id.
pub(crate) fn write(event: &Event, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&ID.to_be_bytes());
    long(out, event.message_id);
    long(out, event.room_id);
    optional(out, event.account_id);
    text(out, event.kind.name());
    text(out, &event.body);
    long(out, event.version);
    optional(out, event.sent_at);
}

/// Zigzag, then seven bits to a byte. The numbers of events are below 2^63.
fn long(out: &mut Vec<u8>, number: u64) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A union of null and long.
fn optional(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        None => long(out, 0),
        Some(number) => {
            long(out, 1);
            long(out, number);
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`write()`] has written.
pub(super) fn read(payload: &[u8]) -> anyhow::Result<Event> {
    let [0, id @ ..] = payload.first_chunk::<5>().context("a payload without an id")? else {
        bail!("a payload without an id")
    };
    ensure!(u32::from_be_bytes(*id) == ID, "the id of another schema");
    let mut rest = Reader(payload.get(5..).unwrap_or_default());
    let event = Event {
        message_id: rest.long()?,
        room_id: rest.long()?,
        account_id: rest.optional()?,
        kind: kind(rest.text()?)?,
        body: rest.text()?.to_owned(),
        version: rest.long()?,
        sent_at: rest.optional()?,
    };
    ensure!(rest.0.is_empty(), "{} bytes behind the event", rest.0.len());
    Ok(event)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn long(&mut self) -> anyhow::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().context("a number is cut off")?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                ensure!(number & 1 == 0, "a negative number");
                return Ok(number >> 1);
            }
        }
        bail!("a number of more than 64 bits")
    }

    fn optional(&mut self) -> anyhow::Result<Option<u64>> {
        match self.long()? {
            0 => Ok(None),
            1 => self.long().map(Some),
            other => bail!("branch {other} of a union of two"),
        }
    }

    fn text(&mut self) -> anyhow::Result<&'a str> {
        let length = self.long()? as usize;
        let (text, rest) = self.0.split_at_checked(length).context("a text is cut off")?;
        self.0 = rest;
        Ok(std::str::from_utf8(text)?)
    }
}

#[cfg(test)]
mod tests {
    use halcyon::chat::{Edits, Events};

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_less_is_taken() {
        for event in Events::new(7, Edits::Partial).take(300) {
            let mut payload = Vec::new();
            write(&event, &mut payload);
            assert_eq!(read(&payload).expect("its own bytes"), event);
            assert!(read(&payload[..payload.len() - 1]).is_err());
            payload.push(0);
            assert!(read(&payload).is_err());
        }
    }
}
