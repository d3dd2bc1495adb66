#!/usr/bin/env python3
"""How long Hugging Face transformers takes for a pair of pictures in the vision tower of Qwen3-VL-2B, in f32.

    vision_reference.py --width 448 --height 256 --threads 2 --runs 3

Weights are random, as speed does not depend on them. Prints an object: `ms`, one number a run after one that warms up,
and versions. `bench_peers.py` runs it. Needs: torch, transformers 5 (tested: 5.23).
"""

import argparse
import json
import time

import torch
import transformers
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = Qwen3VLVisionConfig(
        depth=24, hidden_size=1024, intermediate_size=4096, num_heads=16, out_hidden_size=2048, patch_size=16,
        spatial_merge_size=2, temporal_patch_size=2, num_position_embeddings=2304, deepstack_visual_indexes=[5, 11, 17])
    config._attn_implementation = "sdpa"
    tower = Qwen3VLVisionModel(config).float().eval()
    height, width = args.height // 16, args.width // 16
    patches = torch.rand(height * width, 3 * 2 * 16 * 16) * 2 - 1
    grid = torch.tensor([[1, height, width]])
    times = []
    with torch.inference_mode():
        for _ in range(args.runs + 1):
            start = time.perf_counter()
            tower(patches, grid_thw=grid)
            times.append(1e3 * (time.perf_counter() - start))
    print(json.dumps({"ms": times[1:], "grid": [height, width], "torch": torch.__version__.split("+")[0],
                      "transformers": transformers.__version__}))


if __name__ == "__main__":
    main()
