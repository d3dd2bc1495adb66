//! Weights quantised as they are read: a checkpoint of floats in a third or half of the memory.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use gist_kernels::team;
use half::{bf16, f16};

use super::{Info, Raw, Weights};
use crate::error::LoadError;

/// How matrices of floats are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// 8 bits and a half per weight.
    Q8,
    /// 4 bits and a half per weight in the layers of the decoder. Embedding and head have 6 and a half and the vision
    /// tower 8 and a half, as in the GGUF files that are published: these suffer most from 4 bits.
    Q4,
}

/// Tensors that stay floats though they are matrices: positions and patches are read as floats, and the router of a
/// mixture chooses by small differences. All of them are small.
const EXEMPT: [&str; 3] = ["v.position_embd.weight", super::patches::PATCHES, ".ffn_gate_inp.weight"];
/// Values that are quantised at once by a thread.
const BLOCK: usize = 1 << 18;

/// A source whose matrices of floats are quantised when they are read.
pub(crate) struct Quantized {
    inner: Arc<dyn Weights>,
    quantization: Quantization,
}

impl Quantized {
    pub(crate) fn new(inner: Arc<dyn Weights>, quantization: Quantization) -> Self {
        Self { inner, quantization }
    }

    /// The type a tensor is quantised to; `None` for one that stays as it is: vectors, what is quantised already, rows
    /// that do not come out even.
    fn target(&self, name: &str, dtype: GgmlDType, shape: &[usize]) -> Option<GgmlDType> {
        let inputs = *shape.last()?;
        let floats = [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16].contains(&dtype);
        let even = inputs > 0 && inputs.is_multiple_of(GgmlDType::Q8_0.block_size());
        if !floats || shape.len() < 2 || !even || EXEMPT.iter().any(|e| name.ends_with(e)) {
            return None;
        }
        let vision = name.starts_with("v.") || name.starts_with("mm.");
        let k_units = inputs.is_multiple_of(GgmlDType::Q4K.block_size());
        Some(match (self.quantization, name) {
            (Quantization::Q8, _) => GgmlDType::Q8_0,
            _ if vision => GgmlDType::Q8_0,
            (Quantization::Q4, "token_embd.weight" | "output.weight") if k_units => GgmlDType::Q6K,
            (Quantization::Q4, "token_embd.weight" | "output.weight") => GgmlDType::Q8_0,
            (Quantization::Q4, _) if k_units => GgmlDType::Q4K,
            (Quantization::Q4, _) => GgmlDType::Q4_0,
        })
    }
}

impl Weights for Quantized {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.contains(name)
    }

    fn infos(&self) -> Vec<Info> {
        let mut infos = self.inner.infos();
        for info in &mut infos {
            info.dtype = self.target(&info.name, info.dtype, &info.shape).unwrap_or(info.dtype);
        }
        infos
    }

    fn read(&self, name: &str) -> Result<Raw, LoadError> {
        let raw = self.inner.read(name)?;
        let Some(target) = self.target(name, raw.dtype, &raw.shape) else { return Ok(raw) };
        let size = raw.dtype.type_size();
        let inputs = raw.shape[raw.shape.len() - 1];
        let block = (BLOCK / inputs).max(1) * inputs;
        let bytes: Vec<&[u8]> = raw.bytes.chunks(block * size).collect();
        let parts: Vec<Vec<u8>> = team::map(bytes.len(), |i| {
            let bytes = bytes[i];
            let values = floats(raw.dtype, bytes);
            if !values.iter().all(|x| x.is_finite()) {
                return Err(format!("tensor {name} holds values that are not numbers"));
            }
            let rows = values.len() / inputs;
            Tensor::from_vec(values, (rows, inputs), &Device::Cpu)
                .and_then(|tensor| Ok(QTensor::quantize(&tensor, target)?.data()?.into_owned()))
                .map_err(|e| format!("tensor {name} cannot be quantised: {e}"))
        })
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|what| self.invalid(what))?;
        Ok(Raw { dtype: target, shape: raw.shape, bytes: parts.concat() })
    }
}

/// Little-endian values as f32.
fn floats(dtype: GgmlDType, bytes: &[u8]) -> Vec<f32> {
    let words = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match dtype {
        GgmlDType::F16 => words().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        GgmlDType::BF16 => words().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        _ => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    }
}
