//! Finds the head of the journal when clavigerd starts, and cuts off what was not written whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::Deserialize;

use super::{JournalError, failed, line::Head};

/// What was found when the journal was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    /// How many entries there are: the number of the last one.
    pub entries: u64,
    /// Where the chain is broken, the first few. They stay as they are: they are evidence.
    pub breaks: Vec<Break>,
    /// At how many places it is broken.
    pub broken: u64,
    /// What was cut off from the end.
    pub torn: Option<Torn>,
    pub(super) head: Head,
    pub(super) length: u64,
}

/// A place where the chain is broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Break {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub found: String,
}

/// The end of the journal that was not written whole: nobody was told that it is on the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// How many bytes.
    pub bytes: u64,
    /// The file that they were moved to.
    pub kept_in: PathBuf,
}

/// Opens the journal, makes it when it is missing.
///
/// The torn end is first copied and synced, then cut off, then the cut is recorded. A crash in between leaves it in both places or
/// the copy without its record: the next start does the rest.
pub(super) fn open(folder: &Path, path: &Path) -> Result<(File, Start), JournalError> {
    let missing = !path.exists();
    let file =
        private().read(true).write(true).create(true).truncate(false).open(path).map_err(failed("open", path))?;
    if missing {
        sync_folder(folder).map_err(failed("make", path))?;
    }
    let mut start = read(BufReader::new(&file)).map_err(failed("read", path))?;
    let whole = file.metadata().map_err(failed("read", path))?.len();
    let kept_in = folder.join(format!("audit.torn-{}", start.entries + 1));
    if start.length < whole {
        keep_torn(&file, start.length, folder, &kept_in).map_err(failed("copy the torn end of", path))?;
        file.set_len(start.length).and_then(|()| file.sync_all()).map_err(failed("cut the torn end of", path))?;
    }
    if let Ok(kept) = fs::metadata(&kept_in) {
        start.torn = Some(Torn { bytes: kept.len(), kept_in });
    }
    Ok((file, start))
}

fn keep_torn(mut file: &File, from: u64, folder: &Path, kept_in: &Path) -> io::Result<()> {
    let mut copy = private().write(true).create(true).truncate(true).open(kept_in)?;
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file, &mut copy)?;
    copy.sync_all()?;
    sync_folder(folder)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads the whole chain. What follows the last entry is torn.
fn read(mut reader: impl BufRead) -> io::Result<Start> {
    let mut start = Start { entries: 0, breaks: Vec::new(), broken: 0, torn: None, head: Head::empty(), length: 0 };
    let (mut number, mut offset, mut no_entry) = (0, 0, None);
    let mut line = Vec::new();
    loop {
        let read = next_line(&mut reader, &mut line)?;
        if read == 0 {
            return Ok(start);
        }
        number += 1;
        offset += read;
        let Some(link) = link(&line) else {
            no_entry.get_or_insert(number);
            continue;
        };
        if let Some(bad) = no_entry.take() {
            start.tell(bad, "is no entry".to_owned());
        }
        start.follow(number, link, &line[..line.len() - 1]);
        start.length = offset;
    }
}

impl Start {
    fn follow(&mut self, number: u64, link: Link, line: &[u8]) {
        if link.seq != self.head.seq.saturating_add(1) {
            self.tell(number, format!("has seq {}, expected {}", link.seq, self.head.seq.saturating_add(1)));
        } else if link.prev_sha256 != self.head.sha256 {
            self.tell(number, "does not carry the hash of the line before it".to_owned());
        }
        self.head = Head::behind(link.seq, line);
        self.entries = link.seq;
    }

    fn tell(&mut self, line: u64, found: String) {
        self.broken += 1;
        if self.breaks.len() < MOST_BREAKS {
            self.breaks.push(Break { line, found });
        }
    }
}

/// What binds a line to the one before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    seq: u64,
    prev_sha256: String,
}

fn link(line: &[u8]) -> Option<Link> {
    let line = line.strip_suffix(b"\n")?;
    serde_json::from_slice(line).ok()
}

/// The next line with its newline; of a line that is too long to be ours the beginning only. Gives how many bytes it takes up.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let mut read = reader.by_ref().take(LONGEST).read_until(b'\n', line)? as u64;
    if read == LONGEST && !line.ends_with(b"\n") {
        read += skip_line(reader)?;
    }
    Ok(read)
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() || used == 0 {
            return Ok(skipped);
        }
    }
}

const MOST_BREAKS: usize = 16;
const LONGEST: u64 = 1 << 20;
