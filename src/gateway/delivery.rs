//! What is sent, kept and released.

/// Proof that a clip may be deleted; see the delivery machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt { clip_id: String, sha256: String }
impl Receipt {
    #[doc(hidden)]
    pub fn for_test(clip_id: &str, sha256: &str) -> Self { Self { clip_id: clip_id.into(), sha256: sha256.into() } }
    /// The clip.
    pub fn clip_id(&self) -> &str { &self.clip_id }
    /// Of its body.
    pub fn sha256(&self) -> &str { &self.sha256 }
}
