#!/usr/bin/env python3
"""A full-size Qwen3-VL checkpoint with random weights, as a pair of GGUF files.

    tools/random_2b.py OUT --tokenizer-gguf qwen2.5.gguf [--size 2b] [--seed 0]

`make bench-peers` makes the 2B pair in target/peers/ with it.

Writes the text model in the Q4_K_M mix (Q4_K, with Q6_K for the embedding and for about half of the
attn_v and ffn_down matrices, like llama.cpp's quantiser) and the vision part in F16. Speed does not
depend on the values, so the files serve to compare running times and memory, with any program
that reads GGUF. The output of such a model is noise.

Values follow N(0, 0.02). A pool of blocks is made once and every tensor is cut from it at another
place; nothing but the current tensor is held in memory. The vocabulary comes from a Qwen2/Qwen2.5
GGUF file and gets the four tokens Qwen3 added.

Needs: numpy, gguf (tested: 0.19).
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

SIGMA = 0.02
HEAD = 128
#        hidden layers heads kv   ff     tied   vision: d  depth  ff   taps
SIZES = {
    "2b": (2048, 28, 16, 8, 6144, True, 1024, 24, 4096, (5, 11, 17)),
    "4b": (2560, 36, 32, 8, 9728, True, 1024, 24, 4096, (5, 11, 17)),
    "8b": (4096, 36, 32, 8, 12288, False, 1152, 27, 4304, (8, 16, 24)),
}
VOCAB = 151936
ADDED = {151665: "<tool_response>", 151666: "</tool_response>", 151667: "<think>", 151668: "</think>"}
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% else %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Pool:
    """Random blocks of every storage type; take(n) repeats the pool from a random start."""

    def __init__(self, seed: int, blocks: int = 1 << 16):
        self.rng = np.random.default_rng(seed)
        z = self.rng.standard_normal((blocks, 256), dtype=np.float32)
        self.pools = {
            T.F16: (z * SIGMA).astype(np.float16).view(np.uint8),
            T.Q4_K: self.q4_k(z),
            T.Q6_K: self.q6_k(z),
        }

    def q4_k(self, z):
        # value = d * scale * q - dmin * min, with q centred on 7.5 and 0.4 sigma between levels
        q = np.clip(np.rint(z * 2.5 + 7.5), 0, 15).astype(np.uint8).reshape(-1, 4, 2, 32)
        scale = self.rng.integers(28, 37, (len(z), 8), dtype=np.uint8)  # 6 bits; the minima are the same
        packed = np.concatenate([scale[:, :4] | scale[:, 4:] >> 4 << 6] * 2 + [(scale[:, 4:] & 15) * 17], axis=1)
        d = np.float16(0.4 * SIGMA / 32)
        head = np.broadcast_to(np.array([d, 7.5 * d], np.float16).view(np.uint8), (len(z), 4))
        return np.concatenate([head, packed, (q[:, :, 0] | q[:, :, 1] << 4).reshape(-1, 128)], axis=1)

    def q6_k(self, z):
        # value = d * scale * (q - 32), 0.1 sigma between levels
        q = (np.clip(np.rint(z * 10), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
        low = np.concatenate([q[:, :, :2] & 15 | (q[:, :, 2:] & 15) << 4], -1).reshape(-1, 128)
        high = (q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6).reshape(-1, 64)
        scale = self.rng.integers(14, 19, (len(z), 16), dtype=np.uint8)
        d = np.broadcast_to(np.array([0.1 * SIGMA / 16], np.float16).view(np.uint8), (len(z), 2))
        return np.concatenate([low, high, scale, d], axis=1)

    def take(self, kind, values: int) -> np.ndarray:
        if kind == T.F32:
            raise ValueError("f32 tensors are constants")
        pool = self.pools[kind]
        size = gguf.GGML_QUANT_SIZES[kind]
        nbytes = values // size[0] * size[1]
        start = int(self.rng.integers(len(pool))) * pool.shape[1]
        flat = pool.reshape(-1)
        repeats = -(-(start + nbytes) // flat.size)
        return np.tile(flat, repeats)[start : start + nbytes] if repeats > 1 else flat[start : start + nbytes]


class File:
    """Collects tensor descriptions first, then streams the data."""

    def __init__(self, path: Path, arch: str):
        self.w, self.tensors, self.path = gguf.GGUFWriter(str(path), arch), [], path

    def add(self, name, shape, kind, constant=None):
        """shape as in PyTorch, outermost first; constant: fill value of an f32 tensor."""
        self.tensors.append((name, shape, kind, constant))

    def write(self, pool: Pool):
        for name, shape, kind, _ in self.tensors:
            block, size = gguf.GGML_QUANT_SIZES[kind]
            assert shape[-1] % block == 0, name
            self.w.add_tensor_info(
                name, shape, np.dtype(np.float32), int(np.prod(shape)) // block * size, raw_dtype=kind
            )
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_ti_data_to_file()
        for _, shape, kind, constant in self.tensors:
            n = int(np.prod(shape))
            self.w.write_tensor_data(np.full(n, constant, np.float32) if kind == T.F32 else pool.take(kind, n))
        self.w.close()
        params = sum(int(np.prod(s)) for _, s, _, _ in self.tensors)
        size = self.path.stat().st_size
        print(f"{self.path.name}: {len(self.tensors)} tensors, {params:,} parameters, {size:,} bytes")


def add_tokenizer(w, source: str) -> None:
    fields = gguf.GGUFReader(source).fields
    tokens, kinds = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    tokens = list(tokens[:VOCAB]) + [f"[PAD{i}]" for i in range(len(tokens), VOCAB)]
    kinds = list(kinds[:VOCAB]) + [5] * (VOCAB - len(kinds))
    assert tokens[151655] == "<|image_pad|>" and tokens[151645] == "<|im_end|>", "not a Qwen2.5 vocabulary"
    for i, t in ADDED.items():
        tokens[i], kinds[i] = t, 4
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    w.add_bos_token_id(151643)
    w.add_eos_token_id(151645)
    w.add_pad_token_id(151643)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def more_bits(i: int, n: int) -> bool:
    """Layers that get Q6_K in the Q4_K_M mix."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def text_file(path: Path, size: str, source: str) -> File:
    hidden, layers, heads, kv, ff, tied, _, _, _, taps = SIZES[size]
    f = File(path, "qwen3vl")
    w = f.w
    w.add_type("model")
    w.add_name(f"Qwen3-VL {size} random")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(layers)
    w.add_context_length(262144)
    w.add_embedding_length(hidden)
    w.add_feed_forward_length(ff)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_key_length(HEAD)
    w.add_value_length(HEAD)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_rope_freq_base(5000000.0)
    w.add_rope_dimension_sections([24, 20, 20, 0])
    w.add_num_deepstack_layers(len(taps))
    add_tokenizer(w, source)
    f.add("token_embd.weight", (VOCAB, hidden), T.Q6_K if tied else T.Q4_K)
    f.add("output_norm.weight", (hidden,), T.F32, 1.0)
    if not tied:
        f.add("output.weight", (VOCAB, hidden), T.Q6_K)
    for i in range(layers):
        good = T.Q6_K if more_bits(i, layers) else T.Q4_K
        b = f"blk.{i}."
        f.add(b + "attn_norm.weight", (hidden,), T.F32, 1.0)
        f.add(b + "attn_q.weight", (heads * HEAD, hidden), T.Q4_K)
        f.add(b + "attn_k.weight", (kv * HEAD, hidden), T.Q4_K)
        f.add(b + "attn_v.weight", (kv * HEAD, hidden), good)
        f.add(b + "attn_q_norm.weight", (HEAD,), T.F32, 1.0)
        f.add(b + "attn_k_norm.weight", (HEAD,), T.F32, 1.0)
        f.add(b + "attn_output.weight", (hidden, heads * HEAD), T.Q4_K)
        f.add(b + "ffn_norm.weight", (hidden,), T.F32, 1.0)
        f.add(b + "ffn_gate.weight", (ff, hidden), T.Q4_K)
        f.add(b + "ffn_up.weight", (ff, hidden), T.Q4_K)
        f.add(b + "ffn_down.weight", (hidden, ff), good)
    return f


def projector_file(path: Path, size: str) -> File:
    hidden, _, _, _, _, _, d, depth, ff, taps = SIZES[size]
    f = File(path, "clip")
    w = f.w
    w.add_type("mmproj")
    w.add_name(f"Qwen3-VL {size} random")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_clip_has_vision_encoder(True)
    w.add_clip_projector_type("qwen3vl_merger")
    w.add_vision_use_gelu(True)
    w.add_vision_image_size(768)
    w.add_vision_patch_size(16)
    w.add_vision_embedding_length(d)
    w.add_vision_feed_forward_length(ff)
    w.add_vision_block_count(depth)
    w.add_vision_head_count(16)
    w.add_vision_attention_layernorm_eps(1e-6)
    w.add_vision_projection_dim(hidden)
    w.add_vision_spatial_merge_size(2)
    w.add_vision_image_mean([0.5] * 3)
    w.add_vision_image_std([0.5] * 3)
    w.add_vision_is_deepstack_layers([i in taps for i in range(depth)])

    def linear(name, out, inp):
        f.add(name + ".weight", (out, inp), T.F16)
        f.add(name + ".bias", (out,), T.F32, 0.0)

    def norm(name, n):
        f.add(name + ".weight", (n,), T.F32, 1.0)
        f.add(name + ".bias", (n,), T.F32, 0.0)

    f.add("v.patch_embd.weight", (d, 3, 16, 16), T.F16)
    f.add("v.patch_embd.weight.1", (d, 3, 16, 16), T.F16)
    f.add("v.patch_embd.bias", (d,), T.F32, 0.0)
    f.add("v.position_embd.weight", (48 * 48, d), T.F32, 0.0)
    for i in range(depth):
        b = f"v.blk.{i}."
        norm(b + "ln1", d)
        linear(b + "attn_qkv", 3 * d, d)
        linear(b + "attn_out", d, d)
        norm(b + "ln2", d)
        linear(b + "ffn_up", ff, d)
        linear(b + "ffn_down", d, ff)
    norm("v.post_ln", d)
    linear("mm.0", 4 * d, 4 * d)
    linear("mm.2", hidden, 4 * d)
    for i in taps:
        norm(f"v.deepstack.{i}.norm", 4 * d)
        linear(f"v.deepstack.{i}.fc1", 4 * d, 4 * d)
        linear(f"v.deepstack.{i}.fc2", hidden, 4 * d)
    return f


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=Path)
    ap.add_argument("--tokenizer-gguf", required=True, help="Qwen2/Qwen2.5 GGUF file to take the vocabulary from")
    ap.add_argument("--size", choices=SIZES, default="2b")
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    pool = Pool(a.seed)
    text_file(a.out / f"qwen3vl-{a.size}-random-Q4_K_M.gguf", a.size, a.tokenizer_gguf).write(pool)
    projector_file(a.out / f"mmproj-qwen3vl-{a.size}-random-F16.gguf", a.size).write(pool)


if __name__ == "__main__":
    main()
