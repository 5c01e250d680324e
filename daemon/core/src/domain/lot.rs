//! Choices that look random and are the same after every restart.

/// A number below `width`, from the record's seed and what it is about (splitmix64).
pub fn lot(seed: u64, about: i64, width: i64) -> i64 {
    let mixed = (seed ^ about.cast_unsigned()).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 1).cast_signed() % width.max(1)
}

#[cfg(test)]
mod tests {
    use super::lot;

    #[test]
    fn a_lot_is_the_same_after_every_restart_and_spreads() {
        assert_eq!(lot(7, 42, 1_000), lot(7, 42, 1_000));
        let low = (0..1_000).filter(|seed| lot(*seed, 42, 1_000) < 500).count();
        assert!((400..600).contains(&low), "{low} of 1,000 in the lower half");
        assert_eq!(lot(7, 42, 0), 0);
    }
}
