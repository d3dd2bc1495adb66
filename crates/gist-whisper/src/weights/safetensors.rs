//! The safetensors layout, `model.safetensors` of `openai/whisper-*`: a u64 length, a JSON header of that length with
//! type, shape and byte range of each tensor, then the bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use half::{bf16, f16};
use serde_json::Value;

use super::{Array, Data, values};
use crate::Error;

/// No header of a Whisper model comes near this.
const MAX_HEADER: u64 = 8 << 20;

pub(super) fn read(path: &Path) -> Result<HashMap<String, Array>, Error> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || 8 + length > size {
        return Err(Error::format(path, "the file is truncated or not a safetensors file"));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(io)?;
    let header: HashMap<String, Value> = serde_json::from_slice(&header)
        .map_err(|e| Error::format(path, format!("safetensors header: {e}")))?;
    let mut arrays = HashMap::new();
    for (name, entry) in &header {
        // Both prefixes occur: `WhisperForConditionalGeneration` has it, `WhisperModel` does not.
        let name = name.strip_prefix("model.").unwrap_or(name);
        if !name.starts_with("encoder.") && !name.starts_with("decoder.") {
            continue;
        }
        let array = tensor(&mut file, entry, 8 + length, size).map_err(io)?.ok_or_else(|| {
            Error::format(path, format!("the entry of {name} is wrong, or the file is truncated"))
        })?;
        arrays.insert(name.to_owned(), array);
    }
    Ok(canonical(arrays))
}

/// Reads one tensor; `None` when its entry makes no sense.
fn tensor(file: &mut File, entry: &Value, base: u64, size: u64) -> std::io::Result<Option<Array>> {
    let numbers =
        |key: &str| -> Option<Vec<u64>> { entry.get(key)?.as_array()?.iter().map(Value::as_u64).collect() };
    let (Some(shape), Some(offsets)) = (numbers("shape"), numbers("data_offsets")) else { return Ok(None) };
    let [start, end] = offsets[..] else { return Ok(None) };
    if start > end || end > size.saturating_sub(base) {
        return Ok(None);
    }
    let mut bytes = vec![0; (end - start) as usize];
    file.seek(SeekFrom::Start(base + start))?;
    file.read_exact(&mut bytes)?;
    let (data, stored) = match entry.get("dtype").and_then(Value::as_str) {
        Some("F32") => (values(&bytes, f32::from_le_bytes).map(Data::F32), bytes.len() / 4),
        Some("F16") => (values(&bytes, f16::from_le_bytes).map(Data::F16), bytes.len() / 2),
        Some("BF16") => (values(&bytes, |b| bf16::from_le_bytes(b).to_f32()).map(Data::F32), bytes.len() / 2),
        _ => return Ok(None),
    };
    let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
    let shape = shape.iter().map(|d| *d as usize).collect();
    Ok(data.filter(|_| elements == Some(stored as u64)).map(|data| Array { shape, data }))
}

/// From the names of the hub to those of CTranslate2.
fn canonical(mut arrays: HashMap<String, Array>) -> HashMap<String, Array> {
    let mut out = HashMap::new();
    let mut put = |name: String, array: Option<Array>| array.map(|a| out.insert(name, a));
    for part in ["encoder", "decoder"] {
        for (theirs, ours) in [
            ("conv1.weight", "conv1/weight"),
            ("conv1.bias", "conv1/bias"),
            ("conv2.weight", "conv2/weight"),
            ("conv2.bias", "conv2/bias"),
            ("embed_positions.weight", "position_encodings/encodings"),
            ("embed_tokens.weight", "embeddings/weight"),
            ("layer_norm.weight", "layer_norm/gamma"),
            ("layer_norm.bias", "layer_norm/beta"),
        ] {
            put(format!("{part}/{ours}"), arrays.remove(&format!("{part}.{theirs}")));
        }
        for i in 0.. {
            let mut take = |name: &str| arrays.remove(&format!("{part}.layers.{i}.{name}"));
            let Some(query) = take("self_attn.q_proj.weight") else { break };
            let mut layer = |name: &str, array| put(format!("{part}/layer_{i}/{name}"), array);
            for (theirs, ours) in [
                ("self_attn_layer_norm.weight", "self_attention/layer_norm/gamma"),
                ("self_attn_layer_norm.bias", "self_attention/layer_norm/beta"),
                ("self_attn.out_proj.weight", "self_attention/linear_1/weight"),
                ("self_attn.out_proj.bias", "self_attention/linear_1/bias"),
                ("encoder_attn_layer_norm.weight", "attention/layer_norm/gamma"),
                ("encoder_attn_layer_norm.bias", "attention/layer_norm/beta"),
                ("encoder_attn.q_proj.weight", "attention/linear_0/weight"),
                ("encoder_attn.q_proj.bias", "attention/linear_0/bias"),
                ("encoder_attn.out_proj.weight", "attention/linear_2/weight"),
                ("encoder_attn.out_proj.bias", "attention/linear_2/bias"),
                ("final_layer_norm.weight", "ffn/layer_norm/gamma"),
                ("final_layer_norm.bias", "ffn/layer_norm/beta"),
                ("fc1.weight", "ffn/linear_0/weight"),
                ("fc1.bias", "ffn/linear_0/bias"),
                ("fc2.weight", "ffn/linear_1/weight"),
                ("fc2.bias", "ffn/linear_1/bias"),
            ] {
                layer(ours, take(theirs));
            }
            // Whisper's keys have no bias; the fused layout holds zeros for it.
            let (key, value) = (take("self_attn.k_proj.weight"), take("self_attn.v_proj.weight"));
            let (query_bias, value_bias) = (take("self_attn.q_proj.bias"), take("self_attn.v_proj.bias"));
            let key_bias = query_bias.as_ref().map(zeros);
            layer("self_attention/linear_0/weight", fuse([Some(query), key, value]));
            layer("self_attention/linear_0/bias", fuse([query_bias, key_bias, value_bias]));
            let (key, value) = (take("encoder_attn.k_proj.weight"), take("encoder_attn.v_proj.weight"));
            let value_bias = take("encoder_attn.v_proj.bias");
            let key_bias = value_bias.as_ref().map(zeros);
            layer("attention/linear_1/weight", fuse([key, value]));
            layer("attention/linear_1/bias", fuse([key_bias, value_bias]));
        }
    }
    out
}

fn zeros(like: &Array) -> Array {
    let n = like.shape.iter().product();
    Array { shape: like.shape.clone(), data: Data::F32(vec![0.0; n]) }
}

/// One below the other; `None` when a part is missing or they differ in width.
fn fuse<const N: usize>(parts: [Option<Array>; N]) -> Option<Array> {
    let mut shape: Option<Vec<usize>> = None;
    let mut data = Vec::new();
    for part in parts {
        let part = part?;
        match &mut shape {
            Some(shape) if shape[1..] == part.shape[1..] && !part.shape.is_empty() => {
                shape[0] += part.shape[0];
            }
            Some(_) => return None,
            None if part.shape.is_empty() => return None,
            None => shape = Some(part.shape),
        }
        match part.data {
            Data::F32(v) => data.extend(v),
            Data::F16(v) => data.extend(v.into_iter().map(f16::to_f32)),
        }
    }
    Some(Array { shape: shape?, data: Data::F32(data) })
}
