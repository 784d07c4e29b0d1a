//! Space that grows, for what has to be written before the record is begun.

use argus_model::codec::{Encoder, Full};

/// What does not fit into this much is left out; a record has to fit into a chunk.
const MOST: usize = 256 * 1024;

/// Encoded bytes, kept until a record takes them.
#[derive(Debug, Default)]
pub(crate) struct Space {
    bytes: Vec<u8>,
    used: usize,
}

impl Space {
    /// Appends what `part` writes. It is called again with more room when it finds too little; what
    /// never fits is left out whole.
    pub(crate) fn write(&mut self, mut part: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>) {
        loop {
            let mut out = Encoder::new(&mut self.bytes[self.used..]);
            if part(&mut out).is_ok() {
                self.used += out.used();
                return;
            }
            if self.bytes.len() >= MOST {
                return;
            }
            let more = (self.bytes.len() * 2).max(512);
            self.bytes.resize(more, 0);
        }
    }

    /// What was written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}
