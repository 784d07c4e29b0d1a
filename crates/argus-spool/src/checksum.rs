//! CRC32C, by the processor's instruction where it has one.
//!
//! The hot path checksums five or six words; a call through run-time dispatch would cost as much as
//! the sum. The register is used raw (no inversion before or after), so that a record's sum can
//! start from its chunk's seed.

/// CRC32C of `bytes`, as everyone else computes it.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The register from which the records of a chunk generation start.
pub(crate) fn seed(nonce: u64, chunk: u32, generation: u64) -> u32 {
    words(!0, &[nonce, u64::from(chunk), generation])
}

/// Feeds whole words into the register.
#[inline]
pub(crate) fn words(register: u32, words: &[u64]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction, as just checked.
        return unsafe { words_sse42(register, words) };
    }
    words_portable(register, words)
}

/// Feeds three words and what follows them; every record takes this way.
#[inline]
pub(crate) fn record(register: u32, head: [u64; 3], rest: &[u64]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("sse4.2") {
        let feed = |sum: u64, word: &u64| {
            // SAFETY: the processor has the instruction, as just checked.
            unsafe { feed_word(sum, *word) }
        };
        let sum = head.iter().fold(register.into(), feed);
        return rest.iter().fold(sum, feed) as u32;
    }
    words_portable(words_portable(register, &head), rest)
}

/// Whether [`feed_word`] may be used.
#[inline]
pub(crate) fn has_instruction() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("sse4.2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// One word into the register, as [`std::arch::x86_64::_mm_crc32_u64`]. That function can only become
/// part of one that is compiled for processors that have it, and calling such a one costs a record more
/// than its sum.
///
/// # Safety
/// [`has_instruction`] says so.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn feed_word(mut register: u64, word: u64) -> u64 {
    // SAFETY: the instruction reads and writes the two registers, nothing else.
    unsafe {
        std::arch::asm!(
            "crc32 {register}, {word}",
            register = inout(reg) register,
            word = in(reg) word,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    register
}

/// Never reached: there is no such instruction.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn feed_word(register: u64, word: u64) -> u64 {
    words_portable(register as u32, &[word]).into()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
#[inline]
fn words_sse42(register: u32, words: &[u64]) -> u32 {
    let sum = words.iter().fold(u64::from(register), |sum, word| {
        std::arch::x86_64::_mm_crc32_u64(sum, *word)
    });
    sum as u32
}

fn words_portable(register: u32, words: &[u64]) -> u32 {
    words.iter().fold(register, |sum, word| {
        !crc32c::crc32c_append(!sum, &word.to_le_bytes())
    })
}

/// Feeds bytes, a multiple of eight, into the register.
pub(crate) fn word_bytes(register: u32, bytes: &[u8]) -> u32 {
    let (chunks, _) = bytes.as_chunks::<8>();
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction, as just checked.
        return unsafe { byte_chunks_sse42(register, chunks) };
    }
    !crc32c::crc32c_append(!register, chunks.as_flattened())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn byte_chunks_sse42(register: u32, chunks: &[[u8; 8]]) -> u32 {
    let sum = chunks.iter().fold(u64::from(register), |sum, chunk| {
        std::arch::x86_64::_mm_crc32_u64(sum, u64::from_le_bytes(*chunk))
    });
    sum as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_ways_agree(register: u32, data: Vec<u64>) {
            let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
            let expected = !crc32c::crc32c_append(!register, &bytes);
            prop_assert_eq!(words(register, &data), expected);
            prop_assert_eq!(words_portable(register, &data), expected);
            if let Some((head, rest)) = data.split_first_chunk() {
                prop_assert_eq!(record(register, *head, rest), expected);
            }
            prop_assert_eq!(word_bytes(register, &bytes), expected);
        }
    }
}
