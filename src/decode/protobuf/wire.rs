//! The fields of an encoded Protobuf message, in the order of its bytes.

/// Why bytes are no message.
pub(super) type Broken = &'static str;

const SHORT: Broken = "it ends within a field";

/// How deep messages and groups may nest.
pub(super) const DEPTH_MAX: usize = 64;

/// A value as it stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'de> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'de [u8]),
    /// A group, which proto2 had before there were messages within messages; never read.
    Group,
}

/// Bytes of a message, read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'de> {
    rest: &'de [u8],
}

impl<'de> Fields<'de> {
    pub(super) const fn new(message: &'de [u8]) -> Self {
        Self { rest: message }
    }

    /// The bytes that were not read yet.
    pub(super) const fn rest(self) -> &'de [u8] {
        self.rest
    }

    /// The next field: its number and value.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'de>)>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, kind) = self.tag()?;
        let value = match kind {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.fixed64()?),
            2 => Wire::Bytes(self.bytes()?),
            3 => {
                self.skip_group(number, 0)?;
                Wire::Group
            }
            4 => return Err("it ends a group that it did not begin"),
            5 => Wire::Fixed32(self.fixed32()?),
            _ => return Err("it has a field of an unknown wire type"),
        };
        Ok(Some((number, value)))
    }

    fn tag(&mut self) -> Result<(u32, u8), Broken> {
        let tag = u32::try_from(self.varint()?).map_err(|_| "it has a field number out of range")?;
        if tag >> 3 == 0 {
            return Err("it has a field number out of range");
        }
        Ok((tag >> 3, (tag & 7) as u8))
    }

    fn skip_group(&mut self, group: u32, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return Err("its groups nest too deeply");
        }
        loop {
            let (number, kind) = self.tag()?;
            match kind {
                0 => drop(self.varint()?),
                1 => drop(self.fixed64()?),
                2 => drop(self.bytes()?),
                3 => self.skip_group(number, depth + 1)?,
                4 if number == group => return Ok(()),
                5 => drop(self.fixed32()?),
                _ => return Err("it ends a group that it did not begin"),
            }
        }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { SHORT } else { "it has an integer of more than 64 bits" })
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'de [u8], Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Zig-zag: small numbers of both signs are short.
pub(super) const fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// How deep the message of a frame may stand within others.
pub(super) const INDEXES_MAX: usize = 16;

/// Which message of its file a framed payload is, and the message: the registry's frame has a list of indexes, each
/// within the message before; an empty list is the first message of the file.
pub(super) fn indexes(payload: &[u8]) -> Result<(Indexes, &[u8]), Broken> {
    const RANGE: Broken = "its frame names a message that no file can have";
    let mut fields = Fields::new(payload);
    let mut indexes = Indexes { all: [0; INDEXES_MAX], count: 1 };
    let count = usize::try_from(zigzag(fields.varint()?)).map_err(|_| RANGE)?;
    if count > INDEXES_MAX {
        return Err(RANGE);
    }
    for place in indexes.all.iter_mut().take(count) {
        *place = usize::try_from(zigzag(fields.varint()?)).map_err(|_| RANGE)?;
    }
    indexes.count = count.max(1);
    Ok((indexes, fields.rest()))
}

/// The place of a message within its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexes {
    all: [usize; INDEXES_MAX],
    count: usize,
}

impl Indexes {
    pub(super) fn as_slice(&self) -> &[usize] {
        self.all.get(..self.count).unwrap_or_default()
    }
}
