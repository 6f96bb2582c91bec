//! What is known of the sound of one frame of a clip, and its twelve bytes: beside an open body (docs/spool-format.md §1) and within
//! a sealed one (docs/sealed-clip.md).

/// What was measured over the kept samples of one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FrameFacts {
    /// Kept samples at 48 kHz.
    pub samples: u32,
    /// Mean of the squared samples; full scale = 1.0.
    pub mean_square: f32,
    /// Largest absolute sample, 0 to 32 768.
    pub peak: u16,
    /// Whether there is speech in it.
    pub speech: bool,
}

impl FrameFacts {
    /// How many bytes they are.
    pub const BYTES: usize = 12;

    /// A frame in which nothing was measured.
    pub const NONE: FrameFacts = FrameFacts {
        samples: 0,
        mean_square: 0.0,
        peak: 0,
        speech: false,
    };

    /// The bytes, little-endian; the last one is zero.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.samples.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.mean_square.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.peak.to_le_bytes());
        bytes[10] = u8::from(self.speech);
        bytes
    }

    /// Reads the facts that stand before a frame's body, and gives the body, too; `None` where there are no twelve bytes.
    pub fn split(frame: &[u8]) -> Option<(FrameFacts, &[u8])> {
        let (facts, body) = frame.split_first_chunk::<{ Self::BYTES }>()?;
        let &[a, b, c, d, e, f, g, h, i, j, flags, _] = facts;
        let facts = FrameFacts {
            samples: u32::from_le_bytes([a, b, c, d]),
            mean_square: f32::from_le_bytes([e, f, g, h]),
            peak: u16::from_le_bytes([i, j]),
            speech: flags & 1 != 0,
        };
        Some((facts, body))
    }
}
