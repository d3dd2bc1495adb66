//! The encoder of BERT (Devlin et al. 2018): post-norm transformer layers with learned positions.

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{LayerNorm, Linear, Module};

use crate::config::Config;

/// Weights on the CPU, in f32.
pub(crate) struct Bert {
    /// `[vocab_size, hidden_size]`
    words: Tensor,
    /// `[max_position_embeddings, hidden_size]`, with the embedding of the first token type added.
    positions: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
}

struct Layer {
    /// Queries, keys and values side by side: `[3 * hidden_size, hidden_size]`.
    qkv: Linear,
    out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

/// Takes tensors of a checkpoint by name, with the shapes they must have.
struct Weights<'a>(SliceSafetensors<'a>);

impl Weights<'_> {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, String> {
        let load = |name: &str| self.0.load(name, &Device::Cpu);
        let tensor = load(name).or_else(|_| load(&format!("bert.{name}")));
        let tensor = tensor.map_err(|_| format!("{name} is missing"))?;
        if tensor.dims() != shape {
            return Err(format!("{name} is {:?} instead of {shape:?}", tensor.dims()));
        }
        tensor.to_dtype(DType::F32).map_err(|why| format!("{name}: {why}"))
    }

    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Linear, String> {
        let bias = self.get(&format!("{name}.bias"), &[to])?;
        Ok(Linear::new(self.get(&format!("{name}.weight"), &[to, from])?, Some(bias)))
    }

    fn norm(&self, name: &str, config: &Config) -> Result<LayerNorm, String> {
        let part = |part: &str| self.get(&format!("{name}.{part}"), &[config.hidden_size]);
        Ok(LayerNorm::new(part("weight")?, part("bias")?, config.layer_norm_eps))
    }

    fn layer(&self, index: usize, config: &Config) -> Result<Layer, String> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let mut parts = (Vec::new(), Vec::new());
        for part in ["query", "key", "value"] {
            let part = name(&format!("attention.self.{part}"));
            parts.0.push(self.get(&format!("{part}.weight"), &[hidden, hidden])?);
            parts.1.push(self.get(&format!("{part}.bias"), &[hidden])?);
        }
        let join = |parts: &[Tensor]| Tensor::cat(parts, 0).map_err(|why| why.to_string());
        Ok(Layer {
            qkv: Linear::new(join(&parts.0)?, Some(join(&parts.1)?)),
            out: self.linear(&name("attention.output.dense"), hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), config)?,
            up: self.linear(&name("intermediate.dense"), hidden, inner)?,
            down: self.linear(&name("output.dense"), inner, hidden)?,
            norm: self.norm(&name("output.LayerNorm"), config)?,
        })
    }
}

impl Bert {
    /// Takes the weights out of a safetensors file. The error says what is wrong.
    pub(crate) fn parse(bytes: &[u8], config: &Config) -> Result<Self, String> {
        let weights = Weights(SliceSafetensors::new(bytes).map_err(|why| why.to_string())?);
        let hidden = config.hidden_size;
        let table =
            |name: &str, rows: usize| weights.get(&format!("embeddings.{name}.weight"), &[rows, hidden]);
        let kind = (1..=2).find_map(|rows| table("token_type_embeddings", rows).ok());
        let kind =
            kind.ok_or("embeddings.token_type_embeddings.weight is missing or not of one or two rows")?;
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        let positions = kind.narrow(0, 0, 1).and_then(|kind| positions.broadcast_add(&kind));
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: positions.map_err(|why| why.to_string())?,
            norm: weights.norm("embeddings.LayerNorm", config)?,
            layers: (0..config.num_hidden_layers)
                .map(|i| weights.layer(i, config))
                .collect::<Result<_, _>>()?,
            heads: config.num_attention_heads,
        })
    }

    /// The mean over the tokens of the last hidden states, `[hidden_size]`.
    pub(crate) fn mean(&self, ids: &[u32]) -> candle_core::Result<Vec<f32>> {
        let n = ids.len();
        let words = self.words.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        let mut x = self.norm.forward(&(words + self.positions.narrow(0, 0, n)?)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, self.heads)?;
        }
        x.mean(0)?.to_vec1()
    }
}

impl Layer {
    /// `x` and the result are `[tokens, hidden_size]`.
    fn forward(&self, x: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
        let (n, hidden) = x.dims2()?;
        let width = hidden / heads;
        let qkv = self.qkv.forward(x)?.reshape((n, 3, heads, width))?.permute((1, 2, 0, 3))?.contiguous()?;
        let part = |i: usize| qkv.narrow(0, i, 1)?.squeeze(0);
        let scores = (part(0)?.matmul(&part(1)?.t()?)? * (1.0 / (width as f64).sqrt()))?;
        let mixed = softmax_last_dim(&scores)?.matmul(&part(2)?)?;
        let mixed = mixed.transpose(0, 1)?.contiguous()?.reshape((n, hidden))?;
        let x = self.attention_norm.forward(&(x + self.out.forward(&mixed)?)?)?;
        let inner = self.up.forward(&x)?.gelu_erf()?;
        self.norm.forward(&(&x + self.down.forward(&inner)?)?)
    }
}
