//! The first bytes of a connection.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::message::{ConnectionHeader, UserInformation, VersionInfo};

/// What every connection begins with.
pub const MAGIC: &[u8; 4] = b"HBas";
/// The RPC version behind the magic.
pub const RPC_VERSION: u8 = 0;
/// No authentication: the server believes the user name (`AuthMethod.SIMPLE`).
pub const AUTH_SIMPLE: u8 = 0x50;

/// Java class of the cell codec: cells without tags.
pub const KEY_VALUE_CODEC: &str = "org.apache.hadoop.hbase.codec.KeyValueCodec";

/// The version line that is announced. Servers unlock answers by it: RetryImmediately for parts of an answer (1.2),
/// RequestTooBigException instead of a bare refusal and Get answers as cell blocks (1.3), ScannerResetException (1.4).
pub const ANNOUNCED_VERSION: (u32, u32, &str) = (2, 6, "2.6.0");

/// Preamble and ConnectionHeader. The server answers nothing to it when it agrees. `compressor` is the Java class that
/// compresses cell blocks both ways; a server without it closes the connection with
/// `UnsupportedCompressionCodecException`.
#[must_use]
pub fn hello(user: &str, service: &str, compressor: Option<&str>) -> Bytes {
    let (major, minor, version) = ANNOUNCED_VERSION;
    let header = ConnectionHeader {
        user_info: Some(UserInformation { effective_user: user.to_owned(), real_user: None }),
        service_name: Some(service.to_owned()),
        cell_block_codec_class: Some(KEY_VALUE_CODEC.to_owned()),
        cell_block_compressor_class: compressor.map(str::to_owned),
        version_info: Some(VersionInfo {
            version: version.to_owned(),
            url: env!("CARGO_PKG_REPOSITORY").to_owned(),
            revision: env!("CARGO_PKG_VERSION").to_owned(),
            user: env!("CARGO_PKG_NAME").to_owned(),
            date: String::new(),
            src_checksum: String::new(),
            version_major: Some(major),
            version_minor: Some(minor),
        }),
    };
    bytes_of(&header)
}

fn bytes_of(header: &ConnectionHeader) -> Bytes {
    let length = header.encoded_len();
    let mut hello = BytesMut::with_capacity(10 + length);
    hello.put_slice(MAGIC);
    hello.put_u8(RPC_VERSION);
    hello.put_u8(AUTH_SIMPLE);
    // A plain length, not a varint.
    hello.put_u32(length as u32);
    header.encode_raw(&mut hello);
    hello.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_has_the_known_bytes() {
        let header = ConnectionHeader {
            user_info: Some(UserInformation { effective_user: "u".to_owned(), real_user: None }),
            service_name: Some("ClientService".to_owned()),
            cell_block_codec_class: Some(KEY_VALUE_CODEC.to_owned()),
            ..ConnectionHeader::default()
        };
        let hex: String = bytes_of(&header).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = "484261730050000000410a030a0175120d436c69656e74536572766963651a2b6f72672e6170616368652e6861646f6f70\
                     2e68626173652e636f6465632e4b657956616c7565436f646563";
        assert_eq!(hex, known);
    }
}
