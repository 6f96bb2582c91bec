//! Clips on a card that no citizen had to speak: made by the product's own spool, before the gateway starts.
//!
//! Every body is a conformant Ogg Opus stream of 24 kbit/s and unlike any other. The syncs of making them are
//! left out where nothing is cut: one sync of the file system at the end. [`Voice::keep`] has them all.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use booth_contract::time::Mono;
use booth_contract::{BoothId, Consent, EndedBy};
use booth_spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};
use booth_spool::real_disk::RealDisk;
use booth_spool::{FrameFacts, KeptClip, NewClip, OpenFacts, Spool, StartFacts};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};

/// Packets of 20 ms in half a second.
const PACKETS: usize = 25;

/// A voice that can say any number of different clips; encoding is done once.
pub struct Voice {
    pre_skip: u64,
    packets: Vec<Vec<u8>>,
}

impl Voice {
    /// Encodes this much of a warbling tone at a constant 24 kbit/s.
    pub fn new(seconds: usize) -> Result<Self, String> {
        let fault = |error: opus::Error| error.to_string();
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip)
            .map_err(fault)?;
        encoder
            .set_bitrate(opus::Bitrate::Bits(24_000))
            .map_err(fault)?;
        encoder.set_vbr(false).map_err(fault)?;
        let pre_skip = encoder.get_lookahead().map_err(fault)? as u64;
        let mut packets = Vec::new();
        for packet in 0..seconds * 2 * PACKETS {
            let pcm: Vec<i16> = (0..960)
                .map(|n| {
                    let t = (packet * 960 + n) as f64 / 48_000.0;
                    let pitch = 300.0 + 100.0 * (t * 3.0).sin();
                    ((t * pitch * std::f64::consts::TAU).sin() * 8_000.0) as i16
                })
                .collect();
            packets.push(encoder.encode_vec(&pcm, 1_500).map_err(fault)?);
        }
        Ok(Self { pre_skip, packets })
    }

    /// The pages of one clip, half a second each; `number` is what makes it unlike the others.
    fn pages(&self, booth: &str, number: u64) -> io::Result<Vec<Vec<u8>>> {
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend_from_slice(&(self.pre_skip as u16).to_le_bytes());
        head.extend_from_slice(&48_000u32.to_le_bytes());
        head.extend_from_slice(&[0, 0, 0]);
        let comment = format!("NUMBER={booth}/{number}");
        let mut tags = b"OpusTags\x04\0\0\0test\x01\0\0\0".to_vec();
        tags.extend_from_slice(&(comment.len() as u32).to_le_bytes());
        tags.extend_from_slice(comment.as_bytes());
        let serial = number as u32;
        let mut writer = PacketWriter::new(Vec::new());
        writer.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)?;
        writer.write_packet(tags, serial, PacketWriteEndInfo::EndPage, 0)?;
        let (mut pages, mut sent, mut samples) = (Vec::new(), 0, 0);
        for (at, packet) in self.packets.iter().enumerate() {
            samples += 960;
            let is_last = at + 1 == self.packets.len();
            let end = match (is_last, (at + 1) % PACKETS) {
                (true, _) => PacketWriteEndInfo::EndStream,
                (false, 0) => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            writer.write_packet(packet.as_slice(), serial, end, samples)?;
            if (at + 1) % PACKETS == 0 {
                pages.push(writer.inner()[sent..].to_vec());
                sent = writer.inner().len();
            }
        }
        Ok(pages)
    }

    /// Puts `count` clips into the spool in `dir`, which no gateway uses meanwhile; their bodies are those of the
    /// numbers from `first` on.
    pub fn fill(
        &self,
        dir: &Path,
        booth: &str,
        first: u64,
        count: u64,
    ) -> Result<Vec<KeptClip>, String> {
        self.fill_as(dir, booth, 24_000, first, count)
    }

    /// The same where each page claims to hold so many samples: the hub refuses a body that cannot hold what it claims.
    pub fn fill_as(
        &self,
        dir: &Path,
        booth: &str,
        samples: u32,
        first: u64,
        count: u64,
    ) -> Result<Vec<KeptClip>, String> {
        let disk = Arc::new(Unsynced(RealDisk::new()));
        let (spool, _) = Spool::open(disk, dir, facts()).map_err(|error| error.to_string())?;
        let booth_id = BoothId::parse(booth).map_err(|error| error.to_string())?;
        let mut kept = Vec::new();
        for number in first..first + count {
            let pages = self
                .pages(booth, number)
                .map_err(|error| error.to_string())?;
            kept.push(say(&spool, &booth_id, samples, &pages)?);
        }
        spool.checkpoint().map_err(|error| error.to_string())?;
        RealDisk::new()
            .sync_everything(dir)
            .map_err(|error| error.to_string())?;
        Ok(kept)
    }

    /// Keeps one clip after another with every sync of a booth, until `kept`, which hears of each, says that it is enough.
    pub fn keep(
        &self,
        dir: &Path,
        booth: &str,
        mut kept: impl FnMut(&KeptClip) -> bool,
    ) -> Result<(), String> {
        let disk = Arc::new(RealDisk::new());
        let (spool, _) = Spool::open(disk, dir, facts()).map_err(|error| error.to_string())?;
        let booth_id = BoothId::parse(booth).map_err(|error| error.to_string())?;
        for number in 1.. {
            let pages = self
                .pages(booth, number)
                .map_err(|error| error.to_string())?;
            if !kept(&say(&spool, &booth_id, 24_000, &pages)?) {
                break;
            }
        }
        Ok(())
    }
}

/// Of a card without limits, opened on another boot than the gateway's.
fn facts() -> OpenFacts {
    OpenFacts {
        boot_id: "before-this-boot".into(),
        fresh_card_id: uuid::Uuid::new_v4().to_string().into(),
        wall_ms: 1_767_225_600_000,
        max_bytes: 1 << 40,
        reserve_bytes: 0,
        ledger: true,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    }
}

fn say(
    spool: &Spool,
    booth_id: &BoothId,
    samples: u32,
    pages: &[Vec<u8>],
) -> Result<KeptClip, String> {
    let armed = StartFacts {
        wall_ms: 1_767_225_600_000,
        mono: Mono(60_000),
        clock_synced: true,
    };
    let clip_id = uuid::Uuid::new_v4().to_string();
    let clip = NewClip {
        question_id: Some("square".into()),
        lang: Some("da".into()),
        ..NewClip::speech(
            clip_id.into(),
            booth_id.clone(),
            Consent::by_key("1"),
            armed,
        )
    };
    let facts = FrameFacts {
        samples,
        mean_square: 0.03,
        peak: 8_000,
        speech: true,
    };
    let said = |error: booth_spool::SpoolError| error.to_string();
    let mut writer = spool.begin(clip).map_err(said)?;
    let (last, first) = pages.split_last().ok_or("a clip without pages")?;
    for page in first {
        writer.append(page, facts).map_err(said)?;
    }
    writer.finish(last, facts, EndedBy::HangUp).map_err(said)
}

/// The real disk without its syncs.
struct Unsynced(RealDisk);

struct UnsyncedFile(Box<dyn DiskFile>);

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Unsynced {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        self.0.make_folder(folder)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        self.0.list(folder)
    }
    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(self.0.open(file, how)?)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn unlink(&self, file: &Path) -> io::Result<()> {
        self.0.unlink(file)
    }
    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        self.0.remove_tree(folder)
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_everything(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.0.free_bytes(folder)
    }
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.0.lock(file)
    }
    fn stats(&self) -> DiskStats {
        self.0.stats()
    }
}
