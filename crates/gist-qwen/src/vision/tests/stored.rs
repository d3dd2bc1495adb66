//! Random weights in memory.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use crate::error::LoadError;
use crate::picture::PATCH_VALUES;
use crate::vision::VisionConfig;
use crate::weights::{Info, Raw, Weights};

/// Tensors by name; matrices may be stored in another type than f32.
pub(super) struct Stored {
    pub(super) tensors: HashMap<String, Tensor>,
    /// The type of the matrices in blocks and mergers whose inputs it can hold.
    pub(super) dtype: GgmlDType,
}

impl Weights for Stored {
    fn path(&self) -> &Path {
        Path::new("stored")
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn read(&self, name: &str) -> Result<Raw, LoadError> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.invalid(format!("no tensor {name}")))?;
        let shape = tensor.dims().to_vec();
        let fits = shape.len() == 2 && shape[1] % self.dtype.block_size() == 0 && !name.contains("position");
        let dtype = if fits { self.dtype } else { GgmlDType::F32 };
        let stored = QTensor::quantize(tensor, dtype).unwrap();
        Ok(Raw { dtype, shape, bytes: stored.data().unwrap().into_owned() })
    }

    fn infos(&self) -> Vec<Info> {
        let info = |(name, tensor): (&String, &Tensor)| Info {
            name: name.clone(),
            dtype: GgmlDType::F32,
            shape: tensor.dims().to_vec(),
        };
        self.tensors.iter().map(info).collect()
    }
}

/// Random numbers that are the same in each run (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// `n` values, evenly distributed within `scale` of `middle`.
    pub(super) fn values(&mut self, n: usize, middle: f32, scale: f32) -> Vec<f32> {
        let mut value = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
            middle + scale * (bits as f32 / (1 << 23) as f32 - 1.0)
        };
        (0..n).map(|_| value()).collect()
    }
}

/// A tower of this shape whose activations stay about one, with no weight at a value that would hide a mistake.
pub(super) fn random(config: &VisionConfig) -> Stored {
    let VisionConfig { hidden, intermediate, out_hidden, side, .. } = *config;
    let mut random = Random::new();
    let mut tensors = HashMap::new();
    let mut put = |name: String, shape: &[usize], middle: f32, scale: f32| {
        let values = random.values(shape.iter().product(), middle, scale);
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    let mut pair = |name: String, shape: &[usize]| {
        let (middle, scale) =
            if let [_, inputs] = shape { (0.0, 1.7 / (*inputs as f32).sqrt()) } else { (1.0, 0.2) };
        put(format!("{name}.weight"), shape, middle, scale);
        put(format!("{name}.bias"), &shape[..1], 0.0, 0.2);
    };
    pair("v.patch_embd".into(), &[hidden, PATCH_VALUES]);
    for i in 0..config.depth {
        let name = |part: &str| format!("v.blk.{i}.{part}");
        pair(name("ln1"), &[hidden]);
        pair(name("attn_qkv"), &[3 * hidden, hidden]);
        pair(name("attn_out"), &[hidden, hidden]);
        pair(name("ln2"), &[hidden]);
        pair(name("ffn_up"), &[intermediate, hidden]);
        pair(name("ffn_down"), &[hidden, intermediate]);
    }
    let merged = 4 * hidden;
    for layer in &config.deepstack {
        let name = |part: &str| format!("v.deepstack.{layer}.{part}");
        pair(name("norm"), &[merged]);
        pair(name("fc1"), &[merged, merged]);
        pair(name("fc2"), &[out_hidden, merged]);
    }
    pair("v.post_ln".into(), &[hidden]);
    pair("mm.0".into(), &[merged, merged]);
    pair("mm.2".into(), &[out_hidden, merged]);
    put("v.position_embd.weight".into(), &[side * side, hidden], 0.0, 0.8);
    Stored { tensors, dtype: GgmlDType::F32 }
}
