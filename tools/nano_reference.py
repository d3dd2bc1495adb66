#!/usr/bin/env python3
"""What Hugging Face transformers reads on the slides that the tests of gist-qwen show to nano-vl.

    cargo run -p slides -- models/nano-vl/words.txt target/slides
    tools/nano_reference.py target/slides

writes crates/gist-qwen/tests/data/nano-vl/reference.json: for each stream of pairs the SHA-256 of its pixels, by which
a test knows that it shows the same ones, and the answer to each question. Preprocessing, tokens, positions, model and
generate() are those of transformers, in f32, eager and greedy; only the prompt is written here, as layout A has it.

Needs: torch, torchvision, transformers 5 (tested: 5.23), pillow.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoTokenizer, AutoVideoProcessor, Qwen3VLForConditionalGeneration

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/nano-vl"
OUT = ROOT / "crates/gist-qwen/tests/data/nano-vl/reference.json"
MAX_TOKENS = 60


class Reference:
    def __init__(self):
        self.model = Qwen3VLForConditionalGeneration.from_pretrained(
            MODEL, dtype=torch.float32, attn_implementation="eager").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.video = AutoVideoProcessor.from_pretrained(MODEL)

    @torch.no_grad()
    def answers(self, frames, stamps, questions):
        """`frames`: [pairs, 2, height, width, 3] of uint8."""
        video = torch.from_numpy(frames.reshape(-1, *frames.shape[2:])).permute(0, 3, 1, 2)
        seen = self.video(videos=[video], do_sample_frames=False, return_tensors="pt")
        pairs, height, width = seen["video_grid_thw"][0].tolist()
        assert pairs == len(stamps)
        pads = "<|video_pad|>" * (height * width // 4)
        shown = "".join(f"<{stamp:.1f} seconds><|vision_start|>{pads}<|vision_end|>" for stamp in stamps)
        return [self.answer(f"<|im_start|>user\n{shown}{q}<|im_end|>\n<|im_start|>assistant\n", seen) for q in questions]

    def answer(self, prompt, seen):
        ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"]
        kinds = (ids == self.model.config.video_token_id).int() * 2
        out = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=kinds, do_sample=False,
            pixel_values_videos=seen["pixel_values_videos"], video_grid_thw=seen["video_grid_thw"],
            max_new_tokens=MAX_TOKENS)
        return self.tokenizer.decode(out[0, ids.shape[1]:]).split("<|im_end|>")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, help="the folder that `slides` wrote")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference()
    plan = json.loads((args.slides / "plan.json").read_text())
    fixture = {"made_with": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"}
    for kind, streams in plan.items():
        entries, right, asked = [], 0, 0
        for stream in streams:
            pictures = [np.array(Image.open(args.slides / pair["file"])) for pair in stream]
            frames = np.stack([np.stack(np.split(picture, 2)) for picture in pictures])
            stamps = [pair["stamp"] for pair in stream]
            questions = ["title?"] if kind == "titles" else [f"at {stamp:.1f} seconds?" for stamp in stamps]
            answers = reference.answers(frames, stamps, questions)
            true = [json.dumps({"title": pair["title"]}, separators=(",", ":")) for pair in stream]
            right += sum(a == b for a, b in zip(answers, true))
            asked += len(answers)
            entries.append({"sha256": hashlib.sha256(frames.tobytes()).hexdigest(), "answers": answers})
        print(f"{kind}: {right} of {asked} right")
        fixture[kind] = entries
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
