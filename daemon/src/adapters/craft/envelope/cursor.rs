//! Takes bytes off the front of a message. Every length is checked against what is there before anything is copied.

use super::EnvelopeFault;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were taken.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], EnvelopeFault> {
        let (_, rest) = self.bytes.split_at(self.at);
        let (taken, _) = rest.split_at_checked(length).ok_or(EnvelopeFault::Truncated { what })?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], EnvelopeFault> {
        let taken = self.take(N, what)?;
        Ok(taken.try_into().expect("`take` gives as many bytes as asked for"))
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, EnvelopeFault> {
        self.array(what).map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, EnvelopeFault> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, EnvelopeFault> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, EnvelopeFault> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// A field that is preceded by its length in two bytes.
    pub(super) fn field(&mut self, what: &'static str) -> Result<&'a [u8], EnvelopeFault> {
        let length = self.u16(what)?;
        self.take(usize::from(length), what)
    }

    /// Refuses anything that is left.
    pub(super) fn end(&self) -> Result<(), EnvelopeFault> {
        match self.remaining() {
            0 => Ok(()),
            found => Err(EnvelopeFault::TrailingBytes { found }),
        }
    }
}
