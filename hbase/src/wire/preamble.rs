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
/// SASL GSSAPI (`AuthMethod.KERBEROS`).
pub const AUTH_KERBEROS: u8 = 0x51;
/// SASL DIGEST-MD5 (`AuthMethod.DIGEST`).
pub const AUTH_DIGEST: u8 = 0x52;

/// Instead of a preamble: the server tells its cluster's id and closes (`RpcClient.REGISTRY_PREAMBLE_HEADER`, 2.6+).
pub const ASK_CLUSTER_ID: &[u8; 6] = b"Regist";
/// Before a preamble: the server tells its Kerberos principal (`RpcClient.SECURITY_PREAMBLE_HEADER`, 2.6+).
pub const ASK_PRINCIPAL: &[u8; 6] = b"Securi";

/// Java class of the cell codec: cells without tags.
pub const KEY_VALUE_CODEC: &str = "org.apache.hadoop.hbase.codec.KeyValueCodec";

/// The version line that is announced. Servers unlock answers by it: RetryImmediately for parts of an answer (1.2),
/// RequestTooBigException instead of a bare refusal and Get answers as cell blocks (1.3), ScannerResetException (1.4).
pub const ANNOUNCED_VERSION: (u32, u32, &str) = (2, 6, "2.6.0");

/// The six bytes that a connection begins with.
#[must_use]
pub fn preamble(auth: u8) -> [u8; 6] {
    let [h, b, a, s] = *MAGIC;
    [h, b, a, s, RPC_VERSION, auth]
}

/// Preamble and ConnectionHeader without authentication. The server answers nothing to it when it agrees.
#[must_use]
pub fn hello(user: &str, service: &str, compressor: Option<&str>) -> Bytes {
    let header = header(Some(user), service, compressor);
    let mut hello = BytesMut::with_capacity(6 + header.len());
    hello.put_slice(&preamble(AUTH_SIMPLE));
    hello.put_slice(&header);
    hello.freeze()
}

/// The ConnectionHeader with its length, a plain one and not a varint. `user` is left out where the authentication says
/// it: another name than that would be an impersonation (`ServerRpcConnection.processConnectionHeader`). `compressor` is
/// the Java class that compresses cell blocks both ways; a server without it closes the connection with
/// `UnsupportedCompressionCodecException`.
#[must_use]
pub fn header(user: Option<&str>, service: &str, compressor: Option<&str>) -> Bytes {
    let (major, minor, version) = ANNOUNCED_VERSION;
    let header = ConnectionHeader {
        user_info: user.map(|user| UserInformation { effective_user: user.to_owned(), real_user: None }),
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
    let mut bytes = BytesMut::with_capacity(4 + length);
    bytes.put_u32(length as u32);
    header.encode_raw(&mut bytes);
    bytes.freeze()
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
        let bytes = [&preamble(AUTH_SIMPLE), bytes_of(&header).as_ref()].concat();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = "484261730050000000410a030a0175120d436c69656e74536572766963651a2b6f72672e6170616368652e6861646f6f70\
                     2e68626173652e636f6465632e4b657956616c7565436f646563";
        assert_eq!(hex, known);
    }
}
