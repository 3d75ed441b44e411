"""`multitalk`, with the manifest that the first argument names; warnings are errors."""

import sys
import warnings
from pathlib import Path

from multitalk.cli import main
from multitalk.weights import sets

if __name__ == "__main__":
    warnings.simplefilter("error")
    sets.MANIFEST = Path(sys.argv.pop(1))
    main()
