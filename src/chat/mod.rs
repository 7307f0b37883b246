//! The chat domain's events, made from a seed: load for benchmarks, the demo and tests.
//!
//! Messages are posted, edited and deleted in rooms; few rooms have most of the traffic (Zipf, s = 1). One event is a
//! JSON object of about 330 bytes. The same seed gives the same events on every machine.

pub mod expect;
mod random;

use self::random::{Random, Zipf};

/// Rooms with traffic.
const ROOMS: usize = 20_000;
/// Accounts that write.
const ACCOUNTS: u64 = 200_000;
/// Words of the language.
const WORDS: usize = 4_000;
/// Recent messages of a room that may be edited or deleted.
const RECENT: usize = 64;
/// Time of the first event, in milliseconds since 1970.
const FIRST_MS: u64 = 1_760_000_000_000;

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It was written.
    Posted,
    /// Its body was changed.
    Edited,
    /// It was taken back.
    Deleted,
}

impl Kind {
    /// The event's `type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Edited => "edited",
            Self::Deleted => "deleted",
        }
    }
}

/// Whether an edit tells the whole message again or only what it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edits {
    /// All fields.
    #[default]
    Whole,
    /// Key, version, type and body.
    Partial,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The message; unique over all rooms.
    pub message_id: u64,
    /// Its room.
    pub room_id: u64,
    /// Who wrote it; `None` if the event does not say.
    pub account_id: Option<u64>,
    /// What happened.
    pub kind: Kind,
    /// The text; empty for a deletion.
    pub body: String,
    /// Grows with every event.
    pub version: u64,
    /// When the message was written, in milliseconds since 1970; `None` if the event does not say.
    pub sent_at: Option<u64>,
}

impl Event {
    /// The record key: the room, so that a room's events keep their order.
    #[must_use]
    pub fn key(&self) -> [u8; 8] {
        self.room_id.to_be_bytes()
    }

    /// Appends the event as JSON.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        field(json, b"{\"message_id\":", self.message_id);
        field(json, b",\"room_id\":", self.room_id);
        if let Some(account_id) = self.account_id {
            field(json, b",\"account_id\":", account_id);
        }
        json.extend_from_slice(b",\"type\":\"");
        json.extend_from_slice(self.kind.name().as_bytes());
        json.extend_from_slice(b"\",\"body\":\"");
        for byte in self.body.bytes() {
            match byte {
                b'"' => json.extend_from_slice(b"\\\""),
                b'\n' => json.extend_from_slice(b"\\n"),
                other => json.push(other),
            }
        }
        json.push(b'"');
        field(json, b",\"version\":", self.version);
        if let Some(sent_at) = self.sent_at {
            field(json, b",\"sent_at\":", sent_at);
        }
        json.push(b'}');
    }
}

fn field(json: &mut Vec<u8>, name: &[u8], number: u64) {
    json.extend_from_slice(name);
    json.extend_from_slice(number.to_string().as_bytes());
}

#[derive(Clone, Copy, Debug)]
struct Message {
    id: u64,
    account_id: u64,
    sent_at: u64,
}

/// Endless events.
#[derive(Debug)]
pub struct Events {
    random: Random,
    edits: Edits,
    words: Vec<String>,
    rooms: Zipf,
    vocabulary: Zipf,
    recent: Vec<Vec<Message>>,
    now_ms: u64,
    made: u64,
}

impl Events {
    /// The events of a seed.
    #[must_use]
    pub fn new(seed: u64, edits: Edits) -> Self {
        let mut random = Random::new(seed);
        let words = (0..WORDS).map(|_| word(&mut random)).collect();
        Self {
            random,
            edits,
            words,
            rooms: Zipf::new(ROOMS),
            vocabulary: Zipf::new(WORDS),
            recent: vec![Vec::new(); ROOMS],
            now_ms: FIRST_MS,
            made: 0,
        }
    }

    /// 120 to 280 bytes of words, some with quotes, line breaks and letters beyond ASCII.
    fn body(&mut self) -> String {
        let wanted = 120 + self.random.below(161) as usize;
        let mut body = String::with_capacity(wanted + 16);
        while body.len() < wanted {
            let word = self.vocabulary.pick(&mut self.random);
            body.push_str(self.words.get(word).map_or("", String::as_str));
            body.push_str(match self.random.below(100) {
                0 => ", \"ok\" ",
                1 => ".\n",
                2 => " été ",
                _ => " ",
            });
        }
        body
    }

    /// An earlier message of the room, if the dice say that it is edited or deleted.
    fn earlier(&mut self, room: usize) -> Option<(Kind, Message)> {
        let dice = self.random.below(10);
        let recent = self.recent.get(room)?;
        if dice < 7 || recent.is_empty() {
            return None;
        }
        let message = *recent.get(self.random.below(recent.len() as u64) as usize)?;
        Some((if dice == 9 { Kind::Deleted } else { Kind::Edited }, message))
    }

    fn posted(&mut self, room: usize) -> Message {
        let id = (1 << 52) + self.made * 4 + self.random.below(4);
        let message = Message { id, account_id: self.random.below(ACCOUNTS) + 1, sent_at: self.now_ms };
        let slot = self.random.below(RECENT as u64) as usize;
        if let Some(recent) = self.recent.get_mut(room) {
            match recent.get_mut(slot) {
                Some(place) => *place = message,
                None => recent.push(message),
            }
        }
        message
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        // Strictly growing: two events of one row never have one version.
        self.now_ms += 1 + self.random.below(3);
        let room = self.rooms.pick(&mut self.random);
        let (kind, message) = match self.earlier(room) {
            Some(earlier) => earlier,
            None => (Kind::Posted, self.posted(room)),
        };
        self.made += 1;
        let body = if kind == Kind::Deleted { String::new() } else { self.body() };
        let is_whole = kind == Kind::Posted || self.edits == Edits::Whole;
        Some(Event {
            message_id: message.id,
            room_id: Random::new(room as u64 + 77).next() >> 32,
            account_id: is_whole.then_some(message.account_id),
            kind,
            body,
            version: self.now_ms,
            sent_at: is_whole.then_some(message.sent_at),
        })
    }
}

fn word(random: &mut Random) -> String {
    const BEGIN: [&str; 12] = ["b", "br", "c", "ch", "d", "f", "g", "k", "l", "m", "s", "tr"];
    const MIDDLE: [&str; 6] = ["a", "e", "i", "o", "u", "ai"];
    let mut word = String::new();
    for _ in 0..=random.below(3) {
        word.push_str(BEGIN.get(random.below(BEGIN.len() as u64) as usize).unwrap_or(&"b"));
        word.push_str(MIDDLE.get(random.below(MIDDLE.len() as u64) as usize).unwrap_or(&"a"));
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence_of_legal_json() {
        let mut bytes = 0;
        let twice = Events::new(7, Edits::Whole).zip(Events::new(7, Edits::Whole)).take(2000);
        let mut kinds = [0; 3];
        let mut before = 0;
        for (event, again) in twice {
            assert_eq!(event, again);
            let mut json = Vec::new();
            event.write_json(&mut json);
            bytes += json.len();
            let read: serde_json::Value = serde_json::from_slice(&json).expect("legal JSON");
            assert_eq!(read["body"], event.body);
            assert_eq!(read["version"], event.version);
            assert!(event.version > before);
            before = event.version;
            kinds[event.kind as usize] += 1;
        }
        assert!((300..360).contains(&(bytes / 2000)), "{} bytes an event", bytes / 2000);
        assert!(kinds.iter().all(|count| *count > 50), "{kinds:?}");
        let other: Vec<Event> = Events::new(8, Edits::Whole).take(10).collect();
        assert_ne!(other, Events::new(7, Edits::Whole).take(10).collect::<Vec<_>>());
    }

    #[test]
    fn a_partial_edit_carries_only_what_it_changes() {
        let edit = Events::new(7, Edits::Partial).find(|event| event.kind == Kind::Edited).expect("an edit");
        let mut json = Vec::new();
        edit.write_json(&mut json);
        let read: serde_json::Value = serde_json::from_slice(&json).expect("legal JSON");
        let mut keys: Vec<&str> = read.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["body", "message_id", "room_id", "type", "version"]);
    }
}
