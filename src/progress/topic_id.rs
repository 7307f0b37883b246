//! Kafka's own id of a topic: a topic that is deleted and made again under its old name has another one.
//!
//! A commit remembers it. An offset of the old topic says nothing about the new one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The id of a topic, shown as Kafka's tools show it. Never zero: brokers before 2.8 have no ids, and say zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(u128);

impl TopicId {
    /// From the two halves of Kafka's UUID; `None` for the zero of brokers without ids.
    #[must_use]
    pub fn new(high: i64, low: i64) -> Option<Self> {
        let id = (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned());
        (id != 0).then_some(Self(id))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

/// A text that is no topic id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no topic id")]
pub struct NoTopicId;

impl FromStr for TopicId {
    type Err = NoTopicId;

    fn from_str(text: &str) -> Result<Self, NoTopicId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoTopicId)?;
        let id = u128::from_be_bytes(bytes.try_into().map_err(|_| NoTopicId)?);
        if id == 0 { Err(NoTopicId) } else { Ok(Self(id)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_shown_as_kafkas_tools_show_it() {
        // `java.util.UUID.fromString("1c9e8a2b-3f4d-4e5f-8a9b-0c1d2e3f4a5b")` by `org.apache.kafka.common.Uuid.toString`.
        let id = TopicId::new(0x1c9e_8a2b_3f4d_4e5f, 0x8a9b_0c1d_2e3f_4a5b_u64.cast_signed()).expect("not zero");
        assert_eq!(id.to_string(), "HJ6KKz9NTl-KmwwdLj9KWw");
        assert_eq!(TopicId::new(0, 0), None);
    }

    proptest! {
        #[test]
        fn its_text_is_read_back(high: i64, low: i64) {
            if let Some(id) = TopicId::new(high, low) {
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
        }

        #[test]
        fn any_text_is_an_id_or_none(text: String) {
            if let Ok(id) = text.parse::<TopicId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
