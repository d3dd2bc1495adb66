//! What a model and a context take of memory, known before anything is loaded.

use std::fmt;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::decoder::{CHUNK, Scratch};
use crate::error::LoadError;
use crate::kv::{KvType, Layout, PAGE};
use crate::rolling::SCRATCH_TOKENS;
use crate::sight::DEFAULT_GRID;
use crate::vision::VisionConfig;
use crate::weights::quantized::Quantization;

/// Bytes a model and a context take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Tokens of the context.
    pub context_length: usize,
    /// How its keys and values are stored.
    pub kv_type: KvType,
    /// Weights, held once per process.
    pub weights: u64,
    /// Keys and values of one context, scratch for forks included.
    pub kv: u64,
    /// Activations.
    pub scratch: u64,
    /// All of it.
    pub total: u64,
}

/// All of a model that memory depends on.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Bytes of the weights as they are held.
    pub weights: u64,
    /// The shape of the decoder.
    pub config: Config,
    /// The shape of the vision tower, if there is one.
    pub vision: Option<VisionConfig>,
}

/// The plan that was asked for, its neighbours, and what is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanTable {
    /// What was asked for.
    pub asked: MemoryPlan,
    /// The same, with other context lengths and key-value types, the largest first.
    pub plans: Vec<MemoryPlan>,
    /// Bytes of memory that are free, where the system tells.
    pub available: Option<u64>,
}

impl Sizes {
    /// Of a model on disk; only headers are read.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn read(
        path: &Path,
        mmproj: Option<&Path>,
        quantize: Option<Quantization>,
    ) -> Result<Self, LoadError> {
        let mut checkpoint = Checkpoint::open(path, mmproj)?;
        if let Some(quantization) = quantize {
            checkpoint = checkpoint.quantized(quantization);
        }
        Ok(Self::of(&checkpoint))
    }

    pub(crate) fn of(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { config, vision, .. } = checkpoint;
        Self { weights: checkpoint.tensor_bytes(), config: config.clone(), vision: vision.clone() }
    }

    /// With one context of `context_length` tokens; 0 for none.
    pub fn plan(&self, context_length: usize, kv_type: KvType) -> MemoryPlan {
        let layout = Layout::of(&self.config, kv_type);
        let pages = (context_length + SCRATCH_TOKENS).div_ceil(PAGE) as u64;
        // Pages being filled at the end of each region, and one more copied by a fork.
        let open = 4 * layout.open_page_bytes();
        let kv = if context_length == 0 { 0 } else { pages * layout.page_bytes() + open };
        // One pair at a time, of the size that pictures have unless a session says otherwise.
        let pair = self.vision.as_ref().map_or(0, |vision| vision.scratch_bytes(DEFAULT_GRID));
        let scratch = Scratch::bytes(&self.config, CHUNK) + pair;
        let total = self.weights + kv + scratch;
        MemoryPlan { context_length, kv_type, weights: self.weights, kv, scratch, total }
    }

    /// The plan for so many tokens, 0 for what the model was trained for, among its neighbours.
    pub fn table(&self, context_length: usize, kv_type: KvType) -> PlanTable {
        let most = self.config.max_context;
        // More than the model was trained for is not opened.
        let asked = if context_length == 0 { most } else { context_length.min(most) };
        let mut lengths = vec![asked, asked / 2, asked / 4, asked.saturating_mul(2).min(most)];
        lengths.retain(|n| *n > 0);
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut plans: Vec<_> = lengths.iter().map(|n| self.plan(*n, kv_type)).collect();
        let others = [KvType::F16, KvType::Q8, KvType::Q4].into_iter().filter(|other| *other != kv_type);
        plans.extend(others.map(|other| self.plan(asked, other)));
        plans.sort_by_key(|plan| std::cmp::Reverse(plan.total));
        PlanTable { asked: self.plan(asked, kv_type), plans, available: available_memory() }
    }
}

impl PlanTable {
    /// Whether a plan fits into what is free; true where that is not known.
    pub fn fits(&self, plan: &MemoryPlan) -> bool {
        self.available.is_none_or(|available| plan.total <= available)
    }

    /// The longest context of the type asked for that fits, in round numbers, if any does.
    pub fn longest(&self) -> Option<usize> {
        let MemoryPlan { context_length, kv, total, .. } = self.asked;
        let spare = self.available?.saturating_sub(total - kv);
        // Memory grows with each token, and so it shrinks.
        let tokens = (context_length + SCRATCH_TOKENS) as u128 * u128::from(spare) / u128::from(kv.max(1));
        let fits = (tokens as usize).saturating_sub(SCRATCH_TOKENS + PAGE) / 1024 * 1024;
        (fits > 0).then_some(fits)
    }
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { context_length, kv_type, weights, kv, scratch, total } = *self;
        write!(
            f,
            "{} MiB of memory: weights {}, context of {context_length} tokens in {kv_type} {}, scratch {}",
            mib(total),
            mib(weights),
            mib(kv),
            mib(scratch)
        )
    }
}

impl fmt::Display for PlanTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  context-length  kv-type  weights  context  scratch    total (MiB)")?;
        for plan in &self.plans {
            let MemoryPlan { context_length, kv_type, weights, kv, scratch, total } = *plan;
            let mark = if *plan == self.asked { '*' } else { ' ' };
            let [weights, kv, scratch, total] = [weights, kv, scratch, total].map(mib);
            write!(f, "{mark} {context_length:>14}  {:<7}", kv_type.to_string())?;
            write!(f, "{weights:>9}{kv:>9}{scratch:>9}{total:>9}")?;
            writeln!(f, "{}", if self.fits(plan) { "" } else { "  does not fit" })?;
        }
        match self.available {
            Some(available) => write!(f, "{} MiB are free", mib(available)),
            None => f.write_str("how much is free is not known here"),
        }
    }
}

/// `MemAvailable` in bytes, where the system tells.
fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::nano_vl;

    #[test]
    fn what_does_not_fit_is_told_with_what_does() {
        let sizes = Sizes::read(&nano_vl(), None, None).unwrap();
        let mut table = sizes.table(16_384, KvType::Q8);
        assert_eq!(table.asked, sizes.plan(16_384, KvType::Q8));
        assert!(table.plans.is_sorted_by(|a, b| a.total >= b.total) && table.plans.contains(&table.asked));
        table.available = Some(table.asked.total - 1);
        assert!(!table.fits(&table.asked));
        let longest = table.longest().unwrap();
        assert!(longest < 16_384 && longest > 14_000, "{longest}");
        assert!(table.fits(&sizes.plan(longest, KvType::Q8)));
        assert!(!table.fits(&sizes.plan(longest + 2048, KvType::Q8)), "not needlessly short");
        table.available = Some(sizes.weights);
        assert_eq!(table.longest(), None);
        let text = table.to_string();
        assert!(text.lines().any(|line| line.starts_with("*          16384  q8 ")), "{text}");
        assert!(text.contains("does not fit"), "{text}");
    }

    #[test]
    fn quantised_weights_take_less() {
        let of = |quantize| Sizes::read(&nano_vl(), None, quantize).unwrap().weights;
        assert!(of(Some(Quantization::Q4)) < of(Some(Quantization::Q8)));
        assert!(of(Some(Quantization::Q8)) < of(None));
    }
}
