"""`multitalk`, with the manifest that the first argument names."""

import sys
from pathlib import Path

from multitalk.cli import main
from multitalk.weights import sets

if __name__ == "__main__":
    sets.MANIFEST = Path(sys.argv.pop(1))
    main()
