//! Maps by numbers that the ledger itself gives out: nobody chooses them to collide, so that a quick hash will do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Quick<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

#[derive(Debug, Default)]
pub(super) struct Mixed(u64);

impl Mixed {
    fn mix(&mut self, number: u64) {
        // 2^64 over the golden ratio, made odd.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut number = [0; 8];
            number.iter_mut().zip(eight).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(number));
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.mix(number.cast_unsigned());
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // A product is mixed best in its high bits, and a map looks at the low ones.
        self.0.rotate_left(26)
    }
}
