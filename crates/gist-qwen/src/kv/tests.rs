use std::hash::{DefaultHasher, Hasher};

use proptest::prelude::*;

use super::*;

const TYPES: [KvType; 4] = [KvType::F32, KvType::F16, KvType::Q8, KvType::Q4];

fn layout(head_dim: usize, kv_type: KvType) -> Layout {
    Layout { layers: 2, kv_heads: 2, head_dim, kv_type }
}

/// Number `channel` of token `token`: some channels stick out, in every token alike.
fn number(token: usize, channel: usize) -> f32 {
    let noise = ((token * 7919 + channel * 104_729) % 1009) as f32 / 504.5 - 1.0;
    noise + if channel.is_multiple_of(13) { 60.0 } else { 0.0 }
}

/// Appends tokens `from..to` in pieces of `step`.
fn append(region: &mut Region, layout: Layout, mut from: usize, to: usize, step: usize) {
    while from < to {
        let n = step.min(to - from);
        region.reserve(n);
        let width = layout.kv_heads * layout.head_dim;
        for (layer, part) in (0..2).flat_map(|l| [(l, Part::Key), (l, Part::Value)]) {
            let value = |i: usize| number(from + i / width, i % width + layer + 7 * part as usize);
            region.write(layer, part, &mut (0..n * width).map(value).collect::<Vec<_>>());
        }
        region.commit((from..from + n).map(|t| t as i64), (from + n) as i64);
        from += n;
    }
}

fn digest(region: &Region) -> u64 {
    let mut state = DefaultHasher::new();
    region.digest(&mut state);
    state.finish()
}

#[test]
fn numbers_come_out_as_exact_as_their_bits_allow() {
    for (head_dim, kv_type) in [8, 20, 32, 64, 128].into_iter().flat_map(|d| TYPES.map(|t| (d, t))) {
        let layout = layout(head_dim, kv_type);
        let mut region = Region::new(Pool::new(layout, 4), 0);
        append(&mut region, layout, 0, 150, 37);
        let mut out = vec![0.0; head_dim];
        for (token, head) in (0..150).flat_map(|t| [(t, 0), (t, 1)]) {
            for part in [Part::Key, Part::Value] {
                region.read(1, part, head, token, &mut out);
                for (channel, x) in out.iter().enumerate() {
                    let want = number(token, head * head_dim + channel + 1 + 7 * part as usize);
                    let bound = match (kv_type, part) {
                        (KvType::F32, _) => 0.0,
                        (KvType::F16, _) => 0.02,
                        // A channel has a range of 2, and around 60 a zero is off by up to 0.016.
                        (KvType::Q8, Part::Key) => 0.05,
                        (KvType::Q4, Part::Key) => 0.12,
                        (KvType::Q8, Part::Value) => 0.27,
                        // Rotated values are as large as the largest of their head or smaller.
                        (KvType::Q4, Part::Value) => 20.0,
                    };
                    assert!((x - want).abs() <= bound, "{kv_type:?} {part:?} {head_dim}: {x} is not {want}");
                }
            }
        }
    }
}

#[test]
fn bytes_of_a_page_are_those_of_its_numbers_and_scales() {
    let numbers = 2 * 2 * 2 * 64 * 128;
    for (kv_type, bits) in [(KvType::F32, 32.0), (KvType::F16, 16.0), (KvType::Q8, 8.5), (KvType::Q4, 4.5)] {
        let layout = layout(128, kv_type);
        assert_eq!(layout.page_bytes() as f64 * 8.0, bits * f64::from(numbers));
        let pool = Pool::new(layout, 1);
        let mut region = Region::new(pool.clone(), 0);
        append(&mut region, layout, 0, 63, 63);
        assert_eq!(pool.bytes(), layout.open_page_bytes());
        append(&mut region, layout, 63, 64, 1);
        assert_eq!(pool.bytes(), layout.page_bytes());
    }
}

#[test]
fn a_fork_that_cuts_a_sealed_page_leaves_the_page_as_it_was() {
    for kv_type in TYPES {
        let layout = layout(64, kv_type);
        let pool = Pool::new(layout, 4);
        let mut region = Region::new(pool.clone(), 0);
        append(&mut region, layout, 0, 200, 50);
        let (before, bytes) = (digest(&region), pool.bytes());
        let mut fork = region.clone();
        fork.truncate(90);
        fork.drop_front(10);
        let kept = |r: &Region, row: usize| {
            let mut out = vec![0.0; 64];
            r.read(1, Part::Key, 1, row, &mut out);
            out
        };
        let tail = kept(&fork, 79);
        append(&mut fork, layout, 300, 310, 10);
        let near = kept(&fork, 79).iter().zip(&tail).all(|(a, b)| (a - b).abs() < 0.05);
        assert!(near, "{kv_type:?}: what was sealed is opened as it was, to half precision");
        append(&mut fork, layout, 310, 400, 30);
        drop(fork);
        assert_eq!((digest(&region), pool.bytes()), (before, bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_come_to_the_same_as_one(n in 1usize..300, step in 1usize..70, kv_type in prop::sample::select(&TYPES[..])) {
        let layout = layout(32, kv_type);
        let pool = Pool::new(layout, 5);
        let (mut whole, mut pieces) = (Region::new(pool.clone(), 0), Region::new(pool.clone(), 0));
        append(&mut whole, layout, 0, n, n);
        append(&mut pieces, layout, 0, n, step);
        prop_assert_eq!(digest(&whole), digest(&pieces));
        drop((whole, pieces));
        prop_assert_eq!(pool.bytes(), 0);
    }

    #[test]
    fn no_page_leaks(steps in prop::collection::vec((0usize..5, 1usize..150), 1..20), kv_type in prop::sample::select(&TYPES[..])) {
        let layout = layout(8, kv_type);
        let pool = Pool::new(layout, 5);
        let mut region = Region::new(pool.clone(), 0);
        let mut forks = Vec::new();
        for (what, n) in steps {
            match what {
                0 => append(&mut region, layout, 0, n, 64),
                1 => region.drop_front(n),
                2 => region.truncate(region.len().saturating_sub(n)),
                3 => forks.push(region.clone()),
                _ => {
                    if let Some(fork) = forks.last_mut() {
                        append(fork, layout, 0, n, 40);
                    }
                }
            }
            let mut held: Vec<_> = forks.iter().chain([&region]).flat_map(Region::buffers).collect();
            held.sort_unstable();
            held.dedup();
            prop_assert_eq!(pool.bytes(), held.iter().map(|(_, bytes)| bytes).sum::<u64>());
        }
        drop((region, forks));
        prop_assert_eq!(pool.bytes(), 0);
    }
}
