//! The bodies of the fuzz targets in `ingestor/fuzz`, run over inputs made from
//! fixed seeds. `make fuzz` runs them guided by coverage.

#![allow(clippy::unwrap_used, reason = "tests")]

mod block;
mod choices;
mod decode;
mod native;
mod reference;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use choices::Choices;

fn bytes(random: &mut StdRng, most: usize) -> Vec<u8> {
    let length = random.random_range(0..most);
    (0..length).map(|_| random.random()).collect()
}

/// Messages that are mostly good, some with a few bytes changed.
fn messages(random: &mut StdRng) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\\{}[]:, 0123456789-+.eEntfau\n\t\0\x1f\x80\xbf\xc3\xff/";
    let schema: u8 = random.random();
    let fields = decode::fields(schema);
    let mut input = vec![schema];
    for _ in 0..random.random_range(1..6) {
        let made = bytes(random, 400);
        let mut message = Choices::new(&made).message(&fields).into_bytes();
        if random.random_range(0..3) == 0 {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..message.len());
                let byte = BYTES[random.random_range(0..BYTES.len())];
                match random.random_range(0..4) {
                    0 => message.insert(at, byte),
                    1 if message.len() > 1 => drop(message.remove(at)),
                    2 => message.truncate(at.max(1)),
                    _ => message[at] = byte,
                }
            }
        }
        input.extend(message);
        input.push(decode::BETWEEN);
    }
    input
}

#[test]
fn decoding_finds_what_the_reference_finds() {
    let mut random = StdRng::seed_from_u64(20_261_125);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3_000 {
        let input = if round % 10 == 0 { bytes(&mut random, 200) } else { messages(&mut random) };
        let found = decode::run(&input);
        accepted += found.0;
        refused += found.1;
    }
    assert!(accepted > 3_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn blocks_are_read_back_as_what_was_written() {
    let mut random = StdRng::seed_from_u64(20_261_126);
    let rows: usize = (0..1_500).map(|_| block::run(&bytes(&mut random, 2_000))).sum();
    assert!(rows > 5_000, "{rows} rows");
}
