"""Gets what `bench_peers.py` compares with: llama.cpp from source, a Python with the reference, models and a picture.

Everything lies in one folder and is made once; what is there is taken as it is. Delete a part to have it made again.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# This package carries the sources of llama.cpp, commit included.
SDIST = "llama-cpp-python==0.3.36"
FLAGS = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF",
         "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF",
         "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF"]
TARGETS = ["llama-bench", "llama-mtmd-cli"]
GENERATOR = ["gguf==0.19.0", "numpy==2.4.6"]
REFERENCE = ["torch==2.15.0", "transformers==5.23.0"]
THREADING = ("OMP_", "GOMP_", "KMP_", "MKL_", "RAYON_")
PICTURE = (448, 256)
GB = 1 << 30


class Failure(Exception):
    """Something a user can do something about; the text says what."""


def say(text: str):
    print(text, flush=True)


def run(command, log: Path | None = None, **options) -> str:
    """Standard output of a command; of one that fails the end of what it said."""
    command = [str(part) for part in command]
    # A setting of the shell's must not favour anyone: OMP_WAIT_POLICY=passive nearly halves what llama.cpp writes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(THREADING)}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              env=environment, **options)
    except FileNotFoundError:
        raise Failure(f"`{command[0]}` is missing. `make bench-peers` installs or builds what is needed.") from None
    if log:
        log.write_text(f"{' '.join(command)}\n\n{done.stdout}{done.stderr}")
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        more = f"\nAll it said is in {log}." if log else ""
        raise Failure(f"this failed with status {done.returncode}:\n  {' '.join(command)}\n{said}{more}")
    return done.stdout


def room(folder: Path, gigabytes: float, what: str):
    free = shutil.disk_usage(folder).free / GB
    if free < gigabytes:
        raise Failure(f"{what} takes {gigabytes} GB, and {folder} has {free:.1f} GB free. "
                      "Make room, or choose another folder with --dir.")


class Peers:
    """The folder with all that is built, and what comes of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def llama(self) -> tuple[dict[str, Path], dict]:
        """Programs by name, and what is known of their version."""
        name, version = SDIST.split("==")
        source = self.folder / f"{name.replace('-', '_')}-{version}"
        built = self.folder / "build"
        programs = {target: built / "bin" / target for target in TARGETS}
        if not source.is_dir():
            room(self.folder, 2, "llama.cpp")
            say(f"fetching {SDIST}")
            run([self.python(), "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d", self.folder,
                 SDIST])
            archive = self.folder / f"{source.name}.tar.gz"
            run(["tar", "--no-same-owner", "-xzf", archive.name], cwd=self.folder)
            archive.unlink()
        if not all(program.is_file() for program in programs.values()):
            jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(cores())
            say(f"building llama.cpp with {jobs} jobs, which takes 10 minutes on 2 cores; {built}/make.log tells more")
            built.mkdir(exist_ok=True)
            run(["cmake", "-S", source / "vendor/llama.cpp", "-B", built, *FLAGS], built / "configure.log")
            run(["cmake", "--build", built, "-j", jobs, "--target", *TARGETS], built / "make.log")
        head = source / ".git/modules/vendor/llama.cpp/HEAD"
        commit = head.read_text().strip()[:9] if head.is_file() else None
        return programs, {"package": SDIST, "commit": commit, "flags": FLAGS}

    def python(self, kind: str = "plain") -> Path:
        """The Python of the venv: `plain` as it is, `generator` with GGUF, `reference` with PyTorch."""
        venv = self.folder / "venv"
        python = venv / "bin/python"
        if not (venv / "bin/pip").exists():
            run([sys.executable, "-m", "venv", venv])
        wanted = {"plain": [], "generator": GENERATOR, "reference": REFERENCE}[kind]
        script = "import importlib.metadata as m, sys; [m.version(n.split('==')[0]) for n in sys.argv[1:]]"
        if subprocess.run([python, "-c", script, *wanted], capture_output=True).returncode != 0:
            if kind == "reference":
                room(self.folder, 8, "PyTorch with its libraries")
            say(f"installing {', '.join(wanted)} into {venv}")
            run([python, "-m", "pip", "install", "-q", *wanted])
        return python

    def random_pair(self, binary: Path) -> tuple[Path, Path]:
        """Text model and vision part of the 2B shape, with random weights."""
        pair = (self.folder / "qwen3vl-2b-random-Q4_K_M.gguf", self.folder / "mmproj-qwen3vl-2b-random-F16.gguf")
        if not all(path.is_file() for path in pair):
            room(self.folder, 3, "the pair of GGUF files with random weights")
            say("making Qwen3-VL-2B with random weights")
            made = self.folder / "making"
            run([self.python("generator"), ROOT / "tools/random_2b.py", made, "--tokenizer-gguf",
                 model(binary, "qwen2.5-coder-0.5b")])
            for path in pair:
                (made / path.name).rename(path)
            made.rmdir()
        return pair

    def picture(self) -> Path:
        """A PNG file of coloured noise of the size that is compared."""
        width, height = PICTURE
        noise = random.Random(0)
        lines = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height))

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        path = self.folder / f"noise-{width}x{height}.png"
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines))
                         + chunk(b"IEND", b""))
        return path


def cores() -> int:
    return len(os.sched_getaffinity(0))


def model(binary: Path, name: str) -> Path:
    """The GGUF file of a model that `streamgist model pull` knows; fetched if it is not there."""
    store = os.environ.get("STREAMGIST_MODELS")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = (Path(store) if store else Path(cache) / "streamgist/models") / name
    if not any(folder.glob("*.gguf")):
        say(f"fetching {name}")
        run([binary, "model", "pull", name])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise Failure(f"{name} was fetched, but {folder} has no GGUF file. `{binary} model verify {name}` tells more.")
    return files[0]


def bytes_a_token(path: Path) -> int:
    """Bytes of weights that writing a token reads: all but an embedding that is not the head as well."""
    data = path.open("rb")

    def number(form: str) -> int:
        return struct.unpack("<" + form, data.read(struct.calcsize("<" + form)))[0]

    def skip(kind: int):
        if kind == 8:
            data.seek(number("Q"), 1)
        elif kind == 9:
            inner = number("I")
            for _ in range(number("Q")):
                skip(inner)
        else:
            data.seek({0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind], 1)

    with data:
        if data.read(4) != b"GGUF":
            raise Failure(f"{path} is no GGUF file. Delete it and start again.")
        number("I")
        tensors, fields = number("Q"), number("Q")
        for _ in range(fields):
            skip(8)
            skip(number("I"))
        starts = {}
        for _ in range(tensors):
            name = data.read(number("Q")).decode()
            data.seek(8 * number("I") + 4, 1)
            starts[name] = number("Q")
        header = data.tell()
    # Tensors follow one another; where one ends the next begins.
    ends = sorted(starts.values()) + [path.stat().st_size - header]
    sizes = {name: ends[ends.index(start) + 1] - start for name, start in starts.items()}
    return sum(size for name, size in sizes.items() if name != "token_embd.weight" or "output.weight" not in starts)
