//! The seeded generator that a model keeps inside itself, so that a world restarted from its state goes on with the
//! same luck and two worlds with one seed tell the same story.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A small generator (SplitMix64). Good enough for luck and for key material that protects nothing; never use it
/// outside a simulator.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Starts from a seed; `stream` keeps simulators that share a seed from throwing the same numbers.
    pub fn new(seed: u64, stream: &str) -> Self {
        let mixed = stream.bytes().fold(seed, |sum, byte| sum.rotate_left(9) ^ u64::from(byte).wrapping_mul(GOLDEN));
        Self { state: mixed }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// A number of milliseconds from 0 to `most`, both included.
    pub fn millis(&mut self, most: i64) -> i64 {
        let end = u64::try_from(most).map_or(1, |most| most.saturating_add(1));
        i64::try_from(self.below(end)).unwrap_or(0)
    }

    /// True in `per_mille` of 1,000 throws.
    pub fn hits(&mut self, per_mille: u16) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.draw().to_be_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// So many bytes as lower-case hexadecimal.
    pub fn hex(&mut self, count: usize) -> String {
        hex::encode(self.bytes(count))
    }

    /// So many letters out of `alphabet`, which must be plain ASCII and not empty.
    pub fn word(&mut self, alphabet: &str, count: usize) -> String {
        let letters = alphabet.as_bytes();
        (0..count).map(|_| char::from(letters[self.below(letters.len() as u64) as usize])).collect()
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> Uuid {
        let mut bytes: [u8; 16] = self.bytes(16).try_into().unwrap_or_default();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Sixteen bytes that print as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid([u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hex::encode(self.0);
        write!(out, "{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_tells_one_story_and_each_stream_its_own() {
        let throw = |seed, stream| Dice::new(seed, stream).hex(16);
        assert_eq!(throw(7, "kms"), throw(7, "kms"));
        assert_ne!(throw(7, "kms"), throw(7, "acme"));
        assert_ne!(throw(7, "kms"), throw(8, "kms"));
    }

    #[test]
    fn a_uuid_says_that_it_is_random() {
        let text = Dice::new(1, "x").uuid().to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
        assert!("89ab".contains(&text[19..20]));
    }

    #[test]
    fn a_shuffled_list_keeps_its_members() {
        let mut list: Vec<u32> = (0..50).collect();
        Dice::new(3, "x").shuffle(&mut list);
        assert_ne!(list, (0..50).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..50).collect::<Vec<_>>());
    }
}
