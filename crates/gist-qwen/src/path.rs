//! The two execution paths, behind one face: own kernels on the CPU, or candle on any device.

use candle_core::Device;

use crate::config::Config;
use crate::decoder::{Decoder, Scratch, Want};
use crate::error::LoadError;
use crate::kv::{Cache, Target};
use crate::reference::ReferenceDecoder;
use crate::sequence::Chunk;
use crate::vision::{Encoded, ReferenceTower, Tap, VisionConfig, VisionTower};
use crate::weights::Weights;

/// What computes.
#[derive(Clone, Debug, Default)]
pub enum ComputeDevice {
    /// Packed weights and own kernels on the CPU.
    #[default]
    Cpu,
    /// Plain candle operations on a device, weights as f32: slower on a CPU, and what the other is compared with.
    Reference(Device),
}

impl ComputeDevice {
    /// The device a user names: `auto` and `cpu` for the fast path, `reference` for candle on the CPU, `cuda` or
    /// `metal` (`cuda:1` for the second one) for candle on a GPU, where this build has it.
    ///
    /// # Errors
    /// A sentence: the name is not known, or there is no such device.
    pub fn named(name: &str) -> Result<Self, String> {
        let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
        let index: usize = index.parse().map_err(|_| format!("device {name}: {index:?} is no number"))?;
        let device = match kind {
            "auto" | "cpu" => return Ok(Self::Cpu),
            "reference" => Ok(Device::Cpu),
            "cuda" => Device::new_cuda(index),
            "metal" => Device::new_metal(index),
            _ => return Err(format!("there is no device {name}; known: auto, cpu, reference, cuda, metal")),
        };
        device.map(Self::Reference).map_err(|e| format!("device {name} cannot be used: {e}"))
    }
}

/// A decoder on one of the paths.
pub(crate) enum AnyDecoder {
    Fast(Decoder),
    Reference(ReferenceDecoder),
}

/// A vision tower on one of the paths.
pub(crate) enum AnyTower {
    Fast(VisionTower),
    Reference(ReferenceTower),
}

impl AnyDecoder {
    pub(crate) fn read(
        file: &dyn Weights,
        config: Config,
        device: &ComputeDevice,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> Result<Self, LoadError> {
        Ok(match device {
            ComputeDevice::Cpu => Self::Fast(Decoder::read(file, config, progress)?),
            ComputeDevice::Reference(device) => {
                Self::Reference(ReferenceDecoder::read(file, config, device, progress)?)
            }
        })
    }

    pub(crate) fn config(&self) -> &Config {
        match self {
            Self::Fast(decoder) => decoder.config(),
            Self::Reference(decoder) => decoder.config(),
        }
    }

    /// Bytes of the weights as held in host memory or on the device.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Fast(decoder) => decoder.bytes(),
            Self::Reference(decoder) => decoder.bytes(),
        }
    }

    /// Encodes a chunk behind what `cache` holds of `target`.
    ///
    /// # Panics
    /// When a device fails in mid-computation; whoever owns the thread turns that into an error.
    pub(crate) fn forward(
        &self,
        chunk: &Chunk<'_>,
        cache: &mut Cache,
        target: Target,
        scratch: &mut Scratch,
        want: Want<'_>,
    ) {
        match self {
            Self::Fast(decoder) => decoder.forward(chunk, cache, target, scratch, want),
            Self::Reference(decoder) => {
                decoder.forward(chunk, cache, target, want).expect("the device computes checked shapes");
            }
        }
    }

    /// The logits, `[rows, vocab]`, of what [`Want::Hidden`] gave.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub(crate) fn logits(&self, rows: &[f32], logits: &mut Vec<f32>) {
        match self {
            Self::Fast(decoder) => decoder.logits(rows, logits),
            Self::Reference(decoder) => {
                *logits = decoder.logits(rows).expect("the device computes checked shapes");
            }
        }
    }
}

impl AnyTower {
    pub(crate) fn read(
        file: &dyn Weights,
        config: VisionConfig,
        device: &ComputeDevice,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> Result<Self, LoadError> {
        Ok(match device {
            ComputeDevice::Cpu => Self::Fast(VisionTower::read(file, config, progress)?),
            ComputeDevice::Reference(device) => Self::Reference(ReferenceTower::read(file, config, device)?),
        })
    }

    /// As [`VisionTower::in_integers`]; the reference stays what it is.
    pub(crate) fn in_integers(self) -> Self {
        match self {
            Self::Fast(tower) => Self::Fast(tower.in_integers()),
            reference => reference,
        }
    }

    /// Bytes of the weights as held in host memory or on the device.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Fast(tower) => tower.bytes(),
            Self::Reference(tower) => tower.bytes(),
        }
    }

    pub(crate) fn config(&self) -> &VisionConfig {
        match self {
            Self::Fast(tower) => &tower.config,
            Self::Reference(tower) => &tower.config,
        }
    }

    /// Encodes a pair, `[h * w, 1536]` for a grid of patches; `tap` sees each stage.
    ///
    /// # Panics
    /// As [`AnyDecoder::forward`].
    pub(crate) fn encode(&self, rows: &[f32], grid: (usize, usize), tap: Option<Tap<'_>>) -> Encoded {
        match self {
            Self::Fast(tower) => tower.encode(rows, grid, tap),
            Self::Reference(tower) => {
                tower.encode(rows, grid, tap).expect("the device computes checked shapes")
            }
        }
    }
}
