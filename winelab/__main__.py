"""`python -m winelab COMMAND`: see winelab.cli."""

import sys

from winelab.cli import main

if __name__ == "__main__":
    sys.exit(main())
