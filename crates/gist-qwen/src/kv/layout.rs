//! The shape of a page: `[layer][kv head]` tiles, in each the keys and then the values of 64 tokens.

use std::ops::Range;

use super::PAGE;
use super::panel::Numbers;
use crate::config::Config;
use gist_kernels::kv::{INNER, LANES};

/// How keys and values of full pages are stored. A page that is not yet full holds floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// Full precision, for tests of exactness.
    F32,
    /// Half precision.
    F16,
    /// 8 bits and half a bit of scales.
    #[default]
    Q8,
    /// 4 bits and half a bit of scales.
    Q4,
}

impl std::fmt::Display for KvType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

impl std::str::FromStr for KvType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::F32, Self::F16, Self::Q8, Self::Q4];
        let found = all.into_iter().find(|kv_type| kv_type.to_string() == name);
        found.ok_or_else(|| format!("there is no kv-type {name}; known: f32, f16, q8, q4"))
    }
}

impl KvType {
    /// How the page being filled is stored.
    pub(crate) fn open(self) -> Self {
        if self == Self::F32 { Self::F32 } else { Self::F16 }
    }

    /// Whether values are rotated before they are stored.
    pub(crate) fn rotates(self) -> bool {
        self == Self::Q4
    }
}

/// The shape of the pages of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Decoder layers.
    pub layers: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How full pages are stored.
    pub kv_type: KvType,
}

/// Which half of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key = 0,
    Value = 1,
}

impl Layout {
    /// The pages of a model.
    pub(crate) fn of(config: &Config, kv_type: KvType) -> Self {
        let Config { layers, kv_heads, head_dim, .. } = *config;
        Self { layers, kv_heads, head_dim, kv_type }
    }

    /// Bytes of a full page.
    pub fn page_bytes(&self) -> u64 {
        self.bytes(self.kv_type) as u64
    }

    /// Bytes of the page being filled: one for each region of a context and of a fork.
    pub fn open_page_bytes(&self) -> u64 {
        self.bytes(self.kv_type.open()) as u64
    }

    /// Bytes of a page of `kv_type`.
    pub(super) fn bytes(&self, kv_type: KvType) -> usize {
        let half = |part| self.numbers(kv_type, part).bytes();
        self.layers * self.kv_heads * (half(Part::Key) + half(Part::Value))
    }

    /// Where a half of a tile lies in a page of `kv_type`.
    pub(super) fn range(&self, kv_type: KvType, layer: usize, part: Part, head: usize) -> Range<usize> {
        let [keys, values] = [Part::Key, Part::Value].map(|part| self.numbers(kv_type, part).bytes());
        let from = (layer * self.kv_heads + head) * (keys + values);
        match part {
            Part::Key => from..from + keys,
            Part::Value => from + keys..from + keys + values,
        }
    }

    /// The order of the numbers of a half.
    pub(super) fn numbers(&self, kv_type: KvType, part: Part) -> Numbers {
        let inner =
            |n: usize| if matches!(kv_type, KvType::Q8 | KvType::Q4) { n.next_multiple_of(INNER) } else { n };
        let (lanes, inner) = match part {
            Part::Key => (PAGE, inner(self.head_dim)),
            Part::Value => (self.head_dim.next_multiple_of(LANES), PAGE),
        };
        Numbers { kv_type, part, lanes, inner }
    }
}
