//! Hugging Face's names of tensors in those of GGUF, by which weights are asked for.
//!
//! Qwen3-VL checkpoints have the prefixes `model.language_model.` and `model.visual.`; `model.` alone, as in
//! checkpoints of text models, and `visual.` are taken too.

use super::patches::PATCHES;

/// What a tensor of a checkpoint is here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The tensor of that name.
    Plain(String),
    /// Gate and up projections of all experts of the layer `blk.N`, side by side.
    GateUp(String),
    /// Down projections of all experts of the layer `blk.N`.
    Down(String),
}

/// Parts of a decoder layer.
const LAYER: [(&str, &str); 12] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
];

/// Parts of a block of the vision tower.
const BLOCK: [(&str, &str); 6] = [
    ("attn.qkv", "attn_qkv"),
    ("attn.proj", "attn_out"),
    ("norm1", "ln1"),
    ("norm2", "ln2"),
    ("mlp.linear_fc1", "ffn_up"),
    ("mlp.linear_fc2", "ffn_down"),
];

/// Parts of the merger behind the last block, which GGUF files spread over two names.
const MERGER: [(&str, &str); 3] = [("norm", "v.post_ln"), ("linear_fc1", "mm.0"), ("linear_fc2", "mm.2")];

/// Parts of a DeepStack merger.
const DEEPSTACK: [(&str, &str); 3] = [("norm", "norm"), ("linear_fc1", "fc1"), ("linear_fc2", "fc2")];

/// What the tensor `name` is; `None` for one that nobody asks for. `deepstack` lists the blocks whose output is merged
/// for the decoder: GGUF names their mergers by block, the hub counts them.
pub(super) fn from_hub(name: &str, deepstack: &[usize]) -> Option<Named> {
    if name == "lm_head.weight" {
        return Some(Named::Plain("output.weight".into()));
    }
    let inner = name.strip_prefix("model.").unwrap_or(name);
    if let Some(visual) = inner.strip_prefix("visual.") {
        return vision(visual, deepstack).map(Named::Plain);
    }
    text(inner.strip_prefix("language_model.").or_else(|| name.strip_prefix("model."))?)
}

fn text(name: &str) -> Option<Named> {
    let plain = |name: String| Some(Named::Plain(name));
    match name {
        "embed_tokens.weight" => return plain("token_embd.weight".into()),
        "norm.weight" => return plain("output_norm.weight".into()),
        _ => (),
    }
    let (layer, part) = numbered(name, "layers.")?;
    match part {
        "mlp.experts.gate_up_proj" => Some(Named::GateUp(format!("blk.{layer}"))),
        "mlp.experts.down_proj" => Some(Named::Down(format!("blk.{layer}"))),
        _ => plain(format!("blk.{layer}.{}", renamed(part, &LAYER)?)),
    }
}

fn vision(name: &str, deepstack: &[usize]) -> Option<String> {
    match name {
        "patch_embed.proj.weight" => return Some(PATCHES.into()),
        "patch_embed.proj.bias" => return Some("v.patch_embd.bias".into()),
        "pos_embed.weight" => return Some("v.position_embd.weight".into()),
        _ => (),
    }
    if let Some((block, part)) = numbered(name, "blocks.") {
        return Some(format!("v.blk.{block}.{}", renamed(part, &BLOCK)?));
    }
    if let Some((index, part)) = numbered(name, "deepstack_merger_list.") {
        return Some(format!("v.deepstack.{}.{}", deepstack.get(index)?, renamed(part, &DEEPSTACK)?));
    }
    renamed(name.strip_prefix("merger.")?, &MERGER)
}

/// Splits `layers.3.mlp.up_proj.weight` into 3 and the rest.
fn numbered<'a>(name: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (number, part) = name.strip_prefix(prefix)?.split_once('.')?;
    Some((number.parse().ok()?, part))
}

/// Exchanges the stem before `.weight` or `.bias`.
fn renamed(part: &str, table: &[(&str, &str)]) -> Option<String> {
    let (stem, kind) = part.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
    let (_, gguf) = table.iter().find(|(hub, _)| *hub == stem)?;
    Some(format!("{gguf}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_known_by_those_of_gguf() {
        for (hub, gguf) in [
            ("lm_head.weight", "output.weight"),
            ("model.language_model.embed_tokens.weight", "token_embd.weight"),
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("model.layers.11.self_attn.q_proj.bias", "blk.11.attn_q.bias"),
            ("model.language_model.layers.3.self_attn.q_proj.weight", "blk.3.attn_q.weight"),
            ("model.language_model.layers.0.mlp.gate.weight", "blk.0.ffn_gate_inp.weight"),
            ("model.visual.patch_embed.proj.weight", "v.patch_embd.weight"),
            ("visual.blocks.7.mlp.linear_fc1.bias", "v.blk.7.ffn_up.bias"),
            ("model.visual.merger.norm.weight", "v.post_ln.weight"),
            ("model.visual.merger.linear_fc2.bias", "mm.2.bias"),
            ("model.visual.deepstack_merger_list.1.linear_fc1.weight", "v.deepstack.11.fc1.weight"),
        ] {
            assert_eq!(from_hub(hub, &[5, 11, 17]), Some(Named::Plain(gguf.into())), "{hub}");
        }
        let experts = "model.language_model.layers.5.mlp.experts.";
        let named = |part| from_hub(&format!("{experts}{part}"), &[]);
        assert_eq!(named("gate_up_proj"), Some(Named::GateUp("blk.5".into())));
        assert_eq!(named("down_proj"), Some(Named::Down("blk.5".into())));
    }

    #[test]
    fn other_names_are_nothing() {
        for name in [
            "",
            "embed_tokens.weight",
            "model.",
            "model.layers.x.mlp.gate.weight",
            "model.layers.1",
            "model.layers.1.mlp.gate",
            "model.layers.1.mlp.gate.qweight",
            "model.visual.deepstack_merger_list.3.norm.weight",
            "model.layers.99999999999999999999999.mlp.gate.weight",
        ] {
            assert_eq!(from_hub(name, &[5, 11, 17]), None, "{name}");
        }
    }
}
