"""`multitalk`, with the manifest that the first argument names."""

import sys
from pathlib import Path

from multitalk.cli import main
from multitalk.weights import manifest

if __name__ == "__main__":
    manifest.MANIFEST = Path(sys.argv.pop(1))
    main()
