"""uvicorn's command line that exits 0 after SIGTERM: `python -m cli.local.serving api.app:app --port 1`.

uvicorn raises the signal once more after it has ended well, and would so end by it.
"""

import signal
import sys

from runtime import garbage

garbage.hold()

import uvicorn  # noqa: E402 - held first, then loaded

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.main()
