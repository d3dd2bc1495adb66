//! The order in which the numbers of a tile lie, and packing.
//!
//! A half of a tile is a matrix, read in vectors of 16 *lanes*, and summed up along its *inner* axis: for keys the
//! lanes are tokens and the inner axis is the channels (a score is a sum over channels), for values the other way
//! round. Groups of 16 lanes follow each other, in each the inner axis from its beginning to its end. Floats lie
//! `[group][inner][16]`. Codes lie in units of 4 along the inner axis, in the order in which `madd` takes them:
//!
//! * Q8: `[group][inner / 4][2][16][2]` signed bytes.
//! * Q4: `[group][inner / 4][8][2]` words of 16 bits, the first 4 bits for lane 0–7 of the first pair along the inner
//!   axis, the next for lane 8–15, then both of the second pair; what is stored is the code plus 8.
//!
//! Behind the codes lie scales in f16, along the inner axis, so that they can be multiplied into the other factor:
//! keys have `[2][inner]`, scale and zero of each channel, values `[⌈lanes / 32⌉][64]`.
//! `value = zero + scale * code`.

use half::f16;

use super::{KvType, PAGE, Part};
use gist_kernels::kv::{LANES, UNIT};

/// Channels of a value that share a scale.
pub(crate) const VALUE_BLOCK: usize = 32;

/// The order of the numbers of a half of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) kv_type: KvType,
    pub(crate) part: Part,
    /// A multiple of 16.
    pub(crate) lanes: usize,
    /// With codes a multiple of 8.
    pub(crate) inner: usize,
}

/// A half of a tile: keys or values of 64 tokens of one head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half<'a> {
    pub(crate) numbers: Numbers,
    /// Floats or codes, then scales.
    pub(crate) bytes: &'a [u8],
}

impl Numbers {
    /// Bytes of floats or codes.
    pub(crate) fn data_bytes(self) -> usize {
        let numbers = self.lanes * self.inner;
        match self.kv_type {
            KvType::F32 => 4 * numbers,
            KvType::F16 => 2 * numbers,
            KvType::Q8 => numbers,
            KvType::Q4 => numbers / 2,
        }
    }

    /// All bytes.
    pub(crate) fn bytes(self) -> usize {
        let scales = match (self.kv_type, self.part) {
            (KvType::F32 | KvType::F16, _) => 0,
            (_, Part::Key) => 2 * self.inner,
            (_, Part::Value) => self.lanes.div_ceil(VALUE_BLOCK) * self.inner,
        };
        self.data_bytes() + 2 * scales
    }

    /// Where a float is, in floats.
    fn float(self, lane: usize, inner: usize) -> usize {
        (lane / LANES * self.inner + inner) * LANES + lane % LANES
    }

    /// The byte a code is in and by how many bits it is shifted.
    fn code(self, lane: usize, inner: usize) -> (usize, u32) {
        let unit = (lane / LANES * self.inner + inner) / UNIT;
        let (lane, pair, parity) = (lane % LANES, inner % UNIT / 2, inner % 2);
        if self.kv_type == KvType::Q4 {
            let word = lane % 8 * 2 + parity;
            (unit * 32 + word * 2 + pair, 4 * (lane / 8) as u32)
        } else {
            (unit * 64 + (pair * LANES + lane) * 2 + parity, 0)
        }
    }

    /// Lane and place on the inner axis of a number.
    fn place(self, token: usize, channel: usize) -> (usize, usize) {
        if self.part == Part::Key { (token, channel) } else { (channel, token) }
    }
}

fn f16_at(bytes: &[u8], index: usize) -> f16 {
    f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]])
}

fn put_f16(bytes: &mut [u8], index: usize, x: f16) {
    bytes[2 * index..][..2].copy_from_slice(&x.to_le_bytes());
}

impl<'a> Half<'a> {
    /// Floats or codes.
    pub(crate) fn data(self) -> &'a [u8] {
        &self.bytes[..self.numbers.data_bytes()]
    }

    /// Row `row` of the scales, as many as the inner axis is long, in f16.
    pub(crate) fn scales(self, row: usize) -> &'a [[u8; 2]] {
        let inner = self.numbers.inner;
        &self.bytes[self.numbers.data_bytes()..].as_chunks().0[row * inner..][..inner]
    }

    /// One number.
    pub(crate) fn get(self, token: usize, channel: usize) -> f32 {
        let (numbers, bytes) = (self.numbers, self.bytes);
        let (lane, inner) = numbers.place(token, channel);
        match numbers.kv_type {
            KvType::F32 => {
                let at = 4 * numbers.float(lane, inner);
                f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            }
            KvType::F16 => f16_at(bytes, numbers.float(lane, inner)).to_f32(),
            KvType::Q8 | KvType::Q4 => {
                let (byte, shift) = numbers.code(lane, inner);
                let code = match numbers.kv_type {
                    KvType::Q4 => f32::from(bytes[byte] >> shift & 15) - 8.0,
                    _ => f32::from(bytes[byte].cast_signed()),
                };
                let scale = |row: usize| f16::from_le_bytes(self.scales(row)[inner]).to_f32();
                match numbers.part {
                    Part::Key => scale(0) * code + scale(1),
                    Part::Value => scale(lane / VALUE_BLOCK) * code,
                }
            }
        }
    }
}

/// Stores a float in a half of floats.
pub(super) fn set(numbers: Numbers, bytes: &mut [u8], token: usize, channel: usize, x: f32) {
    let (lane, inner) = numbers.place(token, channel);
    let at = numbers.float(lane, inner);
    if numbers.kv_type == KvType::F32 {
        bytes[4 * at..][..4].copy_from_slice(&x.to_le_bytes());
    } else {
        put_f16(bytes, at, f16::from_f32(x));
    }
}

/// Stores 64 tokens, `[64, head_dim]`, as floats or as codes and scales.
pub(super) fn store(numbers: Numbers, bytes: &mut [u8], x: &[f32], head_dim: usize) {
    bytes.fill(0);
    if matches!(numbers.kv_type, KvType::F32 | KvType::F16) {
        for (i, x) in x.iter().enumerate() {
            set(numbers, bytes, i / head_dim, i % head_dim, *x);
        }
        return;
    }
    match numbers.part {
        Part::Key => (0..head_dim).for_each(|channel| pack_channel(numbers, bytes, x, head_dim, channel)),
        Part::Value => {
            for (token, row) in x.chunks_exact(head_dim).enumerate() {
                for (block, values) in row.chunks(VALUE_BLOCK).enumerate() {
                    pack_values(numbers, bytes, values, token, block);
                }
            }
        }
    }
}

/// The largest code is the smallest of its kind but one in 8 bits, which keeps them symmetric.
fn codes(kv_type: KvType) -> (f32, f32) {
    if kv_type == KvType::Q4 { (-8.0, 7.0) } else { (-127.0, 127.0) }
}

/// One channel of 64 keys: its range in even steps.
fn pack_channel(numbers: Numbers, bytes: &mut [u8], x: &[f32], head_dim: usize, channel: usize) {
    let column = || x[channel..].iter().step_by(head_dim).copied();
    let (low, high) = column().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let (least, most) = codes(numbers.kv_type);
    let scale = f16::from_f32((high - low) / (most - least));
    let zero = f16::from_f32(low - least * scale.to_f32());
    let at = numbers.data_bytes() / 2;
    put_f16(bytes, at + channel, scale);
    put_f16(bytes, at + numbers.inner + channel, zero);
    for (token, x) in column().enumerate() {
        put_code(numbers, bytes, token, channel, (x - zero.to_f32()) / scale.to_f32());
    }
}

/// Up to 32 channels of a value. The largest magnitude gets the code at the end of the range, in 4 bits -8.
fn pack_values(numbers: Numbers, bytes: &mut [u8], x: &[f32], token: usize, block: usize) {
    let top = x.iter().copied().fold(0.0f32, |top, x| if x.abs() > top.abs() { x } else { top });
    let scale = f16::from_f32(top / codes(numbers.kv_type).0);
    put_f16(bytes, numbers.data_bytes() / 2 + block * PAGE + token, scale);
    for (i, x) in x.iter().enumerate() {
        put_code(numbers, bytes, token, block * VALUE_BLOCK + i, x / scale.to_f32());
    }
}

/// Rounds to a code and stores it; what is not a number (of a scale of zero) becomes code 0.
fn put_code(numbers: Numbers, bytes: &mut [u8], token: usize, channel: usize, x: f32) {
    let (least, most) = codes(numbers.kv_type);
    /// Adding and taking off 1.5 * 2^23 rounds to the nearest integer, without a call where the CPU has no such
    /// instruction.
    const ROUND: f32 = 12_582_912.0;
    let code = (x.clamp(least, most) + ROUND - ROUND) as i8;
    let (lane, inner) = numbers.place(token, channel);
    let (byte, shift) = numbers.code(lane, inner);
    if numbers.kv_type == KvType::Q4 {
        bytes[byte] |= ((code + 8).cast_unsigned() & 15) << shift;
    } else {
        bytes[byte] = code.cast_unsigned();
    }
}
