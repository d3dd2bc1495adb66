//! The fixtures were made with torch 2.15.0 and transformers 5.23.0.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use proptest::prelude::ProptestConfig;
use serde_json::Value;

use super::Frame;

mod frame;
mod gate;
mod pixels;
mod resize;
mod size;
mod time;

fn path(name: &str) -> String {
    format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/qwen3vl/pre/{}"), name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The lists called `pair_times` of a fixture in their order. serde_json is not exact in the last bit of a float.
fn times(name: &str) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let lists = text.split("\"pair_times\": [").skip(1).map(|rest| rest.split(']').next().unwrap());
    lists.map(|list| list.split(", ").map(|number| number.parse().unwrap()).collect()).collect()
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path(name), &Device::Cpu).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The fixtures' pictures are `[3, height, width]`.
fn picture(tensor: &Tensor) -> Frame<'static> {
    let (_, height, width) = tensor.dims3().unwrap();
    Frame::new(width, height, bytes(&tensor.permute((1, 2, 0)).unwrap())).unwrap()
}

/// A picture without structure; equal for equal seeds.
fn noise(width: usize, height: usize, seed: u64) -> Frame<'static> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let pixels: Vec<u8> = (0..width * height * 3).map(|_| byte()).collect();
    Frame::new(width, height, pixels).unwrap()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
