//! The primitives of Avro's binary encoding, read from a slice.

/// Why bytes are no datum.
pub(super) type Broken = &'static str;

const SHORT: Broken = "it ends within a value";

/// How deep values may nest: a schema may refer to itself.
pub(super) const DEPTH_MAX: usize = 64;

/// Bytes of a datum, read from the front.
///
/// # Invariant
/// Every item of an array or map, and every rendered value, takes from the `fuel`: values of no bytes (nulls, empty
/// records) cannot make more work than there are bytes to pay for it.
#[derive(Debug)]
pub(super) struct Cursor<'de> {
    rest: &'de [u8],
    fuel: usize,
}

impl<'de> Cursor<'de> {
    /// Values of no bytes that any datum may have.
    const FREE: usize = 1024;

    pub(super) const fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, fuel: bytes.len() + Self::FREE }
    }

    /// Bytes not read yet.
    pub(super) const fn rest(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn burn(&mut self) -> Result<(), Broken> {
        self.fuel = self.fuel.checked_sub(1).ok_or("it claims more items than it has bytes")?;
        Ok(())
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'de [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A variable-length zig-zag integer of at most 64 bits.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Broken> {
        let (first, rest) = self.rest.split_first().ok_or(SHORT)?;
        if *first < 0x80 {
            self.rest = rest;
            return Ok(zigzag(u64::from(*first)));
        }
        let mut number = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                if index == 9 && *byte > 1 {
                    break;
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(zigzag(number));
            }
        }
        Err(if self.rest.len() < 10 { SHORT } else { "it has an integer of more than 64 bits" })
    }

    pub(super) fn int(&mut self) -> Result<i32, Broken> {
        i32::try_from(self.long()?).map_err(|_| "it has an int of more than 32 bits")
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'de [u8], Broken> {
        let length = usize::try_from(self.long()?).map_err(|_| "it has a value of negative length")?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'de str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "it has a string that is not UTF-8")
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Broken> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("it has a boolean that is neither 0 nor 1"),
        }
    }

    pub(super) fn float(&mut self) -> Result<f32, Broken> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn double(&mut self) -> Result<f64, Broken> {
        self.array().map(f64::from_le_bytes)
    }

    /// The index of a union's branch or an enum's symbol.
    pub(super) fn index(&mut self, count: usize) -> Result<usize, Broken> {
        let index = usize::try_from(self.long()?).ok().filter(|index| *index < count);
        index.ok_or("it has a branch or symbol that its schema does not have")
    }

    /// The number of items of the next block of an array or map; 0 is the end.
    pub(super) fn block(&mut self) -> Result<u64, Broken> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the size of the block in bytes, for readers that skip it.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }
}

const fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
