#!/usr/bin/env python3
"""Has talks of a data set spoken and listened to, to tell what is lost when chapters are made of sound.

    tools/spoken_talks.py talks-dev.jsonl --skip 47 --limit 3 --out target/spoken
    streamgist eval target/spoken/said.jsonl --boundaries-only
    streamgist eval target/spoken/heard.jsonl --boundaries-only

espeak-ng says each line at its time, as fast as the speaker was, or as soon as the line before has ended. OUT/said.jsonl
has the lines as they were written at the times they were spoken, OUT/heard.jsonl those that gisttranscriber made of the
sound; both have the same human chapters, moved along with the lines they stand in. Needs espeak-ng, gst-launch-1.0 with
webvttenc, and our plugin in GST_PLUGIN_PATH. A talk that is done is taken as it is.
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
import wave
from pathlib import Path

SLOWEST, FASTEST = 150, 240  # words a minute: further off espeak-ng is hard to understand


def say(text: str, seconds: float, path: Path):
    """A WAV file of a line in about as much time as its speaker took."""
    pace = round(len(text.split()) / max(seconds, 0.1) * 60)
    speed = str(min(max(pace, SLOWEST), FASTEST))
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", speed, "-w", path, "--stdin"], input=text, text=True, check=True)


def speak(lines: list[dict], path: Path) -> list[dict]:
    """Speaks lines into a WAV file; the lines with the times they were spoken at."""
    part, spoken, frames = path.with_suffix(".part.wav"), [], 0
    with wave.open(str(path), "wb") as talk:
        for line in lines:
            say(line["text"], line["end"] - line["t"], part)
            with wave.open(str(part)) as sound:
                if not spoken:
                    talk.setparams(sound.getparams())
                rate, samples = sound.getframerate(), sound.readframes(sound.getnframes())
            if (silence := round(line["t"] * rate) - frames) > 0:
                talk.writeframes(bytes(2 * silence))
                frames += silence
            start = frames / rate
            talk.writeframes(samples)
            frames += len(samples) // 2
            spoken.append({**line, "t": start, "end": frames / rate})
    part.unlink()
    return spoken


def listen(path: Path) -> list[dict]:
    """Lines that the transcriber makes of a WAV file."""
    captions = path.with_suffix(".vtt")
    subprocess.run(["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "wavparse", "!", "audioconvert", "!",
                    "audioresample", "!", "gisttranscriber", "!", "webvttenc", "!", "filesink",
                    f"location={captions}"], check=True)
    lines = []
    for start, end, text in re.findall(r"^([\d:.]+) --> ([\d:.]+).*\n((?:.+\n)+)", captions.read_text(), re.MULTILINE):
        def seconds(time):
            return sum(float(part) * 60**i for i, part in enumerate(reversed(time.split(":"))))
        lines.append({"t": seconds(start), "end": seconds(end), "text": " ".join(text.split())})
    return lines


def moved(t: float, was: list[dict], now: list[dict]) -> float:
    """When what was at `t` is spoken now: between starts and ends of lines in proportion."""
    places = [(0.0, 0.0)] + [(old[key], new[key]) for old, new in zip(was, now) for key in ("t", "end")]
    for (old, new), (old_next, new_next) in itertools.pairwise(places):
        if t < old_next:
            return new + (t - old) / (old_next - old) * (new_next - new)
    return t + places[-1][1] - places[-1][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data set")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leaves out the first N talks")
    parser.add_argument("--limit", type=int, metavar="N", help="takes only N talks")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where sound and lines go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sets = {"said": [], "heard": []}
    with args.data.open() as data:
        end = None if args.limit is None else args.skip + args.limit
        for row in itertools.islice(data, args.skip, end):
            talk = json.loads(row)
            done = args.out / f"{re.sub(r'[^a-z0-9]+', '-', talk['id'].lower())}.json"
            if not done.is_file():
                print(f"{talk['id']}: {talk['duration'] / 60:.0f} minutes", flush=True)
                sound = done.with_suffix(".wav")
                said = speak(talk["lines"], sound)
                done.write_text(json.dumps({"said": said, "heard": listen(sound)}))
                sound.unlink()
            lines = json.loads(done.read_text())
            chapters = [{**mark, "t": moved(mark["t"], talk["lines"], lines["said"])} for mark in talk["chapters"]]
            duration = max(talk["duration"], lines["said"][-1]["end"], lines["heard"][-1]["end"])
            for name, talks in sets.items():
                talks.append({**talk, "duration": duration, "chapters": chapters, "lines": lines[name]})
    for name, talks in sets.items():
        (args.out / f"{name}.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"spoken_talks: {error}")
