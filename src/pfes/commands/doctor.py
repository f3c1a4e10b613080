"""Say what is missing on this machine: run as ``python -m pfes.commands.doctor`` at the end of the set-up."""

import importlib
import re
import sys

# The system libraries behind the wheels of OpenCV and MediaPipe, and the Debian packages that hold them.
PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libstdc++.so.6": "libstdc++6",
    "libgomp.so.1": "libgomp1",
}


def advice(error: ImportError) -> str:
    """Return one line that says how to mend a failed import."""
    missing = re.search(r"(lib[\w.+-]+\.so[\d.]*)", str(error))
    if missing is None:
        return f"cannot import {error.name}: {error}; run the set-up again (rm -r .venv, then make demo)"
    library = missing.group(1)
    if library not in PACKAGES:
        return f"the system library {library} is missing; find its package with: apt-file search {library}"
    others = "libgl1 libglib2.0-0"
    packages = others if PACKAGES[library] in others.split() else f"{others} {PACKAGES[library]}"
    return f"the system library {library} is missing; install it with: apt-get install {packages}"


def main() -> None:
    """Import what needs system libraries; exit with one line of advice if that fails."""
    for name in ("cv2", "av", "torch", "numba", "h5py", "mediapipe"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.exit(f"pfes: {advice(error)}")


if __name__ == "__main__":
    main()
