//! The sealed part of a message, in frames or in one block.

use super::{
    Content, EnvelopeFault, Header,
    cursor::Cursor,
    derive::Keys,
    header::FRAME_LENGTH,
    suite::{MESSAGE_ID_LENGTH, NONCE_LENGTH, TAG_LENGTH},
};
use zeroize::Zeroizing;

/// Appends `plaintext` in frames to `message`. Full frames are regular ones; what is left over, maybe nothing, is the
/// final frame, as the Encryption SDK lays it out.
pub(super) fn seal(
    keys: &Keys,
    message_id: &[u8; MESSAGE_ID_LENGTH],
    plaintext: &[u8],
    message: &mut Vec<u8>,
) -> Result<(), EnvelopeFault> {
    let frames = plaintext.chunks_exact(FRAME_LENGTH as usize);
    let rest = frames.remainder();
    let mut sequence = 1;
    for frame in frames {
        seal_frame(keys, message_id, Kind::Regular, sequence, frame, message)?;
        sequence += 1;
    }
    seal_frame(keys, message_id, Kind::Final, sequence, rest, message)
}

/// Opens the body; nothing may follow it.
pub(super) fn open(keys: &Keys, header: &Header, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeFault> {
    // Plaintext is never longer than what holds it, so this never grows and leaves no copy behind.
    let mut opened =
        Opened { keys, message_id: header.message_id(), plaintext: Zeroizing::new(Vec::with_capacity(body.len())) };
    let mut cursor = Cursor::new(body);
    match header.content() {
        Content::Framed(length) => opened.frames(&mut cursor, length)?,
        Content::Single => opened.block(&mut cursor)?,
    }
    cursor.end()?;
    Ok(opened.plaintext)
}

struct Opened<'a> {
    keys: &'a Keys,
    message_id: &'a [u8; MESSAGE_ID_LENGTH],
    plaintext: Zeroizing<Vec<u8>>,
}

impl Opened<'_> {
    fn frames(&mut self, cursor: &mut Cursor<'_>, frame_length: u32) -> Result<(), EnvelopeFault> {
        for expected in 1..FINAL {
            let first = cursor.u32("frame")?;
            let kind = if first == FINAL { Kind::Final } else { Kind::Regular };
            let found = if first == FINAL { cursor.u32("frame")? } else { first };
            if found != expected {
                return Err(EnvelopeFault::FrameOrder { found, expected });
            }
            let nonce = cursor.array("frame")?;
            let length = if kind == Kind::Final { final_length(cursor, frame_length)? } else { frame_length };
            self.unseal(cursor, kind, found, nonce, length.into())?;
            if kind == Kind::Final {
                return Ok(());
            }
        }
        Err(EnvelopeFault::FrameOrder { found: FINAL, expected: FINAL - 1 })
    }

    fn block(&mut self, cursor: &mut Cursor<'_>) -> Result<(), EnvelopeFault> {
        let nonce = cursor.array("content")?;
        let length = cursor.u64("content")?;
        self.unseal(cursor, Kind::Single, 1, nonce, length)
    }

    fn unseal(
        &mut self,
        cursor: &mut Cursor<'_>,
        kind: Kind,
        sequence: u32,
        nonce: [u8; NONCE_LENGTH],
        length: u64,
    ) -> Result<(), EnvelopeFault> {
        let authenticated = authenticated(self.message_id, kind, sequence, length);
        let length = usize::try_from(length).map_err(|_| EnvelopeFault::Truncated { what: "content" })?;
        let ciphertext = cursor.take(length, "content")?;
        let tag = cursor.take(TAG_LENGTH, "tag")?;
        let start = self.plaintext.len();
        self.plaintext.resize(start + length, 0);
        let opened = self.keys.open(nonce, &authenticated, ciphertext, tag, &mut self.plaintext[start..]);
        opened.ok_or(EnvelopeFault::FrameTag { sequence })
    }
}

fn final_length(cursor: &mut Cursor<'_>, frame_length: u32) -> Result<u32, EnvelopeFault> {
    let found = cursor.u32("frame")?;
    if found > frame_length {
        let (found, accepted) = (found as usize, frame_length as usize);
        return Err(EnvelopeFault::TooLarge { what: "final frame", found, accepted });
    }
    Ok(found)
}

/// The words stand in the authenticated data of each frame, so that no frame can play another's part.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Final,
    Regular,
    Single,
}

impl Kind {
    fn words(self) -> &'static [u8] {
        match self {
            Self::Final => b"AWSKMSEncryptionClient Final Frame",
            Self::Regular => b"AWSKMSEncryptionClient Frame",
            Self::Single => b"AWSKMSEncryptionClient Single Block",
        }
    }
}

fn seal_frame(
    keys: &Keys,
    message_id: &[u8; MESSAGE_ID_LENGTH],
    kind: Kind,
    sequence: u32,
    plaintext: &[u8],
    message: &mut Vec<u8>,
) -> Result<(), EnvelopeFault> {
    let nonce = nonce(sequence);
    if kind == Kind::Final {
        message.extend_from_slice(&FINAL.to_be_bytes());
    }
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(&nonce);
    let length = u32::try_from(plaintext.len()).expect("a frame is at most as long as the frame length");
    if kind == Kind::Final {
        message.extend_from_slice(&length.to_be_bytes());
    }
    let start = message.len();
    message.resize(start + plaintext.len(), 0);
    let authenticated = authenticated(message_id, kind, sequence, length.into());
    let tag = keys.seal(nonce, &authenticated, plaintext, &mut message[start..])?;
    message.extend_from_slice(&tag);
    Ok(())
}

fn authenticated(message_id: &[u8; MESSAGE_ID_LENGTH], kind: Kind, sequence: u32, length: u64) -> Vec<u8> {
    [message_id.as_slice(), kind.words(), &sequence.to_be_bytes(), &length.to_be_bytes()].concat()
}

fn nonce(sequence: u32) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0; NONCE_LENGTH];
    nonce[NONCE_LENGTH - 4..].copy_from_slice(&sequence.to_be_bytes());
    nonce
}

/// Stands before the sequence number of the final frame.
const FINAL: u32 = 0xFFFF_FFFF;
