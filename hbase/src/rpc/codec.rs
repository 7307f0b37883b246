//! Which compressor a connection to a server asks for. Pure.
//!
//! Nobody tells a client which codecs a server has: a class that is not there ends the connection with
//! `UnsupportedCompressionCodecException`, and a class without its native library fails at the first cell block. So the
//! classes of a codec are tried one after the other, and what was refused is remembered for the server.
//!
//! # Laws
//! 1. A refused class is not asked for again.
//! 2. Without any class left the configuration decides: no compression, or an error that says what to do.

use crate::exception::Exception;
use crate::wire::compress::Compression;

/// What happens if a server does not have the codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbsentCodec {
    /// Operations fail with [`ConnectionError::CodecMissing`](crate::rpc::connection::ConnectionError::CodecMissing).
    #[default]
    Fail,
    /// Cells go and come plain.
    SendPlain,
}

/// What to ask one server for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiation {
    wanted: Compression,
    absent: AbsentCodec,
    refused: usize,
}

/// What a connection announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// No compression.
    Plain,
    /// This codec by this class.
    Codec(Compression, &'static str),
    /// Nothing is left to offer.
    Exhausted,
}

impl Negotiation {
    pub(crate) fn new(wanted: Compression, absent: AbsentCodec) -> Self {
        Self { wanted, absent, refused: 0 }
    }

    /// What the next connection announces.
    pub(crate) fn offer(&self) -> Offer {
        match (self.wanted, self.wanted.classes().get(self.refused), self.absent) {
            (Compression::None, _, _) => Offer::Plain,
            (codec, Some(class), _) => Offer::Codec(codec, class),
            (_, None, AbsentCodec::SendPlain) => Offer::Plain,
            (_, None, AbsentCodec::Fail) => Offer::Exhausted,
        }
    }

    /// A connection that announced this class was refused for it.
    pub(crate) fn refuse(&mut self, class: &str) {
        if self.wanted.classes().get(self.refused) == Some(&class) {
            self.refused += 1;
        }
    }
}

/// Whether a server says by this that it does not have the codec that the connection asked for.
pub(crate) fn is_codec_missing(exception: &Exception) -> bool {
    // Hadoop 2 without its native library refuses when the codec is used, in words only.
    let without_library = ["native snappy library not available", "native lz4 library not available"];
    // Hadoop 3 finds the class, but not the library behind it.
    let without_jar = ["org/xerial/snappy", "net/jpountz"];
    exception.is("ipc.UnsupportedCompressionCodecException")
        || without_library.iter().any(|text| exception.message.contains(text))
        || without_jar.iter().any(|package| exception.message.contains(package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::NameBytesPair;

    #[test]
    fn classes_are_tried_in_order_and_then_the_configuration_decides() {
        for (absent, last) in [(AbsentCodec::Fail, Offer::Exhausted), (AbsentCodec::SendPlain, Offer::Plain)] {
            let mut negotiation = Negotiation::new(Compression::Lz4, absent);
            for class in Compression::Lz4.classes() {
                assert_eq!(negotiation.offer(), Offer::Codec(Compression::Lz4, class));
                negotiation.refuse(class);
                negotiation.refuse(class);
            }
            assert_eq!(negotiation.offer(), last);
        }
        assert_eq!(Negotiation::new(Compression::None, AbsentCodec::Fail).offer(), Offer::Plain);
    }

    #[test]
    fn servers_say_in_several_ways_that_a_codec_is_missing() {
        let exception = |class: &str, text: &str| {
            Exception::of_result(&NameBytesPair { name: class.to_owned(), value: Some(text.to_owned().into()) })
        };
        let class = "org.apache.hadoop.hbase.ipc.UnsupportedCompressionCodecException";
        assert!(is_codec_missing(&exception(class, "x")));
        let text = "java.lang.RuntimeException: native snappy library not available: this version of libhadoop";
        assert!(is_codec_missing(&exception("java.lang.RuntimeException", text)));
        assert!(!is_codec_missing(&exception("java.io.IOException", "snappy")));
    }
}
